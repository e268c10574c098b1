"""Exact match and F1 as SQuAD defines them, against cases counted by hand."""

import pytest

from nbtransfer.tasks.answer_scores import answer_metrics, normalised, score_answer


@pytest.mark.parametrize(
    ("answer", "plain"),
    [
        ("The  Eiffel Tower!", "eiffel tower"),
        ("an apple, a day", "apple day"),
        ("Theory of the mind", "theory of mind"),  # an article is a whole word
        ("$1,000.50", "100050"),
        ("U.S.A.", "usa"),
        ("the", ""),
        ("  ", ""),
        ("Élan a-la carte", "élan ala carte"),
    ],
)
def test_case_punctuation_articles_and_space_do_not_count(answer, plain):
    assert normalised(answer) == plain


@pytest.mark.parametrize(
    ("predicted", "right", "exact", "f1"),
    [
        ("The Cat", ["cat"], 1, 1),
        ("black cat", ["the cat"], 0, 2 * (1 / 2) * 1 / (1 / 2 + 1)),
        ("in the old quarry", ["old quarry near Lindby"], 0, 4 / 7),  # 2 of 3 words, 2 of 4
        ("two two", ["two"], 0, 2 / 3),  # a word counts as often as it is there
        ("1987", ["in 1987", "1987"], 1, 1),  # the best of several
        ("dog", ["cat"], 0, 0),
        ("", ["cat"], 0, 0),
        ("", [], 1, 1),  # SQuAD 2.0: no answer, none given
        ("cat", [], 0, 0),
        ("the", [], 1, 1),  # says nothing
        ("the", ["the", "cat"], 0, 0),  # right answers that say nothing do not count
    ],
)
def test_scores_are_those_counted_by_hand(predicted, right, exact, f1):
    score = score_answer(predicted, right)
    assert score.exact_match == exact
    assert score.f1 == pytest.approx(f1, abs=1e-12)


def test_means_are_over_questions_and_each_kind_has_its_own():
    found = answer_metrics(["cat", "dog", "", "x"], [["cat"], ["big dog"], [], []])
    assert found["eval_exact_match"] == 2 / 4
    assert found["eval_f1"] == pytest.approx((1 + 2 / 3 + 1 + 0) / 4, abs=1e-12)
    assert found["eval_has_answer_f1"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-12)
    assert found["eval_has_answer_exact_match"] == 1 / 2
    assert found["eval_no_answer_accuracy"] == 1 / 2


def test_without_unanswerable_questions_there_are_two_figures():
    assert answer_metrics(["a b"], [["b"]]).keys() == {"eval_f1", "eval_exact_match"}
