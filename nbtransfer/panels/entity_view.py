"""Texts with the entities marked in them: found ones, or those that are there against the found."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.panels.markup import Markup, join, style_sheet, tag
from nbtransfer.panels.quantities import share_text
from nbtransfer.panels.style import card

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbtransfer.tasks.findings import MarkedSpan, MarkedText
    from nbtransfer.tasks.token_classification import Entities

MAX_TEXTS = 20
_MAX_CHARACTERS = 2_000
_MAX_LABEL = 30

# `.nbt.nbt.nbt`: the sheet of a later card on the page must not win over these.
STYLE = (
    ".nbt.nbt.nbt .nbt-marked{line-height:2;overflow-wrap:anywhere}"
    ".nbt.nbt.nbt mark{padding:2px 4px;border-radius:4px;color:var(--nbt-fg);"
    "background:var(--nbt-soft);border:1px solid var(--nbt-good)}"
    ".nbt.nbt.nbt mark.nbt-missed{border:1px dashed var(--nbt-warn)}"
    ".nbt.nbt.nbt mark.nbt-wrong{border:1px solid var(--nbt-bad)}"
    ".nbt.nbt.nbt mark b{font-size:10.5px;margin-left:5px;color:var(--nbt-dim)}"
    ".nbt.nbt.nbt .nbt-which{display:inline-block;min-width:3.5em;font-size:11px;"
    "color:var(--nbt-dim)}"
)


class Mark(NamedTuple):
    """Characters to mark: `kind` is empty, `missed` or `wrong`; `title` is said on hovering."""

    start: int
    end: int
    label: str
    kind: str = ""
    title: str | None = None


def marked_markup(text: str, marks: Sequence[Mark]) -> Markup:
    """Return a text with its marks, which must not overlap; each names its type."""
    parts: list[object] = []
    place = 0
    for mark in marks:
        sign = " ✗" if mark.kind else ""
        parts += [
            text[place : mark.start],
            tag(
                "mark",
                text[mark.start : mark.end],
                tag("b", " ", _cut(mark.label), sign),
                class_=f"nbt-{mark.kind}" if mark.kind else None,
                title=mark.title,
            ),
        ]
        place = mark.end
    return join(*parts, text[place:])


def marked_text(text: str, marks: Sequence[Mark]) -> str:
    """Return the same as plain text on one line, as in `[Ada PER] lives in [Leeds LOC ✗]`."""
    parts, place = [], 0
    for mark in marks:
        sign = " ✗" if mark.kind else ""
        inside = f"[{text[mark.start : mark.end]} {_cut(mark.label)}{sign}]"
        parts += [text[place : mark.start], inside]
        place = mark.end
    whole = " ".join("".join([*parts, text[place:]]).split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in whole)


def both_marks(example: MarkedText) -> tuple[list[Mark], list[Mark]]:
    """Return what there is, missed or not, and what was found, wrong or not."""
    there = [_mark(span, example.predicted, "missed") for span in example.gold]
    found = [_mark(span, example.gold, "wrong") for span in example.predicted]
    return there, found


def _mark(span: MarkedSpan, others: Iterable[MarkedSpan], kind: str) -> Mark:
    is_right = span in others
    return Mark(*span, kind="" if is_right else kind, title=None if is_right else kind)


def examples_markup(examples: Sequence[MarkedText]) -> Markup:
    """Return sentences as they are above what was found in them."""
    return tag("ul", *map(_example, examples), class_="nbt-list")


def _example(example: MarkedText) -> Markup:
    there, found = both_marks(example)
    return tag(
        "li",
        *(
            tag(
                "div",
                tag("span", which, class_="nbt-which"),
                " ",
                marked_markup(example.text, marks),
                class_="nbt-marked",
            )
            for which, marks in (("is", there), ("found", found))
        ),
        tag("span", f"row {example.row:,}", class_="nbt-note"),
    )


def examples_text(examples: Sequence[MarkedText]) -> str:
    """Return the same as lines of plain text."""
    lines = []
    for example in examples:
        there, found = both_marks(example)
        lines += [
            f"is     {marked_text(example.text, there)}",
            f"found  {marked_text(example.text, found)}  (row {example.row:,})",
        ]
    return "\n".join(lines)


def found_bundle(found: Sequence[Entities]) -> dict[str, str]:
    """Return the first texts with what was found in them, as HTML and as plain text."""
    shown = [(_kept(each), each) for each in found[:MAX_TEXTS]]
    more = len(found) - len(shown)
    note = f"and {more:,} more in the list that %predict returns" if more else None
    lines = [marked_text(each.text[:_MAX_CHARACTERS], marks) for marks, each in shown]
    items = (
        tag("li", marked_markup(each.text[:_MAX_CHARACTERS], marks), class_="nbt-marked")
        for marks, each in shown
    )
    html = card(
        style_sheet(STYLE),
        tag("div", tag("ul", *items, class_="nbt-list"), class_="nbt-section"),
        tag("p", note, class_="nbt-note nbt-section") if note else None,
    )
    return {"text/html": str(html), "text/plain": "\n".join(filter(None, [*lines, note]))}


def _kept(found: Entities) -> list[Mark]:
    return [
        Mark(e.start, e.end, e.label, title=f"{e.label}, {share_text(e.score)}")
        for e in found.entities
        if e.end <= _MAX_CHARACTERS
    ]


def _cut(label: str) -> str:
    return label if len(label) <= _MAX_LABEL else label[: _MAX_LABEL - 1] + "…"
