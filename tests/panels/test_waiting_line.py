"""The line that says how far a job has come."""

from __future__ import annotations

import io

import pytest

from nbtransfer.panels import waiting_line
from nbtransfer.panels.waiting_line import WaitingLine, waiting_words


@pytest.mark.parametrize(
    ("done", "total", "passed_s", "words"),
    [
        (0, 10, 2, "0 of 10 rows read"),
        (2_500, 100_000, 2, "2,500 of 100,000 rows read, about 1:18 left"),
        (100_000, 100_000, 80, "100,000 rows read in 1:20"),
        (2_500, None, 2, "2,500 rows read"),
    ],
)
def test_the_words_say_how_far_and_how_long(done, total, passed_s, words):
    assert waiting_words(done, total, passed_s) == words


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(waiting_line.time, "monotonic", lambda: now[0])
    return now


def test_a_terminal_has_one_line_written_over_and_kept_at_the_end(monkeypatch, clock):
    out = Terminal()
    monkeypatch.setattr(waiting_line.sys, "stderr", out)
    line = WaitingLine()
    for seconds, done in [(2, 50), (4, 100)]:
        clock[0] = 100.0 + seconds
        line(done, 100)
    assert out.getvalue().split("\r")[1:] == [
        "50 of 100 rows read, about 0:02 left",
        "100 rows read in 0:04".ljust(36) + "\n",
    ]


def test_what_is_over_in_a_moment_needs_no_line_and_a_file_gets_none(monkeypatch, clock):
    out = Terminal()
    monkeypatch.setattr(waiting_line.sys, "stderr", out)
    clock[0] += 0.5
    WaitingLine()(100, 100)
    assert out.getvalue() == ""
    file = io.StringIO()
    monkeypatch.setattr(waiting_line.sys, "stderr", file)
    line = WaitingLine()
    clock[0] += 5
    line(50, 100)
    assert file.getvalue() == ""


class Shell:
    """A kernel whose cell was sent by a front end that can, or cannot, ask its user."""

    def __init__(self, *, allow_stdin):
        self.kernel = self
        self.content = {"allow_stdin": allow_stdin}

    def get_parent(self, channel):
        assert channel == "shell"
        return {"content": self.content}


@pytest.fixture
def shown(monkeypatch):
    import IPython.display

    said = []

    class Handle:
        def update(self, bundle, raw):
            said.append(("update", bundle["text/plain"]))

    def display(bundle, *, raw, display_id):
        said.append(("display", bundle["text/plain"]))
        return Handle()

    monkeypatch.delenv("NBTRANSFER_HEADLESS", raising=False)
    monkeypatch.setattr(IPython.display, "display", display)
    return said


def wait_four_seconds(clock):
    line = WaitingLine()
    clock[0] += 2
    line(50, 100)
    clock[0] += 2
    line(100, 100)


def test_a_cell_has_one_output_that_is_updated(monkeypatch, clock, shown):
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", lambda: Shell(allow_stdin=True))
    wait_four_seconds(clock)
    assert shown == [
        ("display", "50 of 100 rows read, about 0:02 left"),
        ("update", "100 rows read in 0:04"),
    ]


def test_a_notebook_that_nobody_watches_is_left_without_a_line(monkeypatch, clock, shown):
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", lambda: Shell(allow_stdin=False))
    wait_four_seconds(clock)
    assert shown == []
