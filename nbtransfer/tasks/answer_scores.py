"""How right an answer is: exact match and F1 of SQuAD, over normalised words.

As defined for SQuAD 1.1 (Rajpurkar et al., 2016) and 2.0 (Rajpurkar et al., 2018): case,
punctuation, the articles a, an and the, and repeated space do not count; of several right answers
the best one does; a question without an answer is right when nothing is answered.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

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


def best_null_threshold(
    margins: Sequence[float] | np.ndarray, scores: Sequence[float], has_none: Sequence[bool]
) -> float:
    """Return the margin above which saying "no answer" gives the best mean F1.

    Every way to divide the questions by their margin is tried, as SQuAD 2.0's own evaluation does
    (Rajpurkar et al., 2018). Of several that are equally good the middle of the one nearest to 0 is
    taken, so that a model whose margins are well placed keeps the usual rule.

    Args:
        margins: by how much "no answer" is ahead of the best answer, one a question.
        scores: the best answer's F1.
        has_none: whether "no answer" is right.
    """
    import numpy as np

    order = np.argsort(np.asarray(margins, float), kind="stable")
    sorted_margins = np.asarray(margins, float)[order]
    answered = np.asarray(scores, float)[order]
    silent = np.asarray(has_none, float)[order]
    # Questions before the cut are answered, those behind it are not.
    totals = np.concatenate([[0], np.cumsum(answered)])
    totals += np.concatenate([np.cumsum(silent[::-1])[::-1], [0]])
    bounds = np.concatenate([[-np.inf], sorted_margins, [np.inf]])
    totals[bounds[:-1] >= bounds[1:]] = -np.inf  # equal margins cannot be divided
    best = np.flatnonzero(totals >= totals.max() - 1e-9)
    return min((_inside(float(bounds[cut]), float(bounds[cut + 1])) for cut in best), key=abs)


def _inside(low: float, high: float) -> float:
    """Return 0 where it lies between the two, otherwise their middle; 1 from one without end."""
    if low < 0 < high:
        return 0.0
    if math.isinf(low):
        return high - 1.0
    return low + 1.0 if math.isinf(high) else (low + high) / 2


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
