"""What `%predict` shows: each text with its class and the probabilities, or what else was said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.display import display

from nbtransfer.panels.answer_view import show_answers
from nbtransfer.panels.entity_view import found_bundle
from nbtransfer.panels.markup import Markup, tag
from nbtransfer.panels.quantities import share_text
from nbtransfer.panels.style import card
from nbtransfer.panels.text_table import text_table
from nbtransfer.tasks.question_answering import Answer
from nbtransfer.tasks.text_classification import Prediction
from nbtransfer.tasks.token_classification import Entities

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ROWS = 20
MAX_CLASSES = 4
MAX_TEXT = 200


def show_predictions(asked: Sequence[Any], predictions: Sequence[Any]) -> None:
    """Show the first predictions as a table; entities and answers marked in their texts.

    Args:
        asked: the rows, or the first of them.
        predictions: what was said of all.
    """
    if predictions and isinstance(predictions[0], Entities):
        display(found_bundle(predictions), raw=True)  # type: ignore[no-untyped-call]
        return
    if predictions and isinstance(predictions[0], Answer):
        show_answers(asked, predictions)
        return
    texts = [_text_of(row) for row in asked]
    headings, rows = prediction_rows(texts, predictions)
    more = len(predictions) - len(rows)
    note = f"and {more:,} more in the list that %predict returns" if more else ""
    text = "\n".join(filter(None, [text_table(headings, rows, limit=60), note]))
    html = str(predictions_markup(headings, rows, note))
    display({"text/html": html, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]


def prediction_rows(
    texts: Sequence[str], predictions: Sequence[Prediction]
) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells: the text, then what the task says of it.

    Of classes: the likeliest, its probability, then every class if they are few.
    """
    headings: list[str] = []
    rows = []
    for text, found in zip(texts[:MAX_ROWS], predictions, strict=False):
        cells = _class_cells(found) if isinstance(found, Prediction) else found.cells()
        headings = list(cells)
        rows.append([_cut(text), *map(_cut, cells.values())])
    return ["text", *headings], rows


def _text_of(row: object) -> str:
    """Return a row in one line: of several texts, one after the other."""
    if isinstance(row, Mapping):
        row = tuple(row.values())
    return " | ".join(map(str, row)) if isinstance(row, (tuple, list)) else str(row)


def _class_cells(found: Prediction) -> dict[str, str]:
    names = list(found.probabilities)
    shown = names if 2 < len(names) <= MAX_CLASSES else []
    each = {name: share_text(found.probabilities[name]) for name in shown}
    return {"class": found.label, "probability": share_text(found.score), **each}


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"


def _row(headings: list[str], cells: list[str]) -> Markup:
    """Return a row; cells of texts wrap."""
    kinds = ["nbt-text" if name in ("text", "output") else None for name in headings]
    return tag("tr", *(tag("td", c, class_=k) for c, k in zip(cells, kinds, strict=True)))


def predictions_markup(headings: list[str], rows: list[list[str]], note: str) -> Markup:
    """Return the table as a card."""
    return card(
        tag(
            "div",
            tag(
                "table",
                tag("thead", tag("tr", *(tag("th", name, scope="col") for name in headings))),
                tag("tbody", *(_row(headings, row) for row in rows)),
                class_="nbt-table nbt-texts",
            ),
            class_="nbt-scroll",
        ),
        tag("p", note, class_="nbt-note nbt-section") if note else None,
    )
