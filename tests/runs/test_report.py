"""Tests of nbtransfer.runs.report."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from nbtransfer.errors import DataError, RunError
from nbtransfer.runs.paths import EvaluationPaths
from nbtransfer.runs.report import (
    Report,
    read_report,
    write_report,
)
from nbtransfer.tasks.class_findings import wilson_interval
from tests.runs.reports import answers_table, class_report

LABELS = ("negative", "neutral", "positive")


def one_hot(predicted, num_classes, sureness=0.9):
    rest = (1 - sureness) / max(num_classes - 1, 1)
    probabilities = np.full((len(predicted), num_classes), rest)
    probabilities[np.arange(len(predicted)), predicted] = sureness
    return probabilities


def report_of(actual, predicted, labels=LABELS, **changes):
    actual = np.asarray(actual, dtype=np.int32)
    arguments = {
        "run_id": "calm-heron-0712",
        "name": "validation",
        "split": "validation",
        "labels": labels,
        "texts": [f"text {i}" for i in range(len(actual))],
        "actual": actual,
        "probabilities": one_hot(np.asarray(predicted, dtype=int), len(labels)),
        "loss": 0.5,
        "rows": np.arange(len(actual)) + 100,
        "majority_label": 0,
        "duration_s": 1.5,
    }
    return class_report(**arguments | changes)


def test_figures_equal_those_worked_out_by_hand():
    # negative: 3 right, 1 taken for positive; neutral: 1 right, 1 for negative; positive: 2.
    report = report_of([0, 0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 2, 1, 0, 2, 2])
    assert report.confusion_matrix == ((3, 0, 1), (1, 1, 0), (0, 0, 2))
    assert report.metrics["eval_accuracy"] == 6 / 8
    negative, neutral, positive = report.per_class
    assert negative == ("negative", 3 / 4, 3 / 4, 0.75, 4)
    assert (neutral.precision, neutral.recall, neutral.support) == (1.0, 0.5, 2)
    assert neutral.f1 == pytest.approx(2 / 3, abs=1e-12)
    assert positive.precision == pytest.approx(2 / 3, abs=1e-12)
    assert positive.f1 == pytest.approx(0.8, abs=1e-12)
    assert report.metrics["eval_f1_macro"] == pytest.approx((0.75 + 2 / 3 + 0.8) / 3, abs=1e-12)
    assert report.majority_accuracy == 0.5
    assert report.num_mistakes == 2


@pytest.mark.parametrize("seed", range(8))
def test_figures_equal_scikit_learn_on_random_answers(seed):
    from sklearn import metrics

    rng = np.random.default_rng(seed)
    num_classes = int(rng.integers(2, 9))
    num_rows = int(rng.integers(1, 200))
    actual = rng.integers(0, num_classes, num_rows)
    probabilities = rng.dirichlet(np.ones(num_classes), num_rows)
    predicted = probabilities.argmax(axis=1)
    report = report_of(
        actual, predicted, tuple(f"c{i}" for i in range(num_classes)), probabilities=probabilities
    )
    for name, score in (
        ("f1", metrics.f1_score),
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
    ):
        macro = score(actual, predicted, average="macro", zero_division=0)
        assert report.metrics[f"eval_{name}_macro"] == pytest.approx(macro, abs=1e-12)
        each = score(actual, predicted, labels=range(num_classes), average=None, zero_division=0)
        assert [getattr(row, name) for row in report.per_class] == pytest.approx(each, abs=1e-12)
    assert report.metrics["eval_accuracy"] == pytest.approx(
        metrics.accuracy_score(actual, predicted), abs=1e-12
    )


def test_interval_is_the_one_of_wilson_s_formula():
    # Worked out with z = 1.959964: 1321 of 1500 is the mock-up's 88.1 %.
    low, high = wilson_interval(1321, 1500)
    assert (low, high) == (pytest.approx(0.86327, abs=5e-5), pytest.approx(0.89611, abs=5e-5))
    # The interval's ends solve (p - share)^2 = z^2 p (1 - p) / n: the definition.
    for p in (low, high):
        assert (p - 1321 / 1500) ** 2 == pytest.approx(1.959963984540054**2 * p * (1 - p) / 1500)


@pytest.mark.parametrize("num_rows", [1, 2, 50, 10_000])
def test_interval_stays_within_0_and_1_at_the_ends(num_rows):
    low, high = wilson_interval(0, num_rows)
    assert low == pytest.approx(0.0, abs=1e-12) and low >= 0.0 and 0 < high < 1
    low, high = wilson_interval(num_rows, num_rows)
    assert 0 < low < 1 and high == pytest.approx(1.0, abs=1e-12) and high <= 1.0


def test_a_class_that_never_occurs_scores_0_and_does_not_pull_the_average_down():
    report = report_of([0, 0, 2, 2], [0, 0, 2, 2])
    assert report.per_class[1] == ("neutral", 0.0, 0.0, 0.0, 0)
    assert report.metrics["eval_f1_macro"] == 1.0


def test_one_row_is_enough_and_none_is_an_error_that_names_the_split():
    assert report_of([1], [1]).metrics["eval_accuracy"] == 1.0
    with pytest.raises(DataError, match="validation has no rows to evaluate on"):
        report_of([], [])


def test_probabilities_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        report_of([0, 1], [0, 1], probabilities=np.ones((2, 2)))


def test_mistakes_come_surest_first_and_equal_ones_in_order():
    probabilities = np.array(
        [[0.1, 0.6, 0.3], [0.9, 0.05, 0.05], [0.0, 0.1, 0.9], [0.0, 0.1, 0.9], [1.0, 0.0, 0.0]]
    )
    report = report_of([0, 1, 0, 1, 0], [0] * 5, probabilities=probabilities)
    assert [m.row for m in report.mistakes] == [101, 102, 103, 100]
    assert report.mistakes[0] == ("text 1", "neutral", "negative", 0.9, 101)


def test_mistakes_are_at_most_50_and_long_texts_are_cut():
    report = report_of([0] * 80, [1] * 80, texts=["a" * 10_000] * 80)
    assert len(report.mistakes) == 50 and report.num_mistakes == 80
    assert len(report.mistakes[0].text) == 500 and report.mistakes[0].text.endswith("…")


def test_texts_may_be_an_arrow_array():
    report = report_of([0, 1], [1, 1], texts=pa.chunked_array([["first"], ["second"]]))
    assert report.mistakes[0].text == "first"


def test_a_report_is_the_same_after_writing_and_reading(tmp_path):
    report = report_of([0, 1, 2, 0], [0, 2, 2, 1], baselines={"TF-IDF + logistic": 0.25})
    paths = EvaluationPaths(tmp_path / "evaluation" / "validation")
    table = answers_table(
        labels=LABELS,
        texts=["a", "b", "c", "d"],
        actual=np.array([0, 1, 2, 0], dtype=np.int32),
        probabilities=one_hot(np.array([0, 2, 2, 1]), 3),
        rows=np.arange(4),
    )
    written = write_report(report, paths, table)
    read = read_report(paths)
    assert read == written == report
    assert read.predictions() == table
    assert json.loads(paths.report.read_text())["run_id"] == "calm-heron-0712"


def test_a_loss_that_is_no_number_survives_the_file(tmp_path):
    record = json.loads(json.dumps(report_of([0], [0], loss=math.nan).to_json(), allow_nan=False))
    assert math.isnan(Report.from_json(record).metrics["eval_loss"])


def test_fields_of_a_newer_version_are_left_out():
    report = report_of([0, 1], [0, 0])
    assert Report.from_json(report.to_json() | {"calibration": [1]}) == report


def test_predictions_name_classes_and_give_every_probability():
    table = answers_table(
        labels=("no", "yes"),
        texts=["x", "y"],
        actual=np.array([1, 0], dtype=np.int32),
        probabilities=np.array([[0.75, 0.25], [0.5, 0.5]]),
        rows=np.array([7, 9]),
    )
    assert table.to_pylist() == [
        {"text": "x", "label": "yes", "predicted": "no", "probability": 0.75, "row": 7}
        | {"p_no": 0.75, "p_yes": 0.25},
        {"text": "y", "label": "no", "predicted": "no", "probability": 0.5, "row": 9}
        | {"p_no": 0.5, "p_yes": 0.5},
    ]


def test_predictions_that_are_not_there_are_an_error_that_says_how_to_get_them(tmp_path):
    with pytest.raises(RunError, match=r"Evaluate again: nt.evaluate\(run\)"):
        report_of([0], [0]).predictions()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"interval": 3}'])
def test_a_damaged_report_is_named_and_not_a_traceback_of_json(tmp_path, content):
    paths = EvaluationPaths(tmp_path / "run-a" / "evaluation" / "test")
    paths.dir.mkdir(parents=True)
    paths.report.write_bytes(content)
    with pytest.raises(RunError, match="the report 'test' in run-a is damaged"):
        read_report(paths)


def test_a_missing_report_says_that_the_evaluation_has_not_finished(tmp_path):
    with pytest.raises(RunError, match="no report 'test' in run-a"):
        read_report(EvaluationPaths(tmp_path / "run-a" / "evaluation" / "test"))


def test_the_report_s_text_is_a_card_of_plain_lines():
    text = str(report_of([0, 0, 0, 1], [0, 0, 0, 2], baselines={"frozen features": 0.5}))
    assert "calm-heron-0712 on validation: 4 rows" in text
    assert "accuracy 75.0 % (95 %: 30.1 to 95.4)" in text
    assert "macro recall 0.333 · loss 0.500" in text  # those beyond the first two as well
    assert "majority class 75.0 %" in text and "frozen features 50.0 %" in text
    assert "negative      1.000   1.000  1.000       3" in text


def test_the_text_holds_no_control_character_and_stays_short_with_many_classes():
    labels = tuple(f"\x1b[31m\n{i} " + "x" * 90 for i in range(200))
    text = str(report_of([0, 1], [1, 1], labels))
    assert "\x1b" not in text and len(text.splitlines()) < 20
    assert max(map(len, text.splitlines())) < 100
    assert "and 188 more in report.per_class" in text


def test_figures_are_those_that_training_measures_on_the_same_answers():
    from nbtransfer.tasks.text_classification import metrics

    rng = np.random.default_rng(1)
    actual = rng.integers(0, 3, 90)
    probabilities = rng.dirichlet(np.ones(3), 90)
    report = report_of(actual, actual, probabilities=probabilities)
    measured = metrics(actual, probabilities, LABELS)
    assert {k: report.metrics[k] for k in measured} == pytest.approx(measured, abs=1e-12)


def test_the_report_s_value_in_a_cell_is_one_line():
    text = repr(report_of([0, 0, 0, 1], [0, 0, 0, 2]))
    assert "\n" not in text
    assert "accuracy 75.0 %" in text
