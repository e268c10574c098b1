"""Evaluation and prediction jobs: a folder with inputs in, scores and a report out."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from nbtransfer.data.encode import encode_texts
from nbtransfer.engine.evaluate import score_rows
from nbtransfer.engine.reporting import write_evaluation
from nbtransfer.models.load import load_finetuned
from nbtransfer.runs.files import read_json, read_table, write_table
from nbtransfer.runs.run import Run

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerBase

    from nbtransfer.runs.events import EventWriter
    from nbtransfer.runs.paths import EvaluationPaths


@lru_cache(maxsize=1)
def _load(model_dir: Path, modified_ns: int) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """Load a run's model, or return the one of the last job; it waits on the CPU between jobs."""
    return load_finetuned(model_dir)


def score(paths: EvaluationPaths, events: EventWriter) -> None:
    """Run a kept model over the rows in `inputs.parquet` and write what it says.

    The request names the run folder, and for an evaluation the split. Rows with labels make a
    report; rows without make predictions only.
    """
    import pyarrow as pa

    request = read_json(paths.request)
    run = Run(request["run_dir"])
    torch.set_num_threads(run.plan.num_threads)
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=run.spec.use_cpu)
    events.append("phase_started", phase="loading")
    config = run.paths.model_dir / "config.json"
    model, tokenizer = _load(run.paths.model_dir, config.stat().st_mtime_ns)
    table = read_table(paths.inputs)
    events.append("phase_started", phase="tokenizing")
    encoded = encode_texts(tokenizer, table["text"].to_pylist(), run.plan.max_length)
    events.append("phase_started", phase="evaluating")
    start = time.monotonic()
    labels = run.data_card.label_names
    actual = (
        np.asarray(table["label"].to_pylist(), dtype=np.int64)
        if "label" in table.column_names
        else None
    )
    model.to(accelerator.device)
    try:
        scores = score_rows(
            accelerator, model, encoded, actual, run.spec.per_device_eval_batch_size
        )
    finally:
        model.to("cpu")
    if actual is None:
        columns = {f"p{i}": scores.probabilities[:, i] for i in range(len(labels))}
        write_table(paths.predictions, pa.table(columns))
    else:
        write_evaluation(
            paths,
            run,
            table,
            scores,
            split=request["split"],
            majority_label=request["majority_label"],
            duration_s=time.monotonic() - start,
        )
    events.append("job_completed")
