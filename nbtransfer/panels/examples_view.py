"""Written texts beside what they were written for and what was wanted, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.panels.markup import Markup, join, tag
from nbtransfer.tasks.language_samples import GAP, OTHER_GAP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbtransfer.runs.state import EvaluationRow, RunState
    from nbtransfer.tasks.findings import Example

_MAX_ROWS = 8
_MAX_TEXT = 240
_LAST_EVALUATIONS = 3  # beside the first
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


def samples_table(state: RunState) -> Markup | None:
    """Return what a language model said of a few held-out texts, evaluation beside evaluation."""
    shown = _sampled(state)
    if not shown:
        return None
    first = shown[0]
    heads = ("held-out text", "what stands there", *map(_when, shown))
    body = [
        tag(
            "tr",
            tag("td", _cut(sample.text), class_="nbt-text"),
            tag("td", _cut(sample.right), class_="nbt-text"),
            *(
                tag("td", _cut(row.samples[i].said) or "(nothing)", class_="nbt-text")
                for row in shown
            ),
        )
        for i, sample in enumerate(first.samples[:_MAX_ROWS])
    ]
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads))),
        tag("tbody", *body),
        class_="nbt-table nbt-texts",
    )
    gaps = f"{GAP} is the hidden token in question, {OTHER_GAP} another one that is hidden too."
    has_gaps = any(GAP in sample.text for sample in first.samples)
    return tag(
        "div",
        tag("h4", "What the model says", class_=_HEADING),
        tag("div", table, class_="nbt-scroll"),
        tag("p", gaps, class_="nbt-note") if has_gaps else None,
        class_="nbt-section",
    )


def samples_lines(state: RunState) -> list[str]:
    """Return the same as lines of plain text: the text, what stands there, what was said."""
    shown = _sampled(state)
    lines = []
    for i, sample in enumerate(shown[0].samples[:_MAX_ROWS] if shown else ()):
        lines += [f"“{_cut(sample.text)}”", f"    what stands there: {_cut(sample.right)}"]
        lines += [f"    {_when(row)}: {_cut(row.samples[i].said) or '(nothing)'}" for row in shown]
    return lines


def _sampled(state: RunState) -> list[EvaluationRow]:
    """Return the first evaluation with samples, and the last ones with as many."""
    rows = [row for row in state.evaluations if row.samples]
    alike = [row for row in rows if len(row.samples) == len(rows[0].samples)]
    return [*alike[:1], *alike[1:][-_LAST_EVALUATIONS:]]


def _when(row: EvaluationRow) -> str:
    return "before" if row.step == 0 else f"step {row.step:,}"


def latest_examples(state: RunState) -> Markup | None:
    """Return the examples of the last evaluation, or None where no texts are written.

    Of a language model, what it said at earlier ones too.
    """
    if not state.evaluations or not state.evaluations[-1].examples:
        return samples_table(state)
    row = state.evaluations[-1]
    title = f"Written after step {row.step:,}"
    return tag("div", examples_table(row.examples, title), class_="nbt-section")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…"
