"""Shows a line of text, or code, as a cell's output."""

from __future__ import annotations

from IPython.display import display


def say(text: str) -> None:
    """Show `text` as plain text."""
    display({"text/plain": text}, raw=True)  # type: ignore[no-untyped-call]
