"""Having a worker run a kept model over rows: the request, the wait, and the clearing up."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from nbtransfer.errors import RunError, quoted
from nbtransfer.runs.events import EventReader
from nbtransfer.runs.files import read_json, read_table, write_json, write_table
from nbtransfer.runs.launch import submit_scoring
from nbtransfer.runs.report import Report, read_report
from nbtransfer.runs.representations import EmbeddingMap, read_embedding_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from nbtransfer.runs.paths import EvaluationPaths
    from nbtransfer.runs.run import Run

_numbers = itertools.count()
_told: ContextVar[Callable[[int, int], None] | None] = ContextVar("told", default=None)


@contextmanager
def progress_told(tell: Callable[[int, int], None]) -> Iterator[None]:
    """Call `tell` with the rows read and all rows while a job within it goes on."""
    token = _told.set(tell)
    try:
        yield
    finally:
        _told.reset(token)


def evaluate_rows(run: Run, rows: pa.Table, *, name: str, split: str) -> Report:
    """Return the report of `run`'s model on prepared `rows`, kept under `name`.

    Raises:
        RunError: if the run has no model yet, or the evaluation failed.
    """
    paths = run.paths.evaluation(name)
    _score(run, paths, rows, split)
    return read_report(paths)


def predict_rows(run: Run, rows: pa.Table) -> pa.Table:
    """Return what `run`'s model says of prepared `rows`, in columns of its task.

    Raises:
        RunError: if the run has no model yet, or the prediction failed.
    """
    paths = run.paths.evaluation(f"predict-{os.getpid()}-{next(_numbers)}")
    try:
        _score(run, paths, rows, None)
        return read_table(paths.predictions)
    finally:
        shutil.rmtree(paths.dir, ignore_errors=True)


def map_rows(run: Run, rows: pa.Table, *, split: str) -> EmbeddingMap:
    """Return how the models before and after `run` see prepared `rows` with their classes.

    Raises:
        RunError: if the run has no model yet, or looking into it failed.
    """
    paths = run.paths.evaluation(f"embeddings-{os.getpid()}-{next(_numbers)}")
    try:
        _score(run, paths, rows, split, wanted="embeddings")
        return read_embedding_map(paths.embedding_map)
    finally:
        shutil.rmtree(paths.dir, ignore_errors=True)


def measure_stages(run: Run, rows: pa.Table, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the losses of several models; see `engine.forgetting.stage_losses`.

    Raises:
        RunError: if measuring failed.
    """
    paths = run.paths.evaluation(f"forgetting-{os.getpid()}-{next(_numbers)}")
    try:
        _score(run, paths, rows, None, wanted="forgetting", more=asked)
        losses: dict[str, Any] = read_json(paths.stage_losses)
        return losses
    finally:
        shutil.rmtree(paths.dir, ignore_errors=True)


def _score(
    run: Run,
    paths: EvaluationPaths,
    rows: pa.Table,
    split: str | None,
    wanted: str = "answers",
    more: dict[str, Any] | None = None,
) -> None:
    require_model(run)
    shutil.rmtree(paths.dir, ignore_errors=True)
    request = {"v": 1, "run_dir": str(run.dir), "split": split, "wanted": wanted, **(more or {})}
    try:
        write_table(paths.inputs, rows)
        write_json(paths.request, request)
    except OSError as error:
        raise RunError(
            f"run {run.id!r} cannot be asked: its folder {quoted(str(run.dir))} cannot be written "
            f"({error.strerror}). Copy the folder to where you may write, and use that.",
            run,
        ) from None
    worker = submit_scoring(paths.dir, paths.log)
    reader = EventReader(paths.events)
    while True:
        alive = worker.is_alive  # looked at before the events: its last ones are then not missed
        for event in reader.poll():
            if event["type"] == "job_completed":
                return
            if event["type"] == "rows_read" and (tell := _told.get()) is not None:
                tell(event["done"], event["total"])
            if event["type"] == "job_failed":
                advice = f" {event['advice']}" if event["advice"] else ""
                raise RunError(f"run {run.id!r}: {event['message']}{advice}", run)
        if not alive:
            raise RunError(
                f"the worker that read run {run.id!r} ended without an answer. Its last words: "
                f"{last_words(paths)} Call again: a new worker takes the job.",
                run,
            )
        time.sleep(0.01)


def require_model(run: Run) -> None:
    """Raise RunError unless the run has left a model."""
    if run.paths.model_dir.is_dir():
        return
    status = run.status
    what = {
        "running": f"is still running. Wait for it, or stop it: %runs stop {run.id}",
        "created": f"is still running. Wait for it, or stop it: %runs stop {run.id}",
        "paused": f"is paused. Stop it to keep a model: %runs stop {run.id}",
    }.get(status)
    if what is None:
        end = {"lost": "lost its worker", "failed": "failed"}.get(status, f"is {status}")
        what = f"{end} and left no model. Go on with it: %finetune --resume {run.reference}"
    raise RunError(f"run {run.id!r} {what}", run)


def last_words(paths: EvaluationPaths) -> str:
    """Return the last line the worker printed, or that there is none."""
    try:
        lines = paths.log.read_text(errors="replace").strip().splitlines()
    except FileNotFoundError:
        lines = []
    return f"{lines[-1][:200]!r}." if lines else "none."
