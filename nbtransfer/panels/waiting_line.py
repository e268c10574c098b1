"""One line for a wait that takes longer than a moment: how many rows are read, and how many not."""

from __future__ import annotations

import sys
import time
from typing import Any

from nbtransfer.panels.quantities import duration_text

_PATIENCE_S = 1.0  # what is over sooner needs no line


class WaitingLine:
    """Says how far a job has come, in a cell's output or over one line of a terminal.

    Called with the rows done and all rows, None where nobody knows how many come. In a file or a
    pipe it stays silent, and so it does where a notebook is executed with nobody watching: whether
    a line stood there would be up to the clock.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._handle: Any = None
        self._width = 0

    def __call__(self, done: int, total: int | None) -> None:
        """Say that `done` of `total` rows are read."""
        passed = time.monotonic() - self._began
        if passed >= _PATIENCE_S and total != 0:
            over = total is not None and done >= total
            self._write(waiting_words(done, total, passed), over=over)

    def _write(self, words: str, *, over: bool) -> None:
        from IPython.display import display

        from nbtransfer.panels.show import find_place

        place = find_place()
        if place == "widgets":
            bundle = {"text/plain": words}
            if self._handle is None:
                self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
            else:
                self._handle.update(bundle, raw=True)
        elif place == "terminal" and sys.stderr.isatty():
            sys.stderr.write("\r" + words.ljust(self._width) + ("\n" if over else ""))
            sys.stderr.flush()
            self._width = len(words)


def waiting_words(done: int, total: int | None, passed_s: float) -> str:
    """Return how far it is after `passed_s` seconds, and how long it may still take."""
    if total is None:
        return f"{done:,} rows read"
    if done >= total:
        return f"{total:,} rows read in {duration_text(passed_s)}"
    left = f", about {duration_text(passed_s * (total - done) / done)} left" if done else ""
    return f"{done:,} of {total:,} rows read{left}"
