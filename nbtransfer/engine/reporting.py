"""From scores to a report on disk, with every prediction and the confusion matrix as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nbtransfer.plots.confusion_matrix import confusion_matrix_info, confusion_matrix_png
from nbtransfer.runs.files import write_bytes
from nbtransfer.runs.report import make_report, predictions_table, write_report

if TYPE_CHECKING:
    import pyarrow as pa

    from nbtransfer.engine.evaluate import Scores
    from nbtransfer.runs.paths import EvaluationPaths
    from nbtransfer.runs.run import Run


def write_evaluation(
    paths: EvaluationPaths,
    run: Run,
    table: pa.Table,
    scores: Scores,
    *,
    split: str,
    majority_label: int,
    duration_s: float,
) -> None:
    """Write what `scores` say of the rows in `table` (text, label, row)."""
    rows = {
        "labels": run.data_card.label_names,
        "texts": table["text"].to_pylist(),
        "actual": table["label"].to_numpy().astype(np.int64),
        "probabilities": scores.probabilities,
        "rows": table["row"].to_numpy(),
    }
    report = make_report(
        run_id=run.id,
        name=paths.dir.name,
        split=split,
        loss=scores.loss,
        majority_label=majority_label,
        duration_s=duration_s,
        **rows,
    )
    # The picture first: where the report is, the evaluation is whole.
    write_bytes(paths.confusion_png, confusion_matrix_png(confusion_matrix_info(report)))
    write_report(report, paths, predictions_table(**rows))
