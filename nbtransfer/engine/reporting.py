"""From scores to metrics, and to a report on disk with every prediction and its picture."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.plots.confusion_matrix import confusion_matrix_info, confusion_matrix_png
from nbtransfer.runs.files import read_json, write_bytes, write_json
from nbtransfer.runs.report import make_report, write_report
from nbtransfer.tasks.task import WritesTexts

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

    from nbtransfer.data.card import DataCard
    from nbtransfer.engine.evaluate import Scores
    from nbtransfer.engine.loading import Rows
    from nbtransfer.runs.paths import EvaluationPaths
    from nbtransfer.tasks.findings import Example
    from nbtransfer.tasks.task import Task


_NUM_EXAMPLES = 4  # written texts shown at each evaluation while training
DECISION_FILE = "decision.json"


def decision_of(card: DataCard, max_length: int) -> dict[str, Any] | None:
    """Return what is kept with a model of how it is asked and its answers are read, if anything.

    Args:
        card: with the prompt, or with the thresholds that the validation rows decided.
        max_length: tokens a row was cut to.
    """
    if prompt := card.settings.get("prompt"):
        return {"v": 1, "prompt": prompt, "max_length": max_length}
    return {"v": 1, "thresholds": list(card.thresholds)} if card.thresholds else None


def write_decision(model_dir: Path, decision: dict[str, Any] | None) -> None:
    """Keep it with the model."""
    if decision is not None:
        write_json(model_dir / DECISION_FILE, decision)


def read_decision(model_dir: Path) -> dict[str, Any] | None:
    """Return what is kept with the model in `model_dir`."""
    path = model_dir / DECISION_FILE
    return read_json(path) if path.is_file() else None


def with_decision(card: DataCard, model_dir: Path) -> DataCard:
    """Return the card with what was decided for the model in `model_dir`, if anything was."""
    kept = read_decision(model_dir)
    if kept is None:
        return card
    if "prompt" in kept:
        return dataclasses.replace(card, settings={**card.settings, "prompt": kept["prompt"]})
    return dataclasses.replace(card, thresholds=tuple(kept["thresholds"]))


class Reading(NamedTuple):
    """What scores mean: predictions as the task's columns, its metrics by name, and examples."""

    predictions: pa.Table
    metrics: dict[str, float]
    examples: tuple[Example, ...] = ()


class Reader(NamedTuple):
    """What turns a model's answers into predictions and metrics."""

    task: Task
    card: DataCard
    tokenizer: PreTrainedTokenizerBase

    def predictions(self, rows: Rows, scores: Scores) -> pa.Table:
        """Return what the model says of `rows`, in columns of the task."""
        return self._decode(rows, scores, rows.table())

    def read(self, rows: Rows, scores: Scores) -> Reading:
        """Return that, and how good it is."""
        table = rows.table()
        predictions = self._decode(rows, scores, table)
        metrics = self.task.measure(scores.answers, scores.loss, table, predictions, self.card)
        task = self.task
        few = task.examples(predictions, _NUM_EXAMPLES) if isinstance(task, WritesTexts) else ()
        return Reading(predictions, metrics, few)

    def _decode(self, rows: Rows, scores: Scores, table: pa.Table) -> pa.Table:
        return self.task.decode(scores.answers, rows.encoding, table, self.card, self.tokenizer)


def write_evaluation(
    paths: EvaluationPaths,
    reader: Reader,
    rows: Rows,
    scores: Scores,
    *,
    run_id: str,
    split: str,
    duration_s: float,
) -> None:
    """Write the report on `rows`, every prediction, and the confusion matrix."""
    task, reading, table = reader.task, reader.read(rows, scores), rows.table()
    findings = task.findings(scores.answers, table, reading.predictions, reader.card)
    report = make_report(
        run_id=run_id,
        name=paths.dir.name,
        split=split,
        task=task.name,
        num_rows=table.num_rows,
        metrics=reading.metrics,
        findings=findings,
        duration_s=duration_s,
    )
    # The picture first: where the report is, the evaluation is whole.
    if report.confusion_matrix:
        write_bytes(paths.confusion_png, confusion_matrix_png(confusion_matrix_info(report)))
    write_report(report, paths, reading.predictions)
