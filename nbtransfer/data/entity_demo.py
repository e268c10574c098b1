"""`demo:entities`: sentences of our own with people, organisations, places and dates marked.

People and organisations are invented. No name of validation or test stands in train, and neither
does any of their sentences, so that a model cannot know them by heart.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtransfer.data.columns import table_from_columns

if TYPE_CHECKING:
    import pyarrow as pa

_FILE = Path(__file__).with_name("entities.txt")
_MARKED = re.compile(r"\[([^|\]]+)\|([A-Z]+)\]")


def entity_splits() -> dict[str, pa.Table]:
    """Return the splits as columns text and entities, each with start, end and label."""
    rows: dict[str, list[tuple[str, list[dict[str, Any]]]]] = {}
    for line in _FILE.read_text("utf-8").splitlines():
        split, _, marked = line.partition("\t")
        rows.setdefault(split, []).append(read_marked(marked))
    return {
        split: table_from_columns(
            {"text": [text for text, _ in some], "entities": [marks for _, marks in some]}
        )
        for split, some in rows.items()
    }


def read_marked(marked: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the text of `[Ada Byron|PER] lives here.` and the places of what is marked in it."""
    text, spans, place = "", [], 0
    for match in _MARKED.finditer(marked):
        text += marked[place : match.start()]
        start = len(text)
        text += match[1]
        spans.append({"start": start, "end": len(text), "label": match[2]})
        place = match.end()
    return text + marked[place:], spans
