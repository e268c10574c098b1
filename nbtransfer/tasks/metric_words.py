"""Metrics by name: how a person calls them, how their values are written, which ones are shown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Everything else is better when it is higher.
LOWER_IS_BETTER = frozenset({"loss", "perplexity", "rmse"})

# A task's own order is that of its tables; the first shares among them are drawn as curves.
_WORDS = {
    "perplexity": "perplexity",
    "f1": "F1",
    "accuracy": "accuracy",
    "f1_macro": "macro F1",
    "f1_micro": "micro F1",
    "exact_match": "exact match",
    "has_answer_f1": "F1 where there is an answer",
    "has_answer_exact_match": "exact match where there is one",
    "no_answer_accuracy": "accuracy where there is none",
    "precision": "precision",
    "recall": "recall",
    "precision_macro": "macro precision",
    "recall_macro": "macro recall",
    "chrf": "chrF",
    "bleu": "BLEU",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "rmse": "RMSE",
    "loss": "loss",
}
METRICS = tuple(_WORDS)
_AS_PERCENT = frozenset({"accuracy", "exact_match", "has_answer_exact_match", "no_answer_accuracy"})
_UP_TO_100 = frozenset({"bleu", "chrf"})  # sacreBLEU's own scale
_LEFT_OUT = frozenset(
    {
        *("precision_macro", "recall_macro", "loss"),
        *("has_answer_f1", "has_answer_exact_match", "no_answer_accuracy"),
    }
)  # of tables by evaluation
_NO_SHARES = _UP_TO_100 | LOWER_IS_BETTER | {"pearson", "spearman"}
_MAX_SHOWN = 3


def worth(name: str, metrics: Mapping[str, float]) -> float:
    """Return the metric `name` of an evaluation so that more is better."""
    value = metrics[f"eval_{name}"]
    return -value if name in LOWER_IS_BETTER else value


def metric_word(name: str) -> str:
    """Return how a person calls a metric, with or without `eval_` before its name."""
    plain = name.removeprefix("eval_")
    return _WORDS.get(plain, plain)


def metric_text(name: str, value: float | None) -> str:
    """Return a metric's value: accuracies in percent, the rest as a number, nothing as a dash."""
    plain = name.removeprefix("eval_")
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    if plain in _AS_PERCENT:
        return f"{100 * value:.1f} %"
    return f"{value:.1f}" if plain in _UP_TO_100 else f"{value:.3f}"


def shown_metrics(metrics: Mapping[str, float]) -> list[str]:
    """Return the names, with `eval_`, of the metrics that a table of evaluations has room for."""
    return _among(metrics, _LEFT_OUT)[:_MAX_SHOWN]


def shown_shares(metrics: Mapping[str, float]) -> list[str]:
    """Return the names, with `eval_`, of at most two metrics between 0 and 1 to draw as curves."""
    return _among(metrics, _LEFT_OUT | _NO_SHARES)[:2]


def _among(metrics: Mapping[str, float], left_out: frozenset[str]) -> list[str]:
    """Return the metrics we know in the order in which the task measures them."""
    known = {f"eval_{name}" for name in _WORDS if name not in left_out}
    return [name for name in metrics if name in known]


def signature_lines(signatures: Mapping[str, str]) -> list[str]:
    """Return how each metric was counted; metrics counted alike share a line."""
    names: dict[str, list[str]] = {}
    for name, signature in signatures.items():
        if signature:
            names.setdefault(signature, []).append(metric_word(name))
    return [f"{', '.join(words)}: {signature}" for signature, words in names.items()]
