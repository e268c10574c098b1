"""How well a language model knows some text: loss, perplexity, share of tokens guessed right."""

# Shapes: R documents, N blocks.
from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from nbtransfer.tasks.task import Answers


def perplexity(loss: float) -> float:
    """Return e to the mean loss in nats: among so many equally likely tokens the model chooses."""
    return math.inf if loss >= 700 else math.exp(loss)


def language_metrics(answers: Answers, loss: float) -> dict[str, float]:
    """Return the metrics over all guessed tokens.

    Args:
        answers: `right` and `guessed`, int arrays (N,).
        loss: the mean over those tokens.
    """
    found = {"eval_loss": loss, "eval_perplexity": perplexity(loss)}
    right, guessed = answers.get("right"), answers.get("guessed")
    if right is None or guessed is None:  # no rows, so no batch ever was
        return {**found, "eval_accuracy": math.nan}
    return {**found, "eval_accuracy": float(right.sum() / max(1, guessed.sum()))}  # type: ignore[union-attr]


def document_columns(answers: Answers, sources: np.ndarray, table: pa.Table) -> pa.Table:
    """Return text, row, loss, perplexity, num_tokens and num_right of each of the R documents.

    Args:
        answers: `loss` (sums), `right` and `guessed`, arrays (N,).
        sources: the document of each block, int array (N,).
        table: text and row of the R documents.
    """
    import numpy as np
    import pyarrow as pa

    def total(name: str) -> np.ndarray:
        values = answers.get(name, np.zeros(len(sources)))
        return np.bincount(sources, weights=values, minlength=table.num_rows)

    guessed = total("guessed")
    loss = total("loss") / np.maximum(1, guessed)
    return pa.table(
        {
            "text": table["text"],
            "loss": loss,
            "perplexity": [perplexity(value) for value in loss],
            "num_tokens": guessed.astype(np.int64),
            "num_right": total("right").astype(np.int64),
            "row": table["row"],
        }
    )
