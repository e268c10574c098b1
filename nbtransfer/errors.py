"""The errors nbtransfer raises, and how they are shown.

    NbTransferError
    ├── SpecError             what was asked cannot be done as asked (options, names, values)
    ├── DataError             the data cannot be read, or does not fit the task
    ├── ModelError            the model cannot be found, read, or does not fit the task
    ├── RunError              a run failed, or is not in the state the call needs; has `.run`
    └── MissingPackageError   an optional package is not installed

A message says what is wrong, what was found and what to do next, in one line per problem. These are
the user's errors, so a notebook prints the message without a traceback; the cell still fails.
`options.show_traceback = True` brings the traceback back. Bugs in nbtransfer are ordinary
exceptions and keep theirs.
"""

from __future__ import annotations

import difflib
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbtransfer.runs.run import Run

__all__ = [
    "DataError",
    "MissingPackageError",
    "ModelError",
    "NbTransferError",
    "RunError",
    "SpecError",
    "count_of",
    "nearest",
    "quoted",
]


class NbTransferError(Exception):
    """Base of all errors a user can cause or must act on."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython prints: the message, or the full traceback on request."""
        from nbtransfer.settings import options

        if options.show_traceback:
            return "".join(traceback.format_exception(self)).splitlines()
        return [f"{type(self).__name__}: {self}"]


class _ProblemsError(NbTransferError):
    """An error that carries every problem found, so that the user mends them in one go."""

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        lines = self.problems if len(self.problems) == 1 else [f"- {p}" for p in self.problems]
        lead = "" if len(self.problems) == 1 else f"{len(self.problems)} problems:\n"
        super().__init__(lead + "\n".join(lines))


class SpecError(_ProblemsError):
    """What was asked for cannot be done as asked."""


class DataError(_ProblemsError):
    """The data cannot be read, or does not fit the task."""


class ModelError(_ProblemsError):
    """The model cannot be found or read, or does not fit the task."""


class RunError(NbTransferError):
    """A run failed, or is not in the state the call needs.

    Attributes:
        run: the run concerned, or None where none was found.
    """

    def __init__(self, message: str, run: Run | None = None) -> None:
        super().__init__(message)
        self.run = run


class MissingPackageError(NbTransferError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, needed_for: str, install: str | None = None) -> None:
        super().__init__(
            f"{needed_for} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install {install or package}"
        )


def quoted(value: object, limit: int = 60) -> str:
    """Return `repr(value)` cut to `limit` characters, for use inside a message."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def count_of(count: int, noun: str) -> str:
    """Return `1 row`, `2 rows`, `1,500 rows`: a number with a noun whose plural takes an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice that goes on from `name` or is spelled most like it, if any is close."""
    by_folded = {choice.casefold(): choice for choice in choices}
    longer = [choice for folded, choice in by_folded.items() if folded.startswith(name.casefold())]
    if len(longer) == 1 and len(name.lstrip("-")) > 2:
        return longer[0]
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None
