"""Evaluation and prediction jobs: a folder with inputs in, scores and a report out."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from nbtransfer.data.encode import batches_of
from nbtransfer.engine.evaluate import score_rows
from nbtransfer.engine.forgetting import stage_losses
from nbtransfer.engine.loading import Rows
from nbtransfer.engine.objectives import Sequence, objective_of
from nbtransfer.engine.precision import set_determinism, set_precision, usable_precision
from nbtransfer.engine.products import take_products, usable_products
from nbtransfer.engine.reporting import Reader, with_decision, write_evaluation
from nbtransfer.engine.representations import embedding_map
from nbtransfer.models.load import load_finetuned
from nbtransfer.runs.files import read_json, read_table, write_json, write_table
from nbtransfer.runs.representations import write_embedding_map
from nbtransfer.runs.store import open_run
from nbtransfer.settings import resolve_runs_dir
from nbtransfer.tasks.catalog import task_named

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from nbtransfer.runs.events import EventWriter
    from nbtransfer.runs.paths import EvaluationPaths

_SAID_EVERY_S = 0.5


@lru_cache(maxsize=1)
def _load(
    model_dir: Path, auto_class: str, modified_ns: int
) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """Load a run's model, or return the one of the last job; it waits on the CPU between jobs."""
    return load_finetuned(model_dir, auto_class)


def score(paths: EvaluationPaths, events: EventWriter) -> None:
    """Run a kept model over the rows in `inputs.parquet` and write what it says.

    The request names the run folder, and for an evaluation the split: then there is a report,
    otherwise predictions only. It may want a map of embeddings instead, or the losses of the
    models that came before.
    """
    request = read_json(paths.request)
    run = open_run(Path(request["run_dir"]), resolve_runs_dir())
    usage = run.usage
    card = with_decision(usage.card, run.paths.model_dir)
    task = task_named(card.task)
    torch.set_num_threads(usage.num_threads)
    AcceleratorState._reset_state(reset_partial_state=True)
    # As in training: a report made again has the same figures.
    set_determinism(usage.deterministic)
    precision = usable_precision(usage, events)
    accelerator = Accelerator(cpu=usage.use_cpu, mixed_precision=set_precision(precision))
    events.append("phase_started", phase="loading")
    if request["wanted"] == "forgetting":
        losses = stage_losses(request, read_table(paths.inputs), accelerator)
        write_json(paths.stage_losses, losses)
        events.append("job_completed")
        return
    config = run.paths.model_dir / "config.json"
    model, tokenizer = _load(run.paths.model_dir, task.auto_class, config.stat().st_mtime_ns)
    take_products(model, usable_products(usage, precision, events))
    table = read_table(paths.inputs)
    if request["wanted"] == "embeddings":
        events.append("phase_started", phase="evaluating")
        found = embedding_map(
            run, task, model, tokenizer, table, accelerator=accelerator, split=request["split"]
        )
        write_embedding_map(found, paths.embedding_map)
        events.append("job_completed")
        return
    events.append("phase_started", phase="tokenizing")
    encoding = task.encode(tokenizer, table, usage.max_length, card)
    encoded = batches_of(encoding, tokenizer)
    rows = Rows(encoded=encoded, encoding=encoding, path=paths.inputs)
    events.append("phase_started", phase="evaluating")
    start = time.monotonic()
    objective = objective_of(task.objective(card), options=card.settings)
    passes = 2 if isinstance(objective, Sequence) else 1  # reading, and writing
    model.to(accelerator.device)
    try:
        scores = score_rows(
            accelerator,
            model,
            encoded,
            objective,
            usage.per_device_eval_batch_size,
            told=_Count(events, table.num_rows, passes * len(encoded.lengths)),
        )
    finally:
        model.to("cpu")
    reader = Reader(task, card, tokenizer)
    if request["split"] is None:
        write_table(paths.predictions, reader.predictions(rows, scores))
    else:
        write_evaluation(
            paths,
            reader,
            rows,
            scores,
            run_id=run.id,
            split=request["split"],
            duration_s=time.monotonic() - start,
        )
    events.append("job_completed")


class _Count:
    """Says in a job's log how many of its rows are read, twice a second at most."""

    def __init__(self, events: EventWriter, num_rows: int, num_passed: int) -> None:
        self._events = events
        self._num_rows, self._num_passed = num_rows, num_passed  # long texts are several to pass
        self._passed, self._said = 0, time.monotonic()

    def __call__(self, passed: int) -> None:
        self._passed += passed
        now = time.monotonic()
        if now - self._said >= _SAID_EVERY_S or self._passed == self._num_passed:
            self._said = now
            done = self._num_rows * self._passed // self._num_passed
            self._events.append("rows_read", done=done, total=self._num_rows)
