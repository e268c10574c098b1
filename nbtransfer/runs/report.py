"""Report: how good a run's model is on some rows, computed here and kept beside the run."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.errors import DataError, RunError, count_of
from nbtransfer.runs.files import read_json, read_table, write_json, write_table
from nbtransfer.tasks.findings import (
    AnswerRow,
    ClassRow,
    Example,
    Findings,
    MarkedSpan,
    MarkedText,
    Mistake,
)
from nbtransfer.tasks.metric_words import metric_text, metric_word, shown_metrics, signature_lines

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from nbtransfer.runs.paths import EvaluationPaths

_MAX_LINES = 12
_MAX_MISTAKES = 5


class Words(NamedTuple):
    """One class, several, what is counted of each, and who always gives the same answer."""

    one: str
    several: str
    rows: str
    majority: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Report:
    """How good a model is on some rows.

    Attributes:
        run_id: the run whose model answered.
        name: the evaluation's name, also its folder's.
        split: where the rows are from.
        num_rows: rows answered.
        metrics: the task's, each with `eval_` before its name, and `eval_loss` (mean, in nats).
        duration_s: seconds the evaluation took.
        task: the task's name.
        labels: see `Findings`, as the next ten.
        interval: of the accuracy, for rows drawn at random.
        per_class: by class, or by type of entity.
        confusion_matrix: empty where the task has no classes.
        majority_accuracy: None where the task has no classes.
        mistakes: at most 50; long texts are cut.
        answers: wrong answers to questions in their contexts, at most 50.
        num_wrong: wrong answers in all, where the confusion matrix does not say.
        marked: at most 50 texts of a task that marks entities.
        baselines: the main metric of other models on the same rows, by name; may be empty.
    """

    run_id: str
    name: str
    split: str
    num_rows: int
    metrics: dict[str, float]
    duration_s: float
    task: str = "text-classification"
    labels: tuple[str, ...] = ()
    interval: tuple[float, float] | None = None
    per_class: tuple[ClassRow, ...] = ()
    confusion_matrix: tuple[tuple[int, ...], ...] = ()
    majority_accuracy: float | None = None
    mistakes: tuple[Mistake, ...] = ()
    answers: tuple[AnswerRow, ...] = ()
    num_wrong: int | None = None
    marked: tuple[MarkedText, ...] = ()
    examples: tuple[Example, ...] = ()
    signatures: dict[str, str] = field(default_factory=dict)
    baselines: dict[str, float] = field(default_factory=dict)
    predictions_file: Path | None = field(default=None, compare=False)

    @property
    def words(self) -> Words:
        """How a reader calls what is counted by class."""
        if self.task == "token-classification":
            return Words("entity", "Entities", "number", "accuracy of finding none")
        return Words("class", "Classes", "rows", "majority class")

    @property
    def num_mistakes(self) -> int:
        """Wrong answers in all; of a task without classes, those that are kept."""
        if not self.confusion_matrix:
            return len(self.mistakes) if self.num_wrong is None else self.num_wrong
        return sum(sum(row) - row[i] for i, row in enumerate(self.confusion_matrix))

    def predictions(self) -> pa.Table:
        """Return every answer, in the columns of the task.

        For text classification: text, label, predicted, probability, row and p_<class> by class.

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
            "answers": [row._asdict() for row in self.answers],
            "marked": [
                row._asdict()
                | {"gold": list(map(list, row.gold)), "predicted": list(map(list, row.predicted))}
                for row in self.marked
            ],
            "examples": [row._asdict() for row in self.examples],
            "metrics": {k: v if math.isfinite(v) else str(v) for k, v in self.metrics.items()},
        }
        del record["predictions_file"]
        return record

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Report:
        """Return the report that `to_json` wrote; fields of newer versions are left out."""
        names = {f.name for f in dataclasses.fields(cls)} - {"predictions_file"}
        kept = {k: v for k, v in record.items() if k in names}
        return cls(
            **kept
            | {
                "labels": tuple(kept["labels"]),
                "metrics": {k: float(v) for k, v in kept["metrics"].items()},
                "interval": None if kept["interval"] is None else tuple(kept["interval"]),
                "per_class": tuple(
                    ClassRow(*(r[name] for name in ClassRow._fields)) for r in kept["per_class"]
                ),
                "confusion_matrix": tuple(tuple(row) for row in kept["confusion_matrix"]),
                "mistakes": tuple(
                    Mistake(*(r[name] for name in Mistake._fields)) for r in kept["mistakes"]
                ),
                "answers": tuple(map(_answer_row, kept.get("answers", ()))),
                "marked": tuple(
                    MarkedText(
                        r["text"],
                        tuple(MarkedSpan(*span) for span in r["gold"]),
                        tuple(MarkedSpan(*span) for span in r["predicted"]),
                        r["row"],
                    )
                    for r in kept.get("marked", ())
                ),
                "examples": tuple(
                    Example(*(r[name] for name in Example._fields))
                    for r in kept.get("examples", ())
                ),
            }
        )

    @property
    def figures(self) -> list[tuple[str, str]]:
        """The metrics as a person reads them: word and value, the main ones first."""
        main = shown_metrics(self.metrics)
        rest = [name for name in self.metrics if name not in main]
        return [(metric_word(n), metric_text(n, self.metrics[n])) for n in [*main, *rest]]

    def __repr__(self) -> str:
        # One line: a cell that shows the card must not repeat it as its value.
        first = ", ".join(f"{word} {value}" for word, value in self.figures[:2])
        return f"Report {self.run_id} on {self.split}: {first}"

    def __str__(self) -> str:
        figures, others = [
            [f"{word} {value}" for word, value in some]
            for some in (self.figures[:2], self.figures[2:])
        ]
        if self.interval is not None:
            low, high = self.interval
            figures[0] += f" (95 %: {100 * low:.1f} to {100 * high:.1f})"
        if self.majority_accuracy is not None:
            figures.append(f"{self.words.majority} {_percent(self.majority_accuracy)}")
        head = [
            f"{self.run_id} on {self.split}: {count_of(self.num_rows, 'row')}",
            " · ".join(figures),
            *([" · ".join(others)] if others else []),
            *signature_lines(self.signatures),
            *(f"{_printable(k)} {_percent(v)}" for k, v in self.baselines.items()),
        ]
        if self.answers:
            head += ["", *map(_wrong_answer, self.mistakes[:_MAX_MISTAKES])]
        if self.examples:
            head += [line for example in self.examples[:3] for line in _side_by_side(example)]
        if not self.per_class:
            return "\n".join(head)
        shown = self.per_class[:_MAX_LINES]
        width = max(len(self.words.one), *(len(_printable(row.label)) for row in shown))
        lines = [f"{self.words.one:<{width}}  precision  recall     F1  {self.words.rows:>6}"]
        lines += [
            f"{_printable(row.label):<{width}}      {row.precision:.3f}   {row.recall:.3f}  "
            f"{row.f1:.3f}  {row.support:>{max(6, len(self.words.rows))},}"
            for row in shown
        ]
        if len(self.per_class) > len(shown):
            lines.append(f"and {len(self.per_class) - len(shown)} more in report.per_class")
        return "\n".join([*head, *lines])


def make_report(
    *,
    run_id: str,
    name: str,
    split: str,
    task: str,
    num_rows: int,
    metrics: dict[str, float],
    findings: Findings,
    duration_s: float,
    baselines: dict[str, float] | None = None,
) -> Report:
    """Return the report on some rows.

    Args:
        run_id: the run whose model answered.
        name: the evaluation's name.
        split: where the rows are from.
        task: the task's name.
        num_rows: rows answered.
        metrics: as the task measured them, `eval_loss` among them.
        findings: what the task found.
        duration_s: seconds the evaluation took.
        baselines: the main metric of other models on the same rows, by name.

    Raises:
        DataError: if there is no row.
    """
    if num_rows == 0:
        raise DataError(f"{split} has no rows to evaluate on. Give some.")
    return Report(
        run_id=run_id,
        name=name,
        split=split,
        task=task,
        num_rows=num_rows,
        metrics=metrics,
        duration_s=duration_s,
        baselines=dict(baselines or {}),
        **findings._asdict() | {"signatures": dict(findings.signatures)},
    )


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


def _wrong_answer(mistake: Mistake) -> str:
    question, said, right = (
        _printable(text, 80) for text in (mistake.text, mistake.predicted, mistake.actual)
    )
    share = _percent(mistake.probability or 0.0)
    return f"{question} {share} {said!r}, is {right!r} (row {mistake.row:,})"


def _answer_row(record: dict[str, Any]) -> AnswerRow:
    row = AnswerRow(*(record[name] for name in AnswerRow._fields))
    return row._replace(
        right=tuple((first, last) for first, last in row.right),
        predicted=None if row.predicted is None else (row.predicted[0], row.predicted[1]),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _side_by_side(example: Example) -> list[str]:
    return [
        f"source: {_printable(example.source, 90)}",
        f"  target: {_printable(example.target, 90)}",
        f"  output: {_printable(example.output, 90)}",
    ]


def _printable(label: str, limit: int = 30) -> str:
    """Return a class name for a terminal: one line, no control characters."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in label)
    return text if len(text) <= limit else text[: limit - 1] + "…"
