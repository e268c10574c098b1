"""Entities are measured as seqeval measures them."""

from __future__ import annotations

import warnings

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import accuracy_score, classification_report, f1_score
from seqeval.metrics.sequence_labeling import get_entities

from nbtransfer.tasks.entity_metrics import by_kind, entity_findings, metrics

NAMES = ("O", "B-x", "I-x", "B-y", "I-y")
GOLD = [["B-x", "I-x", "O", "B-y"], ["O", "O"], ["B-x", "O", "B-x"]]
FOUND = [["B-x", "I-x", "O", "O"], ["O", "B-y"], ["B-x", "I-x", "B-x"]]
TAGS = st.sampled_from(NAMES)
PAIRS = st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=8), min_size=1, max_size=6)


def test_a_case_counted_by_hand():
    # There: x(0,1) y(3); x(0) x(2). Found: x(0,1); y(1); x(0,1) x(2). Right: x(0,1) and x(2).
    found = metrics(GOLD, FOUND)
    assert found["eval_precision"] == found["eval_recall"] == found["eval_f1"] == 0.5
    assert found["eval_accuracy"] == 6 / 9


@settings(deadline=None)
@given(PAIRS)
def test_figures_are_seqeval_s(pairs):
    gold = [[a for a, _ in row] for row in pairs]
    found = [[b for _, b in row] for row in pairs]
    ours = metrics(gold, found)
    kinds = {row.label: row for row in by_kind(gold, found)}
    assert abs(ours["eval_accuracy"] - accuracy_score(gold, found)) <= 1e-12
    if not get_entities(gold) and not get_entities(found):
        assert ours["eval_f1"] == 0 and not kinds
        return
    assert abs(ours["eval_f1"] - f1_score(gold, found, zero_division=0)) <= 1e-12
    theirs = classification_report(gold, found, output_dict=True, zero_division=0)
    micro = theirs["micro avg"]
    assert abs(ours["eval_precision"] - micro["precision"]) <= 1e-12
    assert abs(ours["eval_recall"] - micro["recall"]) <= 1e-12
    for kind, row in kinds.items():
        named = theirs[kind]
        figures = (named["precision"], named["recall"], named["f1-score"], named["support"])
        assert row[1:] == figures


def test_nothing_there_and_nothing_found_is_0_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metrics([["O"]], [["O"]])
    assert found == {
        "eval_f1": 0.0, "eval_precision": 0.0, "eval_recall": 0.0, "eval_accuracy": 1.0,
    }  # fmt: skip


def predictions() -> pa.Table:
    tokens = [["Ada", "Byron", "met", "Alan"], ["no", "one"], ["Bea", "or", "Cy"]]
    return pa.table(
        {
            "text": [" ".join(row) for row in tokens],
            "tokens": tokens,
            "starts": [[0, 4, 10, 14], [0, 3], [0, 4, 7]],
            "tags": GOLD,
            "predicted": FOUND,
            "row": [7, 8, 9],
        }
    )


def test_confusions_are_of_words_and_sentences_with_most_mistakes_come_first():
    found = entity_findings(predictions(), NAMES)
    assert sum(map(sum, found.confusion_matrix)) == 9
    assert found.confusion_matrix[0] == (2, 0, 1, 1, 0)
    assert found.confusion_matrix[3][0] == 1
    assert found.majority_accuracy == 4 / 9
    assert [text.row for text in found.marked] == [9, 7, 8]
    worst = found.marked[0]
    assert [(worst.text[s.start : s.end], s.label) for s in worst.gold] == [
        ("Bea", "x"),
        ("Cy", "x"),
    ]
    assert [(worst.text[s.start : s.end], s.label) for s in worst.predicted] == [
        ("Bea or", "x"),
        ("Cy", "x"),
    ]


def test_right_sentences_are_not_shown():
    table = predictions()
    same = table.set_column(4, "predicted", table["tags"])
    assert entity_findings(same, NAMES).marked == ()
