"""The table of runs that `%runs` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from IPython.display import display

from nbtransfer.errors import RunError
from nbtransfer.panels.markup import Markup, tag
from nbtransfer.panels.quantities import duration_text
from nbtransfer.panels.style import card
from nbtransfer.panels.text_table import text_table
from nbtransfer.tasks.metric_words import metric_text, metric_word, shown_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbtransfer.runs.run import Run

_HEADINGS = ("name", "status", "model", "data", "metric", "time")
_GOOD = ("completed", "stopped")
_BAD = ("failed", "lost", "damaged")


class RunRow(NamedTuple):
    """One run in words; figures that there are none of yet are empty."""

    name: str
    status: str
    model: str
    data: str
    metric: str
    time: str


def show_runs(runs: Iterable[Run]) -> None:
    """Show the runs as one table, in the order given."""
    rows = [run_row(run) for run in runs]
    bundle = {"text/html": runs_markup(rows), "text/plain": runs_text(rows)}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def run_row(run: Run) -> RunRow:
    """Return what the table says of `run`; a damaged folder is named as such, not raised."""
    try:
        spec, metrics = run.spec, run.metrics()
        status: str = run.status
    except (RunError, KeyError, TypeError) as error:
        return RunRow(run.id, "damaged", "", "", str(error), "")
    asked = spec.metric_for_best_model
    name = f"eval_{asked}" if asked else next(iter(shown_metrics(metrics)), "")
    value = metrics.get(name)
    metric = "" if value is None else f"{metric_word(name)} {metric_text(name, value)}"
    runtime = metrics.get("train_runtime_s", 0.0)
    return RunRow(
        run.id,
        status,
        spec.model,
        spec.data,
        metric,
        duration_text(runtime) if runtime else "",
    )


def runs_markup(rows: Sequence[RunRow]) -> Markup:
    """Return the table as a card."""
    counted = f"{len(rows)} run{'' if len(rows) == 1 else 's'}"
    head = tag(
        "div",
        tag("strong", "Runs", class_="nbt-title"),
        tag("span", " ", counted if rows else _NONE, class_="nbt-dim"),
        class_="nbt-head",
    )
    if not rows:
        return card(head)
    return card(
        head,
        tag(
            "div",
            tag(
                "table",
                tag("thead", tag("tr", *(tag("th", words, scope="col") for words in _HEADINGS))),
                tag("tbody", *map(_row_markup, rows)),
                class_="nbt-table",
            ),
            class_="nbt-section nbt-scroll",
        ),
    )


def runs_text(rows: Sequence[RunRow]) -> str:
    """Return the table as plain text."""
    return text_table(_HEADINGS, rows) if rows else f"Runs: {_NONE}"


_NONE = "none yet; start one with %finetune"


def _row_markup(row: RunRow) -> Markup:
    kind = " nbt-chip-done" if row.status in _GOOD else ""
    kind = " nbt-chip-bad" if row.status in _BAD else kind
    return tag(
        "tr",
        tag("th", tag("b", row.name), scope="row"),
        tag("td", tag("span", row.status, class_="nbt-chip" + kind)),
        *(tag("td", words) for words in row[2:]),
    )
