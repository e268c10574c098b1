"""The report as a notebook shows it: a card of figures and texts, then the confusion matrix.

The card keeps its order and meaning where a page drops styles: real headings, tables and lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.display import display

from nbtransfer.panels.answer_view import wrong_answers
from nbtransfer.panels.entity_view import STYLE, examples_markup, examples_text
from nbtransfer.panels.examples_view import examples_table
from nbtransfer.panels.figure_bundle import show_figure
from nbtransfer.panels.markup import Markup, join, style_sheet, tag
from nbtransfer.panels.quantities import duration_text, share_text
from nbtransfer.panels.style import card
from nbtransfer.plots.confusion_matrix import (
    confusion_matrix_figure,
    confusion_matrix_info,
    confusion_matrix_png,
    confusion_matrix_text,
)
from nbtransfer.tasks.metric_words import signature_lines

if TYPE_CHECKING:
    from nbtransfer.runs.report import Report
    from nbtransfer.tasks.findings import ClassRow, Mistake

_MAX_MISTAKES = 8
_MAX_TEXT = 240
_MAX_NAME = 60
_MAX_CLASSES = 20
# JupyterLab lists headings of outputs in its table of contents, where these would be noise.
_HEADING = "jp-toc-ignore"


def show_report(
    report: Report, *, title: str | None = None, note: str | None = None, png: bytes | None = None
) -> None:
    """Display a report: the card, then the confusion matrix.

    Args:
        report: what to show.
        title: the card's title; None takes the run's name.
        note: a remark in the card's head; None says how long the evaluation took.
        png: the confusion matrix as drawn already; None draws it.
    """
    html = report_card(report, title=title, note=note)
    plain = str(report)
    if report.marked:
        plain += "\n\n" + examples_text(report.marked[:_MAX_MISTAKES])
    bundle = {"text/html": str(html), "text/plain": plain}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]
    if not report.confusion_matrix:
        return
    info = confusion_matrix_info(report)
    show_figure(
        confusion_matrix_figure(info),
        confusion_matrix_png(info) if png is None else png,
        confusion_matrix_text(info),
    )


def report_card(report: Report, *, title: str | None = None, note: str | None = None) -> Markup:
    """Return the card: accuracy with its interval and what it beats, the classes, the mistakes."""
    if note is None:
        note = f"evaluated in {duration_text(report.duration_s)}"
    return card(
        tag(
            "div",
            tag("h3", _cut(title or report.run_id, _MAX_NAME), class_=f"nbt-title {_HEADING}"),
            # The blank parts it from the note where styles are taken away, as on GitHub.
            tag("span", f"on {report.split} · {_rows(report.num_rows)} ", class_="nbt-dim"),
            tag("span", note, class_="nbt-right nbt-dim") if note else None,
            class_="nbt-head",
        ),
        tag(
            "div",
            tag("div", _figures(report), _classes(report), class_="nbt-mid"),
            tag("div", _wrong(report), class_="nbt-wide"),
            class_="nbt-grid",
        ),
        *(tag("p", line, class_="nbt-note") for line in signature_lines(report.signatures)),
    )


def _figures(report: Report) -> Markup:
    (word, value), *values = report.figures
    values += [(_cut(name, _MAX_NAME), share_text(x)) for name, x in report.baselines.items()]
    if report.majority_accuracy is not None:
        values.append((report.words.majority, share_text(report.majority_accuracy)))
    interval = None
    if report.interval is not None:
        low, high = report.interval
        interval = tag("p", f"95 %: {100 * low:.1f} to {100 * high:.1f}", class_="nbt-note")
    return join(
        tag("div", word, class_="nbt-dim"),
        tag("div", value, class_="nbt-big"),
        interval,
        tag(
            "table",
            tag(
                "tbody",
                *(tag("tr", tag("th", k, scope="row"), tag("td", v)) for k, v in values),
            ),
            class_="nbt-kv",
        ),
    )


def _classes(report: Report) -> Markup:
    rows = list(report.per_class)
    if not rows:
        return join()
    heading, counted = report.words.several, "texts"
    if report.marked or report.task == "token-classification":
        counted = "stretches"
    if len(rows) > _MAX_CLASSES:
        # A class without rows has nothing to tell.
        rows = sorted((row for row in rows if row.support), key=lambda row: row.f1)[:_MAX_CLASSES]
        heading = f"{len(rows)} of {len(report.per_class)} {heading.lower()}, lowest F1 first"
    return join(
        tag("h4", heading, class_=_HEADING),
        tag(
            "div",
            tag(
                "table",
                tag(
                    "thead",
                    tag(
                        "tr",
                        *(
                            tag("th", name, scope="col", title=title)
                            for name, title in (
                                (report.words.one, None),
                                ("P", f"precision: of the {counted} called so, how many are"),
                                ("R", f"recall: of the {counted} that are, how many are called so"),
                                ("F1", "harmonic mean of precision and recall"),
                                (report.words.rows, None),
                            )
                        ),
                    ),
                ),
                tag("tbody", *map(_class_row, rows)),
                class_="nbt-table",
            ),
            class_="nbt-scroll",
        ),
    )


def _class_row(row: ClassRow) -> Markup:
    values = (f"{row.precision:.3f}", f"{row.recall:.3f}", f"{row.f1:.3f}")
    return tag(
        "tr",
        tag("th", _cut(row.label, _MAX_NAME), scope="row"),
        # Where no row carries the class, recall and F1 mean nothing.
        *(tag("td", value if row.support else "–") for value in values),
        tag("td", f"{row.support:,}"),
    )


def _wrong(report: Report) -> Markup:
    if report.examples:
        return examples_table(report.examples)
    if report.task != "token-classification":
        return _mistakes(report)
    if not report.marked:
        return tag("h4", "No wrong entity in these rows", class_=_HEADING)
    shown = report.marked[:_MAX_MISTAKES]
    heading = "Entities that are there, and those found: most mistakes first"
    return join(style_sheet(STYLE), tag("h4", heading, class_=_HEADING), examples_markup(shown))


def _mistakes(report: Report) -> Markup:
    if report.answers:
        return wrong_answers(report)
    shown = report.mistakes[:_MAX_MISTAKES]
    if not shown:
        return tag("h4", "No mistakes on these rows", class_=_HEADING)
    total = report.num_mistakes
    heading = f"The surest {len(shown)} of {total:,} mistakes" if total > 1 else "The one mistake"
    if shown[0].probability is None:
        heading = "The answers farthest off"
    return join(
        tag("h4", heading, class_=_HEADING),
        tag("ul", *map(_mistake, shown), class_="nbt-list"),
    )


def _mistake(mistake: Mistake) -> Markup:
    text = _cut(" ".join(mistake.text.split()), _MAX_TEXT)
    predicted, actual = _cut(mistake.predicted, _MAX_NAME), _cut(mistake.actual, _MAX_NAME)
    return tag(
        "li",
        f"“{text}” ",
        tag(
            "span",
            predicted
            if mistake.probability is None
            else f"{100 * mistake.probability:.0f} % {predicted}",
            ", is ",
            tag("b", actual),
            f" · row {mistake.row:,}",
            class_="nbt-note",
        ),
    )


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
