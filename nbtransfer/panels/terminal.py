"""A run in a plain terminal: one line that is written anew, and the card as text at the end."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, TextIO

from nbtransfer.panels import run_view as view
from nbtransfer.panels.run_card import card_text
from nbtransfer.tasks.metric_words import metric_text, metric_word, shown_metrics

if TYPE_CHECKING:
    from nbtransfer.panels.follower import Update
    from nbtransfer.panels.run_view import About
    from nbtransfer.runs.run import Run
    from nbtransfer.runs.state import RunState


class TerminalLine:
    """Writes a run's progress to `out`.

    Where `out` is a terminal the line is written over; elsewhere (a file, a pipe) a new line comes
    with each phase and each evaluation, so that a log stays short.
    """

    def __init__(self, run: Run, about: About, out: TextIO) -> None:
        self._run = run
        self._about = about
        self._out = out
        self._rewrites = out.isatty()
        self._opened = time.time()
        self._milestone: tuple[str, int] | None = None
        self._width = 0

    def render(self, update: Update) -> None:
        """Write where the run stands."""
        if update.is_final:
            return
        milestone = (view.phase_of(update.state, update.status), len(update.state.evaluations))
        if not self._rewrites and milestone == self._milestone:
            return
        self._milestone = milestone
        self._write(progress_line(self._about, update.state, update.status, self._opened))

    def say(self, sentence: str) -> None:
        """Write `sentence` on a line of its own."""
        self._write(sentence)
        if self._rewrites:
            self._out.write("\n")
        self._width = 0
        self._out.flush()

    def open(self) -> None:
        """Write what was chosen for the run, which is better read before it than after."""
        for note in self._about.notes:
            self._out.write(note + "\n")
        self._out.flush()

    def close(self, state: RunState, status: str) -> None:
        """Take the line away and write the card."""
        if self._rewrites:
            self._write("")
            self._out.write("\r")
        told = self._about.notes
        text = card_text(self._about, state, status, self._run.dir, time.time(), told=told)
        self._out.write(text + "\n")
        self._out.flush()

    def _write(self, text: str) -> None:
        if self._rewrites:
            text = text[: shutil.get_terminal_size().columns - 1]
            self._out.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._out.write(text + "\n")
        self._out.flush()


def progress_line(about: About, state: RunState, status: str, opened: float) -> str:
    """Return one line: name, phase, step, loss, last evaluation, times."""
    parts = [f"{about.name}: {view.phase_of(state, status)}"]
    if state.steps:
        parts.append(f"step {state.step:,} of {state.num_steps:,}")
        parts.append(f"loss {view.figure_text(state.steps[-1].loss)}")
    if state.evaluations:
        metrics = state.evaluations[-1].metrics
        parts += [
            f"{metric_word(n)} {metric_text(n, metrics[n])}" for n in shown_metrics(metrics)[:1]
        ]
    parts.append(view.clock_text(about, state, status, time.time(), opened))
    return " · ".join(parts)
