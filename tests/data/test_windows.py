"""How many windows long contexts make, and what a plan makes of that."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtransfer.data.lengths import Lengths
from nbtransfer.data.windows import count_windows, overlap_of
from nbtransfer.errors import SpecError
from tests.test_planning import DATA, plan

QUESTIONS = dataclasses.replace(
    DATA, task="question-answering", label_names=(), class_counts={}, majority_share=None
)


@given(st.integers(12, 100), st.integers(3, 6), st.integers(1, 400))
def test_windows_are_as_many_as_cutting_them_makes(max_length, question, context):
    room, overlap = max_length - question, overlap_of(max_length)
    if room <= overlap:
        return
    cut, begin = [], 0
    while True:
        cut.append(min(room, context - begin))
        if begin + room >= context:
            break
        begin += room - overlap
    found = count_windows(np.array([question]), np.array([context]), max_length)
    assert found.per_row == len(cut)
    assert found.mean_tokens == pytest.approx(question + sum(cut) / len(cut))


def lengths(questions, contexts):
    """As measured: each counted with its own two special tokens."""
    first = np.array(questions, dtype=np.int32) + 2
    return Lengths(first + np.array(contexts, dtype=np.int32) + 2, first=first)


def test_long_contexts_are_windows_of_384_tokens_and_more_steps():
    # 384 less the question's 13 leave 371 of 390 context tokens; the next window takes the rest.
    found = plan(data=QUESTIONS, lengths=lengths([10] * 1000, [390, 10] * 500))
    assert found.max_length == 384
    assert found.share_texts_cut == found.share_tokens_cut == 0
    assert found.steps_per_epoch == -(-1500 // 16)
    assert "1,000 training rows become about 1,500." in " ".join(found.notes)
    assert not [warning for warning in found.warnings if "cuts" in warning]
    assert found.metric_for_best_model == "f1"


def test_short_contexts_are_read_whole():
    found = plan(data=QUESTIONS, lengths=lengths([10] * 1000, [50] * 1000))
    assert found.max_length == 64 and found.steps_per_epoch == 63


def test_the_window_is_at_least_twice_the_longest_question():
    found = plan(data=QUESTIONS, lengths=lengths([10] * 999 + [60], [20] * 1000))
    assert found.max_length == 128  # 60 and three special tokens, twice, to the next multiple of 8


@pytest.mark.parametrize(
    ("question", "asked", "message"),
    [
        (
            60,
            {"max_length": 96},
            r"the longest question has 63 tokens, more than half of max_length=96.*"
            r"Take max_length=128, or shorten",
        ),
        (400, {}, r"has 403 tokens, .*'demo:minilm' reads at most 512: shorten the question"),
        (10, {"max_length": 600}, r"max_length=600 is beyond the 512 positions"),
    ],
)
def test_a_question_too_long_for_its_window_is_a_problem(question, asked, message):
    with pytest.raises(SpecError, match=message):
        plan(data=QUESTIONS, lengths=lengths([question] * 9, [20] * 9), **asked)


def test_techniques_of_question_answering_are_two():
    with pytest.raises(SpecError, match="technique='features' is not one of question answering's"):
        plan(data=QUESTIONS, lengths=lengths([9], [9]), technique="features")
    found = plan(data=QUESTIONS, lengths=lengths([9], [9]), technique="head")
    assert found.num_trainable_parameters == 2 * 384 + 2
