"""Tests of nbtransfer.tasks.kept_head: classes are numbered as a model's own head numbers them."""

from __future__ import annotations

import pytest

from nbtransfer.data.sources import load_tables
from nbtransfer.tasks.catalog import choose_task
from nbtransfer.tasks.kept_head import in_head_order

TEXTS = [f"text {i}" for i in range(6)]
DATA = {
    "one class a row": (
        {"text": TEXTS, "label": ["bad", "good", "so-so"] * 2},
        ("so-so", "good", "bad"),
        "label",
        [2, 1, 0] * 2,
    ),
    "several classes a row": (
        {"text": TEXTS, "labels": [["bad"], [], ["good", "bad"]] * 2},
        ("good", "bad"),
        "label",
        [[1], [], [1, 0]] * 2,
    ),
    "a tag for each word": (
        {"tokens": [["Ada", "left"], ["Leeds"]], "tags": [["B-PER", "O"], ["B-LOC"]]},
        ("B-PER", "I-PER", "O", "B-LOC", "I-LOC"),
        "tags",
        [[0, 2], [3]],
    ),
}


@pytest.mark.parametrize(("data", "head", "column", "numbers"), DATA.values(), ids=DATA)
def test_classes_take_the_numbers_of_the_head(data, head, column, numbers):
    tables = load_tables(data, name="df")
    before = choose_task(None, tables, {}).prepare(tables, {}, validation=False)
    after = in_head_order(before, head)
    assert after.splits["train"][column].to_pylist() == numbers
    assert after.card.label_names == head
    assert after.card.fingerprint != before.card.fingerprint
    old = dict(zip(before.card.label_names, before.card.class_counts["train"], strict=True))
    assert dict(zip(head, after.card.class_counts["train"], strict=True)) == old
    assert after.splits["train"].schema.field(column).type == (
        before.splits["train"].schema.field(column).type
    )


def test_other_classes_are_left_for_the_plan_to_refuse():
    tables = load_tables({"text": TEXTS, "label": ["bad", "good"] * 3}, name="df")
    before = choose_task(None, tables, {}).prepare(tables, {}, validation=False)
    assert in_head_order(before, ("good", "worse")) is before
    assert in_head_order(before, ("bad", "good")) is before
