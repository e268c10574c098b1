"""How right an answer is: exact match and F1 of SQuAD, over normalised words.

As defined for SQuAD 1.1 (Rajpurkar et al., 2016) and 2.0 (Rajpurkar et al., 2018): case,
punctuation, the articles a, an and the, and repeated space do not count; of several right answers
the best one does; a question without an answer is right when nothing is answered.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class AnswerScore(NamedTuple):
    """How right one answer is, each in [0, 1]."""

    exact_match: float
    f1: float


def normalised(answer: str) -> str:
    """Return the answer without case, punctuation, articles and spare space."""
    plain = answer.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def score_answer(predicted: str, right: Sequence[str]) -> AnswerScore:
    """Return the best score of an answer against each of the right ones.

    Args:
        predicted: what was answered; empty for "there is no answer".
        right: the right answers; empty where the question has none.
    """
    golds = [gold for gold in map(normalised, right) if gold] or [""]
    found = normalised(predicted)
    return AnswerScore(
        float(max(found == gold for gold in golds)), max(_f1(found, gold) for gold in golds)
    )


def _f1(predicted: str, gold: str) -> float:
    """Return the harmonic mean of the words' precision and recall, each counted as often as it is.

    Where one side says nothing, both must.
    """
    words, wanted = predicted.split(), gold.split()
    if not words or not wanted:
        return float(words == wanted)
    shared = sum((Counter(words) & Counter(wanted)).values())
    return 2 * shared / (len(words) + len(wanted))


def answer_metrics(predicted: Sequence[str], right: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the mean scores of answers, and where some questions have none, those of each kind.

    Args:
        predicted: one answer a question.
        right: the right answers of each question, none where it has no answer.

    Returns:
        `eval_f1` and `eval_exact_match`; `eval_has_answer_f1`, `eval_has_answer_exact_match` and
        `eval_no_answer_accuracy` where both kinds of questions are there.
    """
    scores = [score_answer(p, golds) for p, golds in zip(predicted, right, strict=True)]
    found = {
        "eval_f1": _mean([s.f1 for s in scores]),
        "eval_exact_match": _mean([s.exact_match for s in scores]),
    }
    answerable = [s for s, golds in zip(scores, right, strict=True) if golds]
    others = [s for s, golds in zip(scores, right, strict=True) if not golds]
    if answerable and others:
        found |= {
            "eval_has_answer_f1": _mean([s.f1 for s in answerable]),
            "eval_has_answer_exact_match": _mean([s.exact_match for s in answerable]),
            "eval_no_answer_accuracy": _mean([s.exact_match for s in others]),
        }
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
