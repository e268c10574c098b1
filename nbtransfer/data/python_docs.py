"""`demo:python-docs`: the language reference that every Python carries in `pydoc_data.topics`.

It is what `help("assert")` shows: about 80 topics, under the licence of Python itself. A document
is a section of a topic. Topics are held out whole, by a hash of their names: other versions of
Python have other texts, but the same topics in each split. Long topics repeat whole sections of
short ones, so a paragraph stays only where it stands first: none is on two sides.
"""

from __future__ import annotations

import hashlib
import re
import sys
from typing import TYPE_CHECKING

from nbtransfer.data.columns import table_from_columns
from nbtransfer.data.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

_RULE = re.compile(r"([*=\-~^])\1{2,}")
# Of 100: topics whose hash falls below are tested on, then validated on, the rest trained on. The
# salt is one that gives each split its share of the text, not of the topics alone.
_TEST, _VALIDATION, _SALT = 10, 22, "364"
_MIN_CHARACTERS = 40  # a shorter section is a title and nothing else


def load_python_docs() -> Tables:
    """Return the documents as text and page, by split."""
    from pydoc_data.topics import topics

    rows: dict[str, dict[str, list[str]]] = {
        split: {"text": [], "page": []} for split in ("train", "validation", "test")
    }
    seen: set[str] = set()
    # Short topics first: what a long one repeats of them is left out there.
    for topic in sorted(topics, key=lambda name: (len(topics[name]), name)):
        split = split_of(topic)
        for section in sections(topics[topic]):
            text = _without_repeated(section, seen)
            if len(text) >= _MIN_CHARACTERS:
                rows[split]["text"].append(text)
                rows[split]["page"].append(topic)
    version = ".".join(map(str, sys.version_info[:3]))
    splits = {split: table_from_columns(columns) for split, columns in rows.items()}
    return Tables("demo:python-docs", f"the documentation of Python {version}", splits)


def split_of(topic: str) -> str:
    """Return the split that a topic belongs to, the same on every machine."""
    digest = hashlib.sha256(f"{_SALT} {topic}".encode()).digest()
    place = int.from_bytes(digest[:4], "big") % 100
    return "test" if place < _TEST else "validation" if place < _VALIDATION else "train"


def sections(topic: str) -> Iterator[str]:
    """Yield a topic's sections: from one underlined heading to the next."""
    lines = topic.splitlines()
    starts = [i - 1 for i, line in enumerate(lines) if i and _RULE.fullmatch(line)]
    for start, end in zip([0, *starts], [*starts, len(lines)], strict=True):
        yield "\n".join(lines[start:end]).strip()


def _without_repeated(section: str, seen: set[str]) -> str:
    """Return the section without paragraphs that were seen before; it adds its own."""
    kept = []
    for paragraph in section.split("\n\n"):
        # The same heading is underlined in another way elsewhere.
        lines = [line for line in paragraph.splitlines() if not _RULE.fullmatch(line.strip())]
        key = " ".join(" ".join(lines).split())
        if key and key not in seen:
            seen.add(key)
            kept.append(paragraph)
    return "\n\n".join(kept)
