"""How well entities are found: seqeval's figures, and sentences marked as they are and were."""

# Shapes: C tags.
from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.tasks.findings import ClassRow, Findings, MarkedSpan, MarkedText
from nbtransfer.tasks.tag_schemes import OUTSIDE, entities_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import pyarrow as pa

MAX_MARKED = 50
_MAX_TEXT = 600


def metrics(gold: Sequence[list[str]], predicted: Sequence[list[str]]) -> dict[str, float]:
    """Return micro-averaged precision, recall and F1 of entities, and the accuracy of words' tags.

    An entity counts where its first word, last word and type are right, as in conlleval and seqeval
    (Nakayama, 2018). Where none is there or none predicted, the figures are 0.

    Args:
        gold: IOB2 tags by sentence.
        predicted: likewise.
    """
    from seqeval.metrics import accuracy_score
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

    if not any(tag != OUTSIDE for rows in (gold, predicted) for row in rows for tag in row):
        precision = recall = f1 = 0.0  # seqeval takes the mean of nothing there
    else:
        precision, recall, f1, _ = precision_recall_fscore_support(
            list(gold), list(predicted), average="micro", zero_division=0
        )
    return {
        "eval_f1": float(f1),
        "eval_precision": float(precision),
        "eval_recall": float(recall),
        "eval_accuracy": float(accuracy_score(list(gold), list(predicted))),
    }


def by_kind(gold: Sequence[list[str]], predicted: Sequence[list[str]]) -> tuple[ClassRow, ...]:
    """Return precision, recall, F1 and number of entities of each type, in alphabetical order."""
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

    kinds = sorted(
        {kind for rows in (gold, predicted) for row in rows for kind, _, _ in entities_of(row)}
    )
    if not kinds:
        return ()
    columns = precision_recall_fscore_support(
        list(gold), list(predicted), average=None, zero_division=0
    )
    return tuple(
        ClassRow(kind, float(p), float(r), float(f), int(n))
        for kind, p, r, f, n in zip(kinds, *columns, strict=True)
    )


def entity_findings(predictions: pa.Table, names: Sequence[str]) -> Findings:
    """Return what a report shows.

    Args:
        predictions: as the task decodes them, tags among them.
        names: the C tags, in the order of the confusion matrix.
    """
    import numpy as np

    gold, predicted = predictions["tags"].to_pylist(), predictions["predicted"].to_pylist()
    number = {name: i for i, name in enumerate(names)}
    is_, said = (
        np.array([number[tag] for row in rows for tag in row], dtype=np.int64)
        for rows in (gold, predicted)
    )
    size = len(names)
    matrix = np.bincount(is_ * size + said, minlength=size**2).reshape(size, size)
    return Findings(
        labels=tuple(names),
        per_class=by_kind(gold, predicted),
        confusion_matrix=tuple(tuple(int(n) for n in row) for row in matrix),
        majority_accuracy=float(np.mean(is_ == number[OUTSIDE])),
        marked=_marked(predictions),
    )


def _marked(predictions: pa.Table) -> tuple[MarkedText, ...]:
    """Return the sentences with most wrong entities, in that order; equal ones in theirs."""
    import heapq

    import pyarrow as pa

    def wrong(row: int) -> int:
        gold, found = sets[row]
        return len(gold ^ found)

    pairs = zip(predictions["tags"].to_pylist(), predictions["predicted"].to_pylist(), strict=True)
    sets = [(set(entities_of(gold)), set(entities_of(found))) for gold, found in pairs]
    worst = heapq.nsmallest(
        MAX_MARKED,
        (row for row in range(len(sets)) if wrong(row)),
        key=lambda row: (-wrong(row), row),
    )
    table = predictions.take(pa.array(worst, pa.int64()))
    found = []
    for row, place in zip(table.to_pylist(), worst, strict=True):
        gold, guessed = sets[place]
        found.append(
            MarkedText(
                row["text"][:_MAX_TEXT],
                _spans(row, gold),
                _spans(row, guessed),
                row["row"],
            )
        )
    return tuple(found)


def _spans(row: dict[str, Any], entities: set[tuple[str, int, int]]) -> tuple[MarkedSpan, ...]:
    """Return entities by their characters, those within what is kept of the text."""
    starts, tokens = row["starts"], row["tokens"]
    spans = (
        MarkedSpan(starts[first], starts[after - 1] + len(tokens[after - 1]), kind)
        for kind, first, after in entities
    )
    return tuple(sorted(span for span in spans if span.end <= _MAX_TEXT))
