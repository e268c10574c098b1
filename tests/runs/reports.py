"""Reports on classified rows, as the text classification task makes them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from nbtransfer.runs.report import Report, make_report
from nbtransfer.tasks.class_findings import class_findings
from nbtransfer.tasks.text_classification import metrics


def class_report(
    *,
    run_id: str,
    name: str,
    split: str,
    loss: float,
    duration_s: float,
    baselines: dict[str, float] | None = None,
    **answers: object,
) -> Report:
    """The report on `answers`: labels, texts, actual, probabilities, rows and majority_label."""
    findings = class_findings(**answers)
    actual = np.asarray(answers["actual"])
    measured = metrics(actual, answers["probabilities"], answers["labels"]) if len(actual) else {}
    return make_report(
        run_id=run_id,
        name=name,
        split=split,
        task="text-classification",
        num_rows=len(actual),
        metrics=measured | {"eval_loss": float(loss)},
        findings=findings,
        duration_s=duration_s,
        baselines=baselines,
    )


def answers_table(*, labels, texts, actual, probabilities, rows) -> pa.Table:
    """The predictions kept beside such a report."""
    names = pa.array(labels, pa.string())
    predicted = probabilities.argmax(axis=1)
    columns = {
        "text": pa.array(texts, pa.string()),
        "label": names.take(pa.array(actual)),
        "predicted": names.take(pa.array(predicted)),
        "probability": pa.array(probabilities[np.arange(len(actual)), predicted]),
        "row": pa.array(rows, pa.int64()),
    }
    return pa.table(columns | {f"p_{n}": probabilities[:, i] for i, n in enumerate(labels)})
