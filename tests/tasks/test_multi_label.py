"""Tests of nbtransfer.tasks.multi_label and label_lists: any number of classes a row."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtransfer.data.encoding import Encoding, Ragged
from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError
from nbtransfer.tasks.catalog import choose_task
from nbtransfer.tasks.labelled_data import prepare as prepare_classes
from nbtransfer.tasks.multi_label import MultiLabelClassification, best_threshold

TASK = MultiLabelClassification()


def frame(labels, name="labels"):
    return pd.DataFrame({"text": [f"dish number {i}" for i in range(len(labels))], name: labels})


def prepared(labels, **options):
    return TASK.prepare(load_tables(frame(labels), name="df"), {}, **options)


def message(labels):
    with pytest.raises(DataError) as caught:
        prepared(labels)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def answers_of(card, logits):
    table = card.splits["train"]
    encoding = Encoding(
        tokens=Ragged(np.zeros(0, np.int32), np.zeros(len(logits) + 1, np.int64)),
        sources=np.arange(len(logits)),
    )
    return {"logits": np.asarray(logits, float)}, table, encoding


WORDS = [["soup", "hot"], ["soup"], [], ["cake", "hot"]] * 5


def test_lists_of_names_are_recognised_and_numbered():
    tables = load_tables(frame(WORDS), name="df")
    assert choose_task(None, tables, {}).name == "multi-label-classification"
    found = prepared(WORDS, validation=False)
    assert found.card.label_names == ("cake", "hot", "soup")
    assert found.splits["train"]["label"].to_pylist()[:4] == [[1, 2], [2], [], [0, 1]]
    assert found.card.class_counts == {"train": (5, 10, 10)}
    assert "5 training rows with an empty list: no class" in found.card.notes


def test_a_zero_or_one_for_each_class_is_read_as_such():
    found = prepared([[1, 0, 1], [0, 0, 0], [0, 1, 1]] * 4, validation=False)
    assert found.card.label_names == ("0", "1", "2")
    assert found.splits["train"]["label"].to_pylist()[:3] == [[0, 2], [], [1, 2]]


def test_lists_of_class_numbers_are_no_flags():
    found = prepared([[0, 3], [3], [1]] * 4, validation=False)
    assert found.card.label_names == ("0", "1", "3")
    assert found.splits["train"]["label"].to_pylist()[:3] == [[0, 2], [2], [1]]


def test_pairs_of_a_zero_and_a_one_are_flags_although_no_row_repeats_one():
    found = prepared([[1, 0], [0, 1]] * 6, validation=False)
    assert found.splits["train"]["label"].to_pylist()[:2] == [[0], [1]]
    assert "column 'labels' of df is read as a 0 or 1 for each of 2 classes" in found.card.notes


def test_rows_of_different_lengths_without_repetition_are_class_numbers():
    found = prepared([[0, 1], [0], [1]] * 4, validation=False)
    assert found.splits["train"]["label"].to_pylist()[:3] == [[0, 1], [0], [1]]


@pytest.mark.parametrize("form", [[[1, 0, 0], [0, 1, 1]], [[0, 1], [2]], [["a"], ["b", "c"]]])
def test_rows_to_be_evaluated_are_read_as_those_trained_on(form):
    trained = prepared(form * 6, validation=False)
    again = prepared(form[:1], validation=False, trained_on=trained.card)
    expected = trained.splits["train"]["label"].to_pylist()[:1]
    assert again.splits["train"]["label"].to_pylist() == expected
    # Runs of 0.1 have kept no form: their rows tell, and so many as there are classes.
    old = dataclasses.replace(trained.card, settings={})
    again = prepared(form, validation=False, trained_on=old)
    assert (
        again.splits["train"]["label"].to_pylist()
        == (trained.splits["train"]["label"].to_pylist()[:2])
    )


def test_flags_of_another_value_are_refused_when_evaluating():
    card = prepared([[1, 0, 0], [0, 1, 1]] * 6).card
    tables = load_tables(frame([[2, 0, 0]]), name="new")
    with pytest.raises(DataError, match="holds 2 in row 0, where a 0 or 1 for each class"):
        TASK.prepare(tables, {}, validation=False, trained_on=card)


def test_class_numbers_of_a_dataset_take_the_names_it_has_for_them():
    import json

    import pyarrow as pa

    features = {"labels": {"_type": "Sequence", "feature": {"_type": "ClassLabel"}}}
    features["labels"]["feature"]["names"] = ["joy", "anger", "calm"]
    table = pa.table({"text": ["a", "b", "c", "d"], "labels": [[0, 1], [1, 0], [0, 1], [1, 0]]})
    table = table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    found = TASK.prepare(load_tables(table, name="df"), {}, validation=False)
    assert found.card.label_names == ("joy", "anger", "calm")
    assert found.splits["train"]["label"].to_pylist() == [[0, 1]] * 4


TOXIC = pd.DataFrame(
    {
        "comment": [f"comment number {i}" for i in range(12)],
        "toxic": [1, 0, 1, 0] * 3,
        "threat": [0.0, 0.0, 1.0, None] * 3,
        "insult": [True, False, False, False] * 3,
    }
)


def test_classes_in_columns_of_their_own_are_read_together_by_name():
    tables = load_tables(TOXIC, name="df")
    asked = {"label": "threat, toxic,insult"}
    assert choose_task(None, tables, asked).name == "multi-label-classification"
    found = TASK.prepare(tables, asked, validation=False)
    assert found.card.label_names == ("threat", "toxic", "insult")
    assert found.splits["train"]["label"].to_pylist()[:3] == [[1, 2], [], [0, 1]]
    assert any("3 rows are left out of df: no label (first: row 3)" in n for n in found.card.notes)
    other = load_tables(TOXIC[["comment", "insult", "toxic"]][:3], name="new")
    again = TASK.prepare(other, {"label": "insult,toxic"}, validation=False, trained_on=found.card)
    assert again.splits["train"]["label"].to_pylist() == [[1, 2], [], [1]]


def test_columns_of_zero_and_one_are_offered_as_classes_together():
    with pytest.raises(DataError) as caught:
        prepare_classes(load_tables(TOXIC, name="df"))
    said = "Choose one: --label toxic, or all, as classes of which a row may have several: "
    assert said + "--label toxic,threat,insult" in str(caught.value)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("toxic,insults", "no column 'insults' in df.*Did you mean --label insult?"),
        ("toxic,stars", "column 'stars' of df holds 3 in row 0, where a 0 or 1 says"),
        ("toxic,comment", "column 'comment' of df holds string values, where several columns"),
    ],
)
def test_columns_that_are_no_classes_are_named(label, said):
    tables = load_tables(TOXIC.assign(stars=[3, 1] * 6), name="df")
    with pytest.raises(DataError, match=said):
        TASK.prepare(tables, {"label": label})


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([[1, 0, 0], [0, 1]] * 4, "holds 2 values in row 1, but there are 3 classes"),
        ([["a", None], ["b"]] * 4, "a list with a missing class in row 0. Mend it."),
        ([[["a"], ["b"]], [["a"]]] * 4, "holds lists of list<"),
        ([[{"a": 1}], [{"a": 2}]] * 4, "Give each row a list of its classes by name"),
        ([[], [], []] * 4, "no row of df has a class in column 'labels'"),
        ([[f"id {i}"] for i in range(1200)], "1,200 different values: they look like words"),
    ],
)
def test_lists_that_are_no_classes_are_refused_in_one_line(labels, said):
    assert said in message(labels)


def test_a_row_without_a_list_is_left_out():
    found = prepared([*WORDS, None], validation=False)
    assert found.splits["train"].num_rows == 20
    assert any("1 row is left out of df: no label (first: row 20)" in n for n in found.card.notes)


def test_a_column_that_holds_no_lists_is_named():
    tables = load_tables(frame(["a", "b"] * 5), name="df")
    with pytest.raises(DataError, match="holds string values, not lists of classes"):
        TASK.prepare(tables, {"label": "labels"})


def test_a_class_the_model_does_not_know_is_named_when_evaluating():
    card = prepared(WORDS).card
    tables = load_tables(frame([["soup", "salad"]] * 3), name="new")
    with pytest.raises(DataError, match="holds 'salad', which the model does not have"):
        TASK.prepare(tables, {}, validation=False, trained_on=card)


def test_validation_rows_are_held_out_whatever_the_classes():
    found = prepared(WORDS)
    assert {s: t.num_rows for s, t in found.splits.items()} == {"train": 18, "validation": 2}
    assert "validation: 10 % of train, seed 42: 2 rows" in found.card.notes


def test_targets_are_a_one_for_each_class_of_a_row():
    found = prepared(WORDS, validation=False)

    class Tokenizer:
        model_input_names = ("input_ids",)

        def __call__(self, texts, **options):
            return {"input_ids": [[1, 2] for _ in texts]}

    encoding = TASK.encode(Tokenizer(), found.splits["train"], 8, found.card)
    assert encoding.targets[:3].tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert encoding.targets.dtype == np.float32


def test_figures_are_scikit_learn_s_and_rows_wholly_right_count_as_accurate():
    from sklearn.metrics import f1_score

    found = prepared(WORDS, validation=False)
    draw = np.random.default_rng(3)
    answers, table, encoding = answers_of(found, draw.normal(size=(20, 3)))
    predictions = TASK.decode(answers, encoding, table, found.card, None)
    measured = TASK.measure(answers, 0.4, table, predictions, found.card)
    actual = np.array([[i in row for i in range(3)] for row in table["label"].to_pylist()])
    said = answers["logits"] >= 0
    assert abs(measured["eval_f1_micro"] - f1_score(actual, said, average="micro")) <= 1e-12
    assert measured["eval_accuracy"] == np.mean((actual == said).all(1))
    names = np.array(found.card.label_names)
    assert predictions["predicted"].to_pylist() == [names[row].tolist() for row in said]


def test_thresholds_decide_what_is_said_and_are_kept_with_the_card():
    found = prepared(WORDS, validation=False)
    flags = np.array(
        [[i in row for i in range(3)] for row in found.splits["train"]["label"].to_pylist()]
    )
    logits = np.where(flags, -1.0, -3.0)  # right, but never above one half
    answers, table, encoding = answers_of(found, logits)
    before = TASK.decode(answers, encoding, table, found.card, None)
    assert not any(before["predicted"].to_pylist())
    card = TASK.tuned(answers, None, table, found.card)
    after = TASK.decode(answers, encoding, table, card, None)
    assert after["predicted"].to_pylist()[0] == ["hot", "soup"]
    assert TASK.measure(answers, 0.1, table, after, card)["eval_f1_macro"] == 1.0
    assert dataclasses.replace(card, thresholds=()) == found.card
    (said,) = TASK.findings(answers, table, after, card).signatures.values()
    assert "hot 0.16" in said and "chosen on the validation rows" in said
    assert TASK.findings(answers, table, before, found.card).signatures == {}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=30))
def test_no_threshold_gives_a_better_f1_than_the_tuned_one(rows):
    actual = np.array([flag for flag, _ in rows])
    shares = np.array([share / 20 for _, share in rows])

    def f1(threshold):
        said = shares >= threshold
        hits = (said & actual).sum()
        return 2 * hits / max(1, said.sum() + actual.sum())

    best = best_threshold(actual, shares)
    tried = [f1(t) for t in np.linspace(-0.01, 1.01, 205)]
    assert f1(best) >= max(tried) - 1e-12 or not actual.any()
    if not actual.any():
        assert best == 0.5


def test_results_say_the_classes_the_likeliest_first():
    found = prepared(WORDS, validation=False)
    answers, table, encoding = answers_of(found, [[-4.0, 1.0, 2.0]] * 20)
    predictions = TASK.decode(answers, encoding, table, found.card, None)
    first = TASK.results(predictions, found.card)[0]
    assert first.labels == ("soup", "hot")
    assert (first.label, list(first.probabilities)) == ("soup", ["cake", "hot", "soup"])
    assert first.cells() == {"classes": "soup (88 %), hot (73 %)"}
