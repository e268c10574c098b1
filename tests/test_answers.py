"""Tests of nbtransfer.answers: which rows are measured, as far as that goes without a worker."""

from __future__ import annotations

from types import SimpleNamespace

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
