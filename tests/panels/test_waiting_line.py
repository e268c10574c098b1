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


def test_a_cell_has_one_output_that_is_updated(monkeypatch, clock):
    import IPython
    import IPython.display

    shown = []

    class Handle:
        def update(self, bundle, raw):
            shown.append(("update", bundle["text/plain"]))

    def display(bundle, *, raw, display_id):
        shown.append(("display", bundle["text/plain"]))
        return Handle()

    class Shell:
        kernel = object()

    monkeypatch.setattr(IPython, "get_ipython", Shell)
    monkeypatch.setattr(IPython.display, "display", display)
    line = WaitingLine()
    clock[0] += 2
    line(50, 100)
    clock[0] += 2
    line(100, 100)
    assert shown == [
        ("display", "50 of 100 rows read, about 0:02 left"),
        ("update", "100 rows read in 0:04"),
    ]
