"""Report: how good a run's model is on some rows, computed here and kept beside the run."""

# Shapes: N rows, C classes.
from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.errors import DataError, RunError, count_of
from nbtransfer.runs.files import read_json, read_table, write_json, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from nbtransfer.runs.paths import EvaluationPaths

_Z_95 = 1.959963984540054  # the normal distribution's 97.5 % point
_MAX_MISTAKES = 50
_MAX_TEXT = 500
_MAX_LINES = 12


class ClassRow(NamedTuple):
    """How well one class is found; `support` counts its rows. A class without any scores 0."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


class Mistake(NamedTuple):
    """One wrong answer: `probability` is what the model gave its answer, `row` the source's row."""

    text: str
    actual: str
    predicted: str
    probability: float
    row: int


@dataclass(frozen=True, kw_only=True, repr=False)
class Report:
    """How good a model is on some rows.

    Attributes:
        run_id: the run whose model answered.
        name: the evaluation's name, also its folder's.
        split: where the rows are from.
        num_rows: rows answered.
        labels: the classes' names, in the order of `per_class` and `confusion_matrix`.
        metrics: `eval_accuracy`, `eval_f1_macro`, `eval_precision_macro`, `eval_recall_macro` and
            `eval_loss` (mean, in nats).
        interval: the accuracy's 95 % interval (low, high) for rows drawn at random.
        per_class: precision, recall, F1 and rows of each class.
        confusion_matrix: rows are actual classes, columns predicted ones.
        majority_accuracy: the accuracy of always saying the training rows' largest class.
        mistakes: at most 50 wrong answers, the surest first; long texts are cut.
        duration_s: seconds the evaluation took.
        baselines: accuracies of other models on the same rows, by name; may be empty.
    """

    run_id: str
    name: str
    split: str
    num_rows: int
    labels: tuple[str, ...]
    metrics: dict[str, float]
    interval: tuple[float, float]
    per_class: tuple[ClassRow, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    majority_accuracy: float
    mistakes: tuple[Mistake, ...]
    duration_s: float
    baselines: dict[str, float] = field(default_factory=dict)
    predictions_file: Path | None = field(default=None, compare=False)

    @property
    def num_mistakes(self) -> int:
        """Wrong answers in all."""
        return self.num_rows - sum(row[i] for i, row in enumerate(self.confusion_matrix))

    def predictions(self) -> pa.Table:
        """Return every answer: text, label, predicted, probability, row and one p_<class> a class.

        Raises:
            RunError: if the table is not there.
        """
        if self.predictions_file is None or not self.predictions_file.is_file():
            raise RunError(
                f"the predictions of evaluation {self.name!r} of {self.run_id} are not in the run "
                "folder. Evaluate again: nt.evaluate(run)."
            )
        return read_table(self.predictions_file)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them; NaN and infinities become strings."""
        record = dataclasses.asdict(self) | {
            "per_class": [row._asdict() for row in self.per_class],
            "mistakes": [row._asdict() for row in self.mistakes],
            "metrics": {k: v if math.isfinite(v) else str(v) for k, v in self.metrics.items()},
        }
        del record["predictions_file"]
        return record

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Report:
        """Return the report that `to_json` wrote; fields of newer versions are left out."""
        names = {f.name for f in dataclasses.fields(cls)} - {"predictions_file"}
        kept = {k: v for k, v in record.items() if k in names}
        low, high = kept["interval"]
        return cls(
            **kept
            | {
                "labels": tuple(kept["labels"]),
                "metrics": {k: float(v) for k, v in kept["metrics"].items()},
                "interval": (low, high),
                "per_class": tuple(
                    ClassRow(*(r[name] for name in ClassRow._fields)) for r in kept["per_class"]
                ),
                "confusion_matrix": tuple(tuple(row) for row in kept["confusion_matrix"]),
                "mistakes": tuple(
                    Mistake(*(r[name] for name in Mistake._fields)) for r in kept["mistakes"]
                ),
            }
        )

    def __repr__(self) -> str:
        # One line: a cell that shows the card must not repeat it as its value.
        return (
            f"Report {self.run_id} on {self.split}: "
            f"accuracy {_percent(self.metrics['eval_accuracy'])}, "
            f"macro F1 {self.metrics['eval_f1_macro']:.3f}"
        )

    def __str__(self) -> str:
        low, high = self.interval
        head = [
            f"{self.run_id} on {self.split}: {count_of(self.num_rows, 'row')}",
            f"accuracy {_percent(self.metrics['eval_accuracy'])} "
            f"(95 %: {100 * low:.1f} to {100 * high:.1f}) · "
            f"macro F1 {self.metrics['eval_f1_macro']:.3f} · "
            f"majority class {_percent(self.majority_accuracy)}",
            *(f"{_printable(k)} {_percent(v)}" for k, v in self.baselines.items()),
        ]
        shown = self.per_class[:_MAX_LINES]
        width = max(len("class"), *(len(_printable(row.label)) for row in shown))
        lines = [f"{'class':<{width}}  precision  recall     F1    rows"]
        lines += [
            f"{_printable(row.label):<{width}}      {row.precision:.3f}   {row.recall:.3f}  "
            f"{row.f1:.3f}  {row.support:>6,}"
            for row in shown
        ]
        if len(self.per_class) > len(shown):
            lines.append(f"and {len(self.per_class) - len(shown)} more in report.per_class")
        return "\n".join([*head, *lines])


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


def make_report(
    *,
    run_id: str,
    name: str,
    split: str,
    labels: Sequence[str],
    texts: Sequence[str] | pa.Array,
    actual: np.ndarray,
    probabilities: np.ndarray,
    loss: float,
    rows: Sequence[int] | np.ndarray,
    majority_label: int,
    duration_s: float,
    baselines: dict[str, float] | None = None,
) -> Report:
    """Return the report on some rows.

    Args:
        run_id: the run whose model answered.
        name: the evaluation's name.
        split: where the rows are from.
        labels: the C classes' names.
        texts: the N texts.
        actual: int array (N,), the right classes.
        probabilities: float array (N, C).
        loss: mean cross-entropy, in nats.
        rows: each row's number in its source, (N,).
        majority_label: the training rows' largest class.
        duration_s: seconds the evaluation took.
        baselines: accuracies of other models on the same rows, by name.

    Returns:
        The report. Macro averages are over the classes that occur among the actual or predicted
        ones, as in scikit-learn.

    Raises:
        DataError: if there is no row.
    """
    import numpy as np

    num_rows, num_classes = len(actual), len(labels)
    if num_rows == 0:
        raise DataError(f"{split} has no rows to evaluate on. Give rows with a text and a label.")
    if probabilities.shape != (num_rows, num_classes) or not len(texts) == len(rows) == num_rows:
        raise ValueError(
            f"{num_rows} rows and {num_classes} classes do not fit probabilities of shape "
            f"{probabilities.shape}, {len(texts)} texts and {len(rows)} row numbers"
        )
    predicted = probabilities.argmax(axis=1)
    pairs = np.bincount(actual * num_classes + predicted, minlength=num_classes**2)
    matrix = pairs.reshape(num_classes, num_classes)
    right, support, answered = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    precision, recall = _shares(right, answered), _shares(right, support)
    f1 = _shares(2 * right, support + answered)
    occurs = support + answered > 0
    return Report(
        run_id=run_id,
        name=name,
        split=split,
        num_rows=num_rows,
        labels=tuple(labels),
        metrics={
            "eval_loss": float(loss),
            "eval_accuracy": int(right.sum()) / num_rows,
            "eval_f1_macro": float(f1[occurs].mean()),
            "eval_precision_macro": float(precision[occurs].mean()),
            "eval_recall_macro": float(recall[occurs].mean()),
        },
        interval=wilson_interval(int(right.sum()), num_rows),
        per_class=tuple(
            ClassRow(label, float(p), float(r), float(f), int(s))
            for label, p, r, f, s in zip(labels, precision, recall, f1, support, strict=True)
        ),
        confusion_matrix=tuple(tuple(int(n) for n in row) for row in matrix),
        majority_accuracy=float(np.mean(actual == majority_label)),
        mistakes=_mistakes(labels, texts, actual, predicted, probabilities, rows),
        duration_s=duration_s,
        baselines=dict(baselines or {}),
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
    worst = wrong[np.argsort(-sureness, kind="stable")[:_MAX_MISTAKES]]
    return tuple(
        Mistake(
            _cut(str(texts[int(i)])),
            labels[actual[i]],
            labels[predicted[i]],
            float(probabilities[i, predicted[i]]),
            int(rows[i]),
        )
        for i in worst
    )


def predictions_table(
    *,
    labels: Sequence[str],
    texts: Sequence[str] | pa.Array,
    actual: np.ndarray,
    probabilities: np.ndarray,
    rows: Sequence[int] | np.ndarray,
) -> pa.Table:
    """Return every answer as a table; the arguments are those of `make_report`.

    Returns:
        Columns text, label, predicted, probability, row and one p_<class> a class; classes by name.
    """
    import numpy as np
    import pyarrow as pa

    names = pa.array(labels, pa.string())
    predicted = probabilities.argmax(axis=1)
    columns = {
        "text": pa.array(texts, pa.string()) if isinstance(texts, (list, tuple)) else texts,
        "label": names.take(pa.array(actual)),
        "predicted": names.take(pa.array(predicted)),
        "probability": pa.array(probabilities[np.arange(len(actual)), predicted]),
        "row": pa.array(rows, pa.int64()),
    }
    columns |= {
        f"p_{label}": pa.array(np.ascontiguousarray(probabilities[:, i]))
        for i, label in enumerate(labels)
    }
    return pa.table(columns)


def write_report(report: Report, paths: EvaluationPaths, predictions: pa.Table) -> Report:
    """Write both files, the report last: where it is, the evaluation is whole.

    Returns:
        The report, now able to give its `predictions()`.
    """
    write_table(paths.predictions, predictions)
    write_json(paths.report, report.to_json())
    return dataclasses.replace(report, predictions_file=paths.predictions)


def read_report(paths: EvaluationPaths) -> Report:
    """Return the report that `write_report` wrote.

    Raises:
        RunError: if it is not there or damaged.
    """
    try:
        report = Report.from_json(read_json(paths.report))
    except FileNotFoundError:
        raise RunError(
            f"there is no report {paths.dir.name!r} in {paths.dir.parent.parent.name}: the "
            "evaluation has not finished. Evaluate again: nt.evaluate(run)."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"the report {paths.dir.name!r} in {paths.dir.parent.parent.name} is damaged "
            f"({type(error).__name__}). Evaluate again: nt.evaluate(run)."
        ) from error
    return dataclasses.replace(report, predictions_file=paths.predictions)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _printable(label: str, limit: int = 30) -> str:
    """Return a class name for a terminal: one line, no control characters."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in label)
    return text if len(text) <= limit else text[: limit - 1] + "…"
