"""Held-out rows are stratified, paired between runs, and never the test split's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nbtransfer.data.splits import choose_validation
from nbtransfer.errors import DataError


def examples(labels, text_ids=None):
    ids = range(len(labels)) if text_ids is None else text_ids
    return pa.table(
        {
            "text": [f"t{i}" for i in ids],
            "label": pa.array(labels, pa.int32()),
            "row": range(len(labels)),
            "text_id": pa.array(list(ids), pa.int32()),
        }
    )


def held(result):
    return result.splits["validation"].column("row").to_pylist()


def test_same_seed_holds_out_the_same_rows_whatever_else_is_there():
    train = examples([0, 1] * 50)
    once = held(choose_validation({"train": train}, None))
    again = held(choose_validation({"train": train, "test": examples([0, 1])}, 0.1))
    assert once == again == sorted(once)
    assert held(choose_validation({"train": train}, None, split_seed=7)) != once


def test_each_class_gives_its_share():
    result = choose_validation({"train": examples([0] * 100 + [1] * 40 + [2] * 10)}, 0.2)
    labels = result.splits["validation"].column("label").to_numpy()
    assert np.bincount(labels).tolist() == [20, 8, 2]
    assert result.notes == ("validation: 20 % of train, stratified, seed 42: 30 rows",)


def test_small_class_gives_one_row_and_keeps_one():
    result = choose_validation({"train": examples([0] * 50 + [1] * 2)}, None)
    assert np.bincount(result.splits["validation"].column("label").to_numpy())[1] == 1
    assert np.bincount(result.splits["train"].column("label").to_numpy())[1] == 1


def test_class_of_one_row_stays_in_train_and_is_warned_about():
    result = choose_validation({"train": examples([0] * 20 + [1])}, None)
    assert 1 not in result.splits["validation"].column("label").to_pylist()
    assert "1 class has one row only" in result.warnings[0]


def test_nothing_is_held_out_where_no_class_has_two_rows():
    result = choose_validation({"train": examples([0, 1])}, None)
    assert "validation" not in result.splits
    assert "nothing is held out" in result.warnings[0]


def test_repeated_texts_stay_in_train():
    ids = [*range(20), *[20] * 20]
    result = choose_validation({"train": examples([0, 1] * 20, ids)}, 0.3)
    assert result.splits["validation"].num_rows == 12
    assert 20 not in result.splits["validation"].column("text_id").to_pylist()


def test_large_fraction_never_empties_a_class():
    result = choose_validation({"train": examples([0] * 3 + [1] * 3)}, 0.99)
    assert set(result.splits["train"].column("label").to_pylist()) == {0, 1}


def test_split_that_is_there_is_taken():
    splits = {"train": examples([0, 1] * 5), "validation": examples([0, 1])}
    for asked in (None, "validation", "dev"):
        result = choose_validation(splits, asked)
        assert result.splits["validation"].num_rows == 2
        assert result.splits["train"].num_rows == 10


def test_fraction_asked_for_replaces_the_split_and_says_so():
    splits = {"train": examples([0, 1] * 5), "validation": examples([0, 1] * 9)}
    result = choose_validation(splits, 0.2)
    assert result.splits["validation"].num_rows == 2
    assert "18 validation rows are not used" in result.notes[-1]


def test_false_means_no_validation():
    splits = {"train": examples([0, 1]), "validation": examples([0, 1])}
    result = choose_validation(splits, False)
    assert list(result.splits) == ["train"]
    assert "2 validation rows are not used" in result.notes[0]


@pytest.mark.parametrize("asked", [0.0, 1.0, -0.5, float("nan"), True, 3])
def test_what_is_no_fraction_is_refused(asked):
    with pytest.raises(DataError, match=r"is not understood: give a fraction \(0.1\)"):
        choose_validation({"train": examples([0, 1])}, asked)


def test_test_split_is_never_used():
    splits = {"train": examples([0, 1] * 20), "test": examples([0, 1])}
    assert choose_validation(splits, None).splits["test"] is splits["test"]
    with pytest.raises(DataError, match="the test split is never used to choose a model"):
        choose_validation(splits, "test")
