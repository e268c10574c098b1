"""What a report on classes shows: each class's figures, the confusions, the surest mistakes."""

# Shapes: N rows, C classes.
from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nbtransfer.tasks.findings import ClassRow, Findings, Mistake

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa

MAX_MISTAKES = 50
_MAX_TEXT = 500
_Z_95 = 1.959963984540054  # the normal distribution's 97.5 % point


def wilson_interval(num_right: int, num_rows: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson, 1927).

    Unlike the textbook interval it stays within [0, 1] and holds for few rows and shares near 1.
    """
    share, z2 = num_right / num_rows, _Z_95**2
    centre = share + z2 / (2 * num_rows)
    spread = _Z_95 * math.sqrt(share * (1 - share) / num_rows + z2 / (4 * num_rows**2))
    scale = 1 + z2 / num_rows
    # Rounding must not push the ends of 0 of n and n of n out of the unit interval.
    return max((centre - spread) / scale, 0.0), min((centre + spread) / scale, 1.0)


def class_findings(
    *,
    labels: Sequence[str],
    texts: Sequence[str] | pa.Array,
    actual: np.ndarray,
    probabilities: np.ndarray,
    rows: Sequence[int] | np.ndarray,
    majority_label: int,
) -> Findings:
    """Return what a report on classified rows shows.

    Args:
        labels: the C classes' names.
        texts: the N texts.
        actual: int array (N,), the right classes.
        probabilities: float array (N, C).
        rows: each row's number in its source, (N,).
        majority_label: the training rows' largest class.
    """
    import numpy as np

    num_rows, num_classes = len(actual), len(labels)
    if probabilities.shape != (num_rows, num_classes) or not len(texts) == len(rows) == num_rows:
        raise ValueError(
            f"{num_rows} rows and {num_classes} classes do not fit probabilities of shape "
            f"{probabilities.shape}, {len(texts)} texts and {len(rows)} row numbers"
        )
    if not num_rows:
        return Findings(labels=tuple(labels))
    predicted = probabilities.argmax(axis=1)
    pairs = np.bincount(actual * num_classes + predicted, minlength=num_classes**2)
    matrix = pairs.reshape(num_classes, num_classes)
    right, support, answered = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    precision, recall = _shares(right, answered), _shares(right, support)
    f1 = _shares(2 * right, support + answered)
    return Findings(
        labels=tuple(labels),
        per_class=tuple(
            ClassRow(label, float(p), float(r), float(f), int(s))
            for label, p, r, f, s in zip(labels, precision, recall, f1, support, strict=True)
        ),
        confusion_matrix=tuple(tuple(int(n) for n in row) for row in matrix),
        interval=wilson_interval(int(right.sum()), num_rows),
        majority_accuracy=float(np.mean(actual == majority_label)),
        mistakes=_mistakes(labels, texts, actual, predicted, probabilities, rows),
    )


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return `part / whole` by element, and 0 where there is nothing to divide."""
    import numpy as np

    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


def _mistakes(
    labels: Sequence[str],
    texts: Sequence[str] | pa.Array,
    actual: np.ndarray,
    predicted: np.ndarray,
    probabilities: np.ndarray,
    rows: Sequence[int] | np.ndarray,
) -> tuple[Mistake, ...]:
    """Return the wrong answers, the surest first; equally sure ones keep their order."""
    import numpy as np

    wrong = np.flatnonzero(actual != predicted)
    sureness = probabilities[wrong, predicted[wrong]]
    worst = wrong[np.argsort(-sureness, kind="stable")[:MAX_MISTAKES]]
    return tuple(
        Mistake(
            cut_text(str(texts[int(i)])),
            labels[actual[i]],
            labels[predicted[i]],
            float(probabilities[i, predicted[i]]),
            int(rows[i]),
        )
        for i in worst
    )


def cut_text(text: str, limit: int = _MAX_TEXT) -> str:
    """Return the text, or its beginning where it is longer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
