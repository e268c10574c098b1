"""Tests of nbtransfer.answers: which rows are measured, as far as that goes without a worker."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nbtransfer.answers import _rows_of
from nbtransfer.data.sources import load_tables
from nbtransfer.tasks.catalog import task_named

SIDES = [{"en": f"word {i}", "fr": f"mot {i}"} for i in range(6)]


def rows_of(task, trained_with, rows, **named):
    """Return the rows of other data as a run that was trained on `trained_with` reads them."""
    tables = load_tables(trained_with, name="df")
    card = task_named(task).prepare(tables, named, validation=False).card
    run = SimpleNamespace(data_card=card, id="a-run")
    return _rows_of(run, rows, None, {}, "new").rows


def test_a_translation_is_measured_in_the_direction_it_was_trained_in():
    rows = [{"translation": sides} for sides in SIDES]
    found = rows_of("translation", rows, rows, source="fr", target="en")
    assert found["source"].to_pylist()[:2] == ["mot 0", "mot 1"]
    assert found["target"].to_pylist()[:2] == ["word 0", "word 1"]
    flat = rows_of("translation", rows, SIDES, source="fr", target="en")
    assert flat.select(["source", "target"]) == found.select(["source", "target"])


CONTEXT = "Ada lives in Leeds."
ASKED = {"question": "where?", "context": CONTEXT}
MARKED = {"text": CONTEXT, "spans": [{"start": 0, "end": 3, "label": "PER"}]}
NOTHING_TO_LEARN = {
    "questions without an answer": (
        "question-answering",
        [{**ASKED, "answers": "Leeds"}, {**ASKED, "question": "who?", "answers": ""}],
        [{**ASKED, "answers": ""}],
    ),
    "targets that are all the same": ("translation", SIDES, [{"en": "a", "fr": "c"}] * 2),
    "targets that are their sources": ("translation", SIDES, [{"en": x, "fr": x} for x in "ab"]),
    "summaries that are all the same": (
        "summarization",
        [{"text": f"a long text {i}", "summary": f"{i}"} for i in range(4)],
        [{"text": x, "summary": "short"} for x in "ab"],
    ),
    "texts without an entity": ("token-classification", [MARKED], [{"text": "So.", "spans": []}]),
    "documents that are all the same": (
        "masked-language-modeling",
        [{"text": f"text {i}"} for i in range(4)],
        [{"text": "same"}, {"text": "same"}],
    ),
    "numbers that are all the same": (
        "text-regression",
        [{"text": f"text {i}", "score": i / 2} for i in range(4)],
        [{"text": "a", "score": 1.0}, {"text": "b", "score": 1.0}],
    ),
    "rows without a class": (
        "multi-label-classification",
        [{"text": f"text {i}", "labels": ["a"]} for i in range(4)],
        [{"text": "a", "labels": []}],
    ),
    "rows of one class": (
        "text-classification",
        [{"text": f"text {i}", "label": "ab"[i % 2]} for i in range(4)],
        [{"text": "c", "label": "a"}],
    ),
}


@pytest.mark.parametrize(
    ("task", "trained_with", "rows"), NOTHING_TO_LEARN.values(), ids=NOTHING_TO_LEARN
)
def test_rows_that_nothing_could_be_learnt_from_are_still_measured(task, trained_with, rows):
    assert rows_of(task, trained_with, rows).num_rows == len(rows)
