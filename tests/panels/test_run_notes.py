"""Tests of nbtransfer.panels.run_notes."""

from nbtransfer.panels.run_notes import note_lines
from tests.panels.live_runs import LiveRun, about


def _saved(run, step, **figures):
    run.log("checkpoint_saved", step=step, name=f"step-{step:06d}", reason="time", **figures)


def test_an_ended_run_says_what_its_checkpoints_cost(runs_dir):
    run = LiveRun(runs_dir / "r").start(10)
    _saved(run, 5, num_bytes=265_000_000, stall_s=0.31)
    _saved(run, 10, num_bytes=265_000_000, stall_s=0.052)
    assert not any("checkpoint" in line for line in note_lines(about(), run.state()))
    run.complete(10)
    (line,) = (line for line in note_lines(about(), run.state()) if "checkpoint" in line)
    assert line == (
        "2 checkpoints of 265 MB; training waited 0.36 s for them in all, 0.31 s at most"
    )


def test_a_log_of_the_first_version_says_no_cost(runs_dir):
    run = LiveRun(runs_dir / "r").start(5)
    _saved(run, 5)
    run.complete(5)
    assert not any("waited" in line for line in note_lines(about(), run.state()))


def test_a_run_that_began_again_says_so(runs_dir):
    run = LiveRun(runs_dir / "r").start(5)
    run.log("run_resumed", from_step=0, checkpoint=None, revision=0, skipped=[["step-000004", "x"]])
    lines = note_lines(about(), run.state())
    assert "begun again at step 0" in lines
    assert "checkpoint step-000004 was skipped: x" in lines
