"""Tests of nbtransfer.tasks.regression: a number for each text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nbtransfer.data.encoding import Encoding, Ragged
from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError
from nbtransfer.tasks.catalog import choose_task
from nbtransfer.tasks.regression import TextRegression

TASK = TextRegression()
SCORES = [0.5, 2.25, 3.5, 1.0] * 5


def tables(scores=SCORES, name="score"):
    texts = [f"letter number {i}" for i in range(len(scores))]
    return load_tables(pd.DataFrame({"text": texts, name: scores}), name="df")


def decoded(card, table, scores):
    encoding = Encoding(
        tokens=Ragged(np.zeros(0, np.int32), np.zeros(len(scores) + 1, np.int64)),
        sources=np.arange(len(scores)),
    )
    return TASK.decode({"score": np.asarray(scores, float)}, encoding, table, card, None)


def test_decimals_in_a_column_named_like_a_label_are_scores():
    assert choose_task(None, tables(), {}).name == "text-regression"
    assert choose_task(None, tables([1.0, 2.0] * 10), {}).name == "text-classification"
    assert choose_task(None, tables(name="price"), {"label": "price"}).name == "text-regression"


def test_whole_numbers_are_scores_where_the_task_is_named():
    found = TASK.prepare(tables([1, 2, 3, 5] * 5), {"label": "score"}, validation=False)
    assert found.splits["train"]["label"].to_pylist()[:4] == [1.0, 2.0, 3.0, 5.0]
    assert found.card.scale == (2.75, pytest.approx(np.std([1, 2, 3, 5])))
    unnamed = TASK.prepare(tables([1, 2, 3, 5] * 5), {}, validation=False)
    assert "label column: 'score' (numbers)" in unnamed.card.notes
    assert not any("classes" in note for note in unnamed.card.notes)


def test_the_model_learns_numbers_of_mean_0_and_deviation_1_and_answers_in_the_data_s_own():
    found = TASK.prepare(tables(), {}, validation=False)

    class Tokenizer:
        model_input_names = ("input_ids",)

        def __call__(self, texts, **options):
            return {"input_ids": [[1, 2] for _ in texts]}

    table = found.splits["train"]
    targets = TASK.encode(Tokenizer(), table, 8, found.card).targets
    assert targets.dtype == np.float32
    assert abs(targets.mean()) < 1e-6 and abs(targets.std() - 1) < 1e-6
    back = decoded(found.card, table, targets)["predicted"].to_numpy()
    assert np.allclose(back, SCORES, atol=1e-6)


def test_a_value_that_is_no_number_leaves_its_row_out():
    found = TASK.prepare(tables([*SCORES, float("nan"), float("inf")]), {}, validation=False)
    assert found.splits["train"].num_rows == 20
    assert any("2 rows are left out of df: no label (first: row 20)" in n for n in found.card.notes)


def test_one_value_only_is_refused_in_a_line():
    with pytest.raises(
        DataError,
        match=r"every value of column 'score' of df that is left for training is 1.5. There is",
    ):
        TASK.prepare(tables([1.5] * 20), {"label": "score"})


def test_texts_where_numbers_are_expected_are_refused_in_a_line():
    with pytest.raises(DataError, match="holds string values, not numbers"):
        TASK.prepare(tables(["high", "low"] * 10), {"label": "score"})


def test_correlations_are_scipy_s_and_a_constant_answer_has_none():
    from scipy.stats import pearsonr, spearmanr

    found = TASK.prepare(tables(), {}, validation=False)
    table = found.splits["train"]
    said = np.random.default_rng(4).integers(0, 5, 20)  # with ties
    predictions = decoded(found.card, table, said)
    measured = TASK.measure({}, 0.3, table, predictions, found.card)
    predicted = predictions["predicted"].to_numpy()
    assert abs(measured["eval_pearson"] - pearsonr(SCORES, predicted)[0]) <= 1e-12
    assert abs(measured["eval_spearman"] - spearmanr(SCORES, predicted)[0]) <= 1e-12
    assert measured["eval_rmse"] == pytest.approx(np.sqrt(np.mean((SCORES - predicted) ** 2)))
    flat = TASK.measure({}, 0.3, table, decoded(found.card, table, [0.0] * 20), found.card)
    assert flat["eval_pearson"] == flat["eval_spearman"] == 0.0


def test_the_answers_farthest_off_come_first():
    found = TASK.prepare(tables(), {}, validation=False)
    table = found.splits["train"]
    said = np.zeros(20)
    said[7] = 9.0
    findings = TASK.findings({}, table, decoded(found.card, table, said), found.card)
    assert findings.mistakes[0].row == 7
    assert findings.mistakes[0].actual == "1"
    assert findings.mistakes[0].probability is None


def test_a_test_split_that_is_published_without_labels_is_not_used():
    unlabelled = pd.DataFrame({"text": ["one more"], "score": [None]})
    frame = tables().splits["train"].to_pandas()
    found = TASK.prepare(load_tables({"train": frame, "test": unlabelled}, name="df"), {})
    assert set(found.splits) == {"train", "validation"}
    assert "the test split is not used: it has no labels" in found.card.notes
