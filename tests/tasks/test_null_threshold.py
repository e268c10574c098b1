"""The threshold of "no answer": tuned for F1 on the validation questions, and kept in use."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtransfer.data.encoding import Encoding, Ragged
from nbtransfer.tasks.answer_scores import best_null_threshold
from nbtransfer.tasks.question_answering import null_margins
from tests.tasks.test_question_answering import TASK, rows, squad

# Five questions counted by hand: the third is answered rightly although "no answer" is ahead by
# half a point, the last two have none. At 0 the F1 is (1 + .5 + 0 + 1 + 1) / 5; at 0.75 it is
# (1 + .5 + 1 + 1 + 1) / 5, and no other division gives more.
MARGINS = [-2.0, -1.0, 0.5, 1.0, 3.0]
SCORES = [1.0, 0.5, 1.0, 0.0, 0.0]
NONE = [False, False, False, True, True]


def mean_f1(threshold, margins, scores, none):
    kept = [
        float(silent) if margin > threshold else score
        for margin, score, silent in zip(margins, scores, none, strict=True)
    ]
    return sum(kept) / len(kept)


def test_a_case_counted_by_hand():
    assert best_null_threshold(MARGINS, SCORES, NONE) == 0.75
    assert mean_f1(0.0, MARGINS, SCORES, NONE) == pytest.approx(0.7)
    assert mean_f1(0.75, MARGINS, SCORES, NONE) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("margins", "scores", "none", "threshold"),
    [
        ([-1.0, 1.0], [1.0, 0.0], [False, True], 0.0),  # the usual rule is as good as any
        ([2.0, 3.0], [1.0, 1.0], [False, False], 4.0),  # always answer
        ([-3.0, -2.0], [0.0, 0.0], [True, True], -4.0),  # never
        ([1.0, 1.0], [1.0, 0.0], [False, True], 0.0),  # cannot be told apart: either is one of two
        ([], [], [], 0.0),
    ],
)
def test_cases_at_the_edge(margins, scores, none, threshold):
    assert best_null_threshold(margins, scores, none) == threshold


questions = st.lists(
    st.tuples(
        st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, math.inf]),
        st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@given(questions)
def test_no_other_threshold_gives_a_better_f1(found):
    margins, scores, none = (list(values) for values in zip(*found, strict=True))
    tuned = best_null_threshold(margins, scores, none)
    assert math.isfinite(tuned)
    finite = sorted({-9.0, 9.0, *(m for m in margins if math.isfinite(m))})
    others = [*finite, *((a + b) / 2 for a, b in itertools.pairwise(finite)), 0.0]
    best = max(mean_f1(t, margins, scores, none) for t in others)
    assert mean_f1(tuned, margins, scores, none) == pytest.approx(best)


def asked(null):
    """One window a question: a null token, then the tokens "to" and "Lund", the latter better."""
    offsets = np.arange(0, 3 * len(null) + 1, 3)
    encoding = Encoding(
        tokens=Ragged(np.zeros(offsets[-1], np.int32), offsets),
        sources=np.arange(len(null)),
        details={
            "starts": np.tile([-1, 0, 3], len(null)),
            "ends": np.tile([-1, 2, 7], len(null)),
            "null": np.zeros(len(null), np.int64),
        },
    )
    scores = np.concatenate([[value, 0.0, 3.0] for value in null])
    return {"start": Ragged(scores, offsets), "end": Ragged(scores, offsets)}, encoding


def table(answers):
    texts = ["to Lund"] * len(answers)
    return pa.table(
        {"question": texts, "context": texts, "answers": answers, "row": range(len(answers))}
    )


CARD = rows(squad("1950") + squad(None)).card


def test_the_task_tunes_it_and_says_what_it_tuned():
    answers, encoding = asked([2.0, 3.5, 4.5])  # ahead by -2, 1 and 3
    assert null_margins(answers, encoding, 3).tolist() == [-2.0, 1.0, 3.0]
    validation = table([["Lund"], ["Lund"], []])
    tuned = TASK.tuned(answers, encoding, validation, CARD)
    assert tuned.thresholds == (2.0,)
    said = [
        TASK.decode(answers, encoding, validation, card, None)["predicted"].to_pylist()
        for card in (CARD, tuned)
    ]
    assert said == [["Lund", "", ""], ["Lund", "Lund", ""]]


def test_where_every_question_has_an_answer_nothing_is_tuned():
    answers, encoding = asked([2.0])
    card = dataclasses.replace(CARD, num_unanswerable={})
    assert TASK.tuned(answers, encoding, table([["Lund"]]), card) == card


def test_what_was_tuned_is_kept_with_the_model(tmp_path):
    from nbtransfer.engine.reporting import decision_of, with_decision, write_decision

    tuned = dataclasses.replace(CARD, thresholds=(0.75,))
    write_decision(tmp_path, decision_of(tuned, max_length=128))
    assert with_decision(CARD, tmp_path).thresholds == (0.75,)
