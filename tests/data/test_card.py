"""The card counts what it says, and its fingerprint sees every change and only changes."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from nbtransfer.data.card import (
    DataCard,
    describe_columns,
    find_repetition,
    fingerprint,
    majority_share,
    text_ids,
)
from nbtransfer.data.sources import load_tables
from nbtransfer.tasks.labelled_data import prepare


def rows(texts, labels):
    return pa.table({"text": texts, "label": pa.array(labels, pa.int32())})


@pytest.fixture
def card() -> DataCard:
    data = {"text": [f"t{i} <b>" for i in range(20)], "label": ["a", "b"] * 10}
    return prepare(load_tables(data)).card


def test_card_survives_json(card):
    assert DataCard.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_card_of_a_newer_version_is_read(card):
    assert DataCard.from_json(card.to_json() | {"new_field": 1}) == card


CHANGES = {
    "a text": ({"train": rows(["ab", "d"], [0, 1])}, ("x", "y")),
    "where a text ends": ({"train": rows(["abc", ""], [0, 1])}, ("x", "y")),
    "a label": ({"train": rows(["ab", "c"], [0, 0])}, ("x", "y")),
    "the order": ({"train": rows(["c", "ab"], [1, 0])}, ("x", "y")),
    "a class name": ({"train": rows(["ab", "c"], [0, 1])}, ("x", "z")),
    "where a name ends": ({"train": rows(["ab", "c"], [0, 1])}, ("xy",)),
    "a row more": ({"train": rows(["ab", "c", ""], [0, 1, 0])}, ("x", "y")),
    "the split": ({"test": rows(["ab", "c"], [0, 1])}, ("x", "y")),
}
SAME = {"train": rows(["ab", "c"], [0, 1])}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_fingerprint_sees_the_change(changed):
    assert fingerprint(*changed) != fingerprint(SAME, ("x", "y"))


def test_fingerprint_does_not_see_chunks_or_slices():
    whole = rows(["no", "ab", "c", "no"], [1, 0, 1, 1]).slice(1, 2)
    chunked = pa.concat_tables([rows(["ab"], [0]), rows(["x"], [0]).slice(0, 0), rows(["c"], [1])])
    expected = fingerprint(SAME, ("x", "y"))
    assert fingerprint({"train": whole}, ("x", "y")) == expected
    assert fingerprint({"train": chunked}, ("x", "y")) == expected


def test_text_ids_are_equal_for_equal_texts_in_all_columns():
    first = pa.chunked_array([["a", "b"], ["a"]], type=pa.string())
    second = pa.chunked_array([["b", "c"]], type=pa.string())
    assert [ids.tolist() for ids in text_ids([first, second])] == [[0, 1, 0], [1, 2]]


def test_repetition_is_counted():
    def table(ids, labels):
        return pa.table({"text_id": pa.array(ids), "label": pa.array(labels)})

    found = find_repetition(
        {"train": table([0, 0, 1, 2], [0, 1, 1, 0]), "test": table([1, 3], [0, 0])}
    )
    assert found == (1, {"test": 1}, 2)


def test_majority_share_is_trains_largest_class_on_validation():
    assert majority_share({"train": (3, 7), "validation": (8, 2)}) == 0.2
    assert majority_share({"train": (3, 7)}) == 0.7


def test_columns_are_described():
    table = pa.table({"a": ["x", None, "x"], "b": [[1], [2], [3]], "c": ["y" * 200] * 3})
    a, b, c = describe_columns(table, {"c": 99})
    assert (a.type, a.num_missing, a.num_distinct, a.example) == ("string", 1, 1, "x")
    assert (b.type, b.num_distinct, b.example) == ("list<item: int64>", None, "[1]")
    assert c.num_distinct == 99 and len(c.example) == 80 and c.example.endswith("…")
