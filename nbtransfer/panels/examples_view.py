"""Written texts beside what they were written for and what was wanted, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.panels.markup import Markup, join, tag
from nbtransfer.tasks.metric_words import metric_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbtransfer.runs.state import RunState
    from nbtransfer.tasks.findings import Example

_MAX_ROWS = 8
_MAX_TEXT = 240
_HEADING = "jp-toc-ignore"


def examples_table(examples: Sequence[Example], title: str = "Examples") -> Markup:
    """Return source, target and output side by side, each with its chrF."""
    heads = ("source", "target", "output", "chrF")
    body = [
        tag(
            "tr",
            tag("td", _cut(example.source), class_="nbt-text"),
            tag("td", _cut(example.target), class_="nbt-text"),
            tag("td", _cut(example.output) or "(nothing)", class_="nbt-text"),
            tag("td", f"{example.score:.0f}"),
        )
        for example in examples[:_MAX_ROWS]
    ]
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads))),
        tag("tbody", *body),
        class_="nbt-table nbt-texts",
    )
    return join(tag("h4", title, class_=_HEADING), tag("div", table, class_="nbt-scroll"))


def latest_examples(state: RunState) -> Markup | None:
    """Return the examples of the last evaluation, or None where no texts are written."""
    if not state.evaluations or not state.evaluations[-1].examples:
        return None
    row = state.evaluations[-1]
    title = f"Written after step {row.step:,}"
    return tag("div", examples_table(row.examples, title), class_="nbt-section")


def signature_lines(signatures: Mapping[str, str]) -> list[str]:
    """Return how each metric was counted; metrics counted alike share a line."""
    names: dict[str, list[str]] = {}
    for name, signature in signatures.items():
        if signature:
            names.setdefault(signature, []).append(metric_word(name))
    return [f"{', '.join(words)}: {signature}" for signature, words in names.items()]


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…"
