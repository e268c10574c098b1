"""Tests of nbtransfer.panels.terminal."""

import io

from nbtransfer.panels.follower import Update
from nbtransfer.panels.terminal import TerminalLine
from tests.panels.live_runs import LiveRun, about


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_line_is_written_over_and_gives_way_to_the_card(runs_dir):
    run = LiveRun(runs_dir / "calm-heron").start(5)
    screen = Screen()
    line = TerminalLine(run, about(), screen)
    line.render(Update(run.state(), "running", True))
    line.render(Update(run.state(), "running", True))
    assert "\n" not in screen.getvalue()
    assert "step 5 of 30 · loss 0.500" in screen.getvalue()
    run.complete(5)
    line.close(run.state(), "completed")
    assert "Kept: the best model" in screen.getvalue()


def test_the_choices_are_told_once_before_the_run(runs_dir):
    run = LiveRun(runs_dir / "calm-heron").start(5)
    out = io.StringIO()
    line = TerminalLine(run, about(notes=("label column: sentiment",)), out)
    line.open()
    run.complete(5)
    line.close(run.state(), "completed")
    assert out.getvalue().startswith("label column: sentiment\n")
    assert out.getvalue().count("label column") == 1


def test_a_file_gets_a_line_for_each_phase_and_evaluation_only(runs_dir):
    run = LiveRun(runs_dir / "calm-heron").start(5)
    out = io.StringIO()
    line = TerminalLine(run, about(), out)
    for step in range(6, 10):
        run.step(step)
        line.render(Update(run.state(), "running", True))
    assert out.getvalue().count("\n") == 1
    run.evaluation(9)
    line.render(Update(run.state(), "running", True))
    assert out.getvalue().count("\n") == 2
    assert "\r" not in out.getvalue()
