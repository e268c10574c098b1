"""From a model's answers about tokens to entities in texts, and what may be asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from nbtransfer.data.encoding import Encoding, Ragged
from nbtransfer.errors import DataError
from nbtransfer.tasks.token_classification import TokenClassification

if TYPE_CHECKING:
    import pyarrow as pa

TASK = TokenClassification()
CARD = SimpleNamespace(label_names=("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))


def decoded(rows: pa.Table, token: list[int], tags: list[int], shares: list[float]) -> pa.Table:
    """Decode answers about tokens, the words' tokens given."""
    token_of = np.array(token)
    offsets = np.array([0, len(tags)])
    answers = {
        "tags": Ragged(np.array(tags, np.int32), offsets),
        "probabilities": Ragged(np.array(shares, np.float32), offsets),
    }
    first = (token_of >= 0) & (np.diff(token_of, prepend=-1) != 0)
    encoding = Encoding(
        tokens=Ragged(np.zeros(len(tags), np.int32), offsets),
        sources=np.zeros(1, np.int64),
        details={"token": token_of, "is_first": first},
    )
    return TASK.decode(answers, encoding, rows, CARD, None)


def test_entities_are_stretches_of_the_text_as_it_was_typed():
    rows = TASK.inputs(["Ada  Byron left (Leeds)."], CARD)
    table = decoded(rows, [0, 1, 2, 3, 4, 5, 6], [1, 2, 0, 0, 3, 0, 0], [0.5, 1, 1, 1, 0.25, 1, 1])
    (found,) = TASK.results(table, CARD)
    assert [tuple(e) for e in found.entities] == [
        ("PER", "Ada  Byron", 0, 10, 0.75),
        ("LOC", "Leeds", 17, 22, 0.25),
    ]
    assert found.cells() == {"entities": "Ada  Byron (PER), Leeds (LOC)"}


def test_i_that_goes_on_nothing_begins_an_entity():
    (found,) = TASK.results(
        decoded(TASK.inputs(["a b c"], CARD), [0, 1, 2], [2, 4, 4], [1, 1, 1]), CARD
    )
    assert [(e.label, e.text) for e in found.entities] == [("PER", "a"), ("LOC", "b c")]


def test_words_of_one_token_are_one_entity_and_words_of_none_are_outside():
    table = decoded(TASK.inputs(["a b c d"], CARD), [0, 0, -1, 1], [1, 0], [0.5, 0.5])
    assert table["predicted"].to_pylist() == [["B-PER", "I-PER", "O", "O"]]
    assert table["probabilities"].to_pylist() == [[0.5, 0.5, 0.0, 0.5]]


def test_lists_of_words_are_taken_as_they_are():
    rows = TASK.inputs([["New York", "is", "", "big"]], CARD)
    assert rows["text"].to_pylist() == ["New York is big"]
    assert rows["starts"].to_pylist() == [[0, 9, 12]]


def test_an_input_that_is_no_text_is_refused_in_words():
    with pytest.raises(DataError, match=r"input 1 is 7, a int\. Give texts, or lists of words"):
        TASK.inputs(["fine", 7], CARD)


def test_no_input_gives_no_result():
    rows = TASK.inputs([], CARD)
    assert rows.num_rows == 0
    empty = Encoding(
        tokens=Ragged(np.zeros(0, np.int32), np.zeros(1, np.int64)),
        sources=np.zeros(0, np.int64),
        details={"token": np.zeros(0, np.int64), "is_first": np.zeros(0, bool)},
    )
    assert TASK.results(TASK.decode({}, empty, rows, CARD, None), CARD) == []


def test_frozen_features_are_refused_in_words():
    from nbtransfer.plan_checks import task_problems
    from nbtransfer.spec import RunSpec

    spec = RunSpec(model="m", data="d", technique="features", class_weights="balanced")
    problems = task_problems(spec, TASK)
    assert problems[0] == (
        "technique='features' is not one of token classification's: 'full', 'lora', 'top:2', "
        "'head'."
    )
    assert "token classification has none" in problems[1]
    wrong = RunSpec(model="m", data="d", metric_for_best_model="f1_macro")
    assert "'f1', 'precision', 'recall', 'accuracy', 'loss'" in task_problems(wrong, TASK)[0]
