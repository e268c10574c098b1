"""The small print of a run: choices that were made, where it went on from, what saving cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.errors import count_of
from nbtransfer.panels.markup import Markup, tag
from nbtransfer.panels.quantities import bytes_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbtransfer.panels.run_view import About
    from nbtransfer.runs.state import RunState


def note_lines(about: About, state: RunState) -> list[str]:
    """Return the choices that were made, each once, in the order they were made."""
    resumed = []
    if state.resumed_from is not None:
        from_where = f"resumed from the checkpoint at step {state.resumed_from:,}"
        resumed = [from_where if state.resumed_from else "begun again at step 0"]
    skipped = [
        f"checkpoint {name} was skipped: {reason}" for name, reason in state.skipped_checkpoints
    ]
    return list(dict.fromkeys([*about.notes, *state.notes, *resumed, *skipped, *_saves(state)]))


def _saves(state: RunState) -> list[str]:
    """Return what the checkpoints cost, once the run is over: while it runs that would flicker."""
    rows = state.checkpoints
    if not rows or not rows[-1].num_bytes or state.ending is None:
        return []
    waited = sum(row.stall_s for row in rows)
    return [
        f"{count_of(len(rows), 'checkpoint')} of {bytes_text(rows[-1].num_bytes)}; training waited "
        f"{waited:.2f} s for them in all, {max(row.stall_s for row in rows):.2f} s at most"
    ]


def notes_block(notes: Sequence[str]) -> Markup | None:
    """Return the notes as small print, or None where there are none."""
    if not notes:
        return None
    text = ". ".join(capital(note.rstrip(".")) for note in notes)
    return tag("div", tag("p", f"{text}.", class_="nbt-note"), class_="nbt-section")


def capital(text: str) -> str:
    """Return a sentence with its first letter large."""
    # A word with its own spelling (a column, a file, a parameter) keeps it.
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first.isalpha() and first.islower() else text
