"""Tags of words as entities: which way of writing them data uses, and turning it into IOB2.

IOB1 and IOB2 are told apart as by Tjong Kim Sang and Veenstra (1999): IOB1 writes B- only where an
entity follows another of its type at once, IOB2 at the beginning of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OUTSIDE = "O"
# Letters of other ways of writing: BILOU's last and unit, BMES's middle.
_SAME = {"L": "E", "U": "S", "M": "I"}


class Scheme(NamedTuple):
    """A way of writing entities as tags.

    Attributes:
        name: IOB1, IOB2, IOBES, BILOU, BMES or IO.
        num_strange_starts: entities that begin with I- although the scheme writes B- there.
        first_strange: the row of the first of them.
    """

    name: str
    num_strange_starts: int = 0
    first_strange: int = -1


def split_tag(tag: str) -> tuple[str, str] | None:
    """Return a tag's letter and its type (`O` has none), or None where it is no such tag."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    letter, hyphen, kind = tag.partition("-")
    if not hyphen or not kind.strip() or letter not in {"B", "I", "E", "S", *_SAME}:
        return None
    return letter, kind


def recognise_scheme(rows: Iterable[Sequence[str]]) -> Scheme | list[str]:
    """Return the scheme that tags are written in, or the tags that are of none.

    Args:
        rows: the tags of each sentence.
    """
    rows = [list(row) for row in rows]
    tags = {tag for row in rows for tag in row}
    parts = {tag: split_tag(tag) for tag in tags}
    odd = sorted(tag for tag, found in parts.items() if found is None)
    if odd:
        all_bare = len(odd) == len(tags - {OUTSIDE})
        return Scheme("IO") if all_bare and OUTSIDE in tags else odd
    letters = {found[0] for found in parts.values() if found is not None}
    if letters & {"L", "U"}:
        return Scheme("BILOU")
    if letters & {"E", "S", "M"}:
        return Scheme("BMES" if "M" in letters else "IOBES")
    num_b = num_i = 0  # entities that begin beside no other of their type, by their first letter
    first = -1
    for number, row in enumerate(rows):
        before = ""
        for tag in row:
            letter, kind = parts[tag] or (OUTSIDE, "")
            if letter != OUTSIDE and kind != before:
                num_b += letter == "B"
                num_i += letter == "I"
                first = number if letter == "I" and first < 0 else first
            before = kind
    if num_i and not num_b:
        return Scheme("IOB1")
    return Scheme("IOB2", num_i, first)


def to_iob2(tags: Sequence[str], scheme: str) -> list[str]:
    """Return tags of any scheme as IOB2."""
    found = []
    open_kind = ""  # the type of the entity that may go on
    for tag in tags:
        letter, kind = _parts(tag, scheme)
        if letter == OUTSIDE:
            found.append(OUTSIDE)
            open_kind = ""
            continue
        goes_on = letter in "IE" and kind == open_kind
        found.append(f"{'I' if goes_on else 'B'}-{kind}")
        open_kind = "" if letter in "ES" else kind
    return found


def _parts(tag: str, scheme: str) -> tuple[str, str]:
    if scheme == "IO":
        return (OUTSIDE, "") if tag == OUTSIDE else ("I", tag)
    letter, kind = split_tag(tag) or (OUTSIDE, "")
    return _SAME.get(letter, letter), kind


def entities_of(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return type, first word and the word after the last of each entity.

    I- that goes on nothing begins an entity, as in conlleval (Tjong Kim Sang and Buchholz, 2000)
    and in seqeval.

    Args:
        tags: IOB2, of one sentence.
    """
    found: list[tuple[str, int, int]] = []
    for place, tag in enumerate(to_iob2(tags, "IOB2")):
        if tag.startswith("B-"):
            found.append((tag[2:], place, place + 1))
        elif tag != OUTSIDE:
            kind, start, _ = found[-1]
            found[-1] = (kind, start, place + 1)
    return found


def tag_names(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return all IOB2 tags of entities of these types, `O` first."""
    return (OUTSIDE, *(f"{letter}-{kind}" for kind in sorted(kinds) for letter in "BI"))


def kinds_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the types of entities that tags name, in order of first sight."""
    return tuple(dict.fromkeys(name[2:] for name in names if name != OUTSIDE))
