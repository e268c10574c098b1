"""Answers in their contexts: what a report gets wrong, and what `%predict` found.

A right answer is a `mark`, what the model said is underlined (`u`), so that both can be told apart
on a page that drops styles; the plain text says the same in words.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from IPython.display import display

from nbtransfer.panels.markup import Markup, join, style_sheet, tag
from nbtransfer.panels.quantities import share_text
from nbtransfer.panels.style import card
from nbtransfer.panels.text_table import text_table
from nbtransfer.tasks.answer_findings import excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbtransfer.runs.report import Report
    from nbtransfer.tasks.findings import AnswerRow
    from nbtransfer.tasks.question_answering import Answer

MAX_SHOWN = 8
MAX_PREDICTED = 20
_NO_ANSWER = "no answer"
# `.nbt.nbt.nbt`: the sheet of a later card on the page must not win over these.
_STYLE = (
    ".nbt.nbt.nbt mark{color:inherit;padding:0;border-radius:2px;"
    "background:color-mix(in srgb,var(--nbt-good) 24%,transparent)}"
    ".nbt.nbt.nbt u{text-decoration:underline 2px var(--nbt-accent);text-underline-offset:2px}"
    ".nbt.nbt.nbt .nbt-context{margin:2px 0;overflow-wrap:anywhere}"
)

Place = tuple[int, int]


def marked_context(context: str, right: Sequence[Place], said: Place | None) -> Markup:
    """Return a context with its right answers marked and the one that was given underlined.

    Args:
        context: the text.
        right: first character and the one after the last of each right answer.
        said: the same of the model's answer, None for "there is no answer".
    """
    places = [*right, *([] if said is None else [said])]
    borders = sorted({0, len(context), *(edge for place in places for edge in place)})
    parts: list[object] = []
    for start, end in itertools.pairwise(borders):
        part: object = context[start:end]
        if said is not None and said[0] <= start and end <= said[1]:
            part = tag("u", part)
        if any(first <= start and end <= last for first, last in right):
            part = tag("mark", part)
        parts.append(part)
    return join(*parts)


def wrong_answers(report: Report) -> Markup:
    """Return a report's wrong answers in their contexts, the surest first."""
    shown = report.answers[:MAX_SHOWN]
    total = report.num_mistakes
    heading = (
        f"The surest {len(shown)} of {total:,} wrong answers" if total > 1 else "A wrong answer"
    )
    return join(
        style_sheet(_STYLE),
        tag("h4", heading, class_="jp-toc-ignore"),
        tag(
            "p",
            tag("mark", "right answers are marked"),
            ", ",
            tag("u", "what the model said is underlined"),
            class_="nbt-note",
        ),
        tag("ul", *map(_wrong_answer, shown), class_="nbt-list"),
    )


def _wrong_answer(row: AnswerRow) -> Markup:
    said = _NO_ANSWER if row.predicted is None else row.context[slice(*row.predicted)]
    right = dict.fromkeys(row.context[first:last] for first, last in row.right)
    return tag(
        "li",
        tag("b", row.question),
        tag("p", marked_context(row.context, row.right, row.predicted), class_="nbt-context"),
        tag(
            "span",
            f"{100 * row.probability:.0f} % {said}, is ",
            tag("b", " / ".join(right) or _NO_ANSWER),
            f" · F1 {row.f1:.2f} · row {row.row:,}",
            class_="nbt-note",
        ),
    )


def show_answers(asked: Sequence[Mapping[str, str]], found: Sequence[Answer]) -> None:
    """Show what `%predict` found: each question, its answer, and where it stands.

    Args:
        asked: the questions with their contexts, or the first of them.
        found: the answers to all.
    """
    html = str(answers_markup(asked, found))
    display({"text/html": html, "text/plain": answers_text(asked, found)}, raw=True)  # type: ignore[no-untyped-call]


def answers_markup(asked: Sequence[Mapping[str, str]], found: Sequence[Answer]) -> Markup:
    """Return the answers as a card."""
    shown = list(zip(asked[:MAX_PREDICTED], found, strict=False))
    note = _more(len(found) - len(shown))
    return card(
        style_sheet(_STYLE),
        *(_found(one, answer) for one, answer in shown),
        tag("p", note, class_="nbt-note nbt-section") if note else None,
    )


def _found(asked: Mapping[str, str], answer: Answer) -> Markup:
    said = (answer.start, answer.end) if answer.answer else None
    context, _, place = excerpt(asked["context"], [], said)
    return tag(
        "div",
        tag("span", asked["question"], class_="nbt-dim"),
        tag(
            "p",
            tag("b", answer.answer or _NO_ANSWER),
            tag("span", f" · {share_text(answer.score)}", class_="nbt-dim"),
        ),
        tag("p", marked_context(context, [], place), class_="nbt-context nbt-note"),
        class_="nbt-section",
    )


def answers_text(asked: Sequence[Mapping[str, str]], found: Sequence[Answer]) -> str:
    """Return the answers as a table in plain text."""
    shown = list(zip(asked[:MAX_PREDICTED], found, strict=False))
    rows = [
        (one["question"], answer.answer or _NO_ANSWER, share_text(answer.score))
        for one, answer in shown
    ]
    table = text_table(("question", "answer", "probability"), rows, limit=60)
    return "\n".join(filter(None, [table, _more(len(found) - len(shown))]))


def _more(count: int) -> str:
    return f"and {count:,} more in the list that %predict returns" if count else ""
