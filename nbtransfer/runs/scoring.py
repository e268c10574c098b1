"""Having a worker run a kept model over rows: the request, the wait, and the clearing up.

What is asked for an answer only, and not kept, lies in a private folder of the system's temporary
one meanwhile, so that a run that can only be read answers too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.errors import RunError, quoted
from nbtransfer.runs.events import EventReader
from nbtransfer.runs.files import read_json, read_table, write_json, write_table
from nbtransfer.runs.interrupts import InterruptCounter
from nbtransfer.runs.launch import submit_scoring
from nbtransfer.runs.paths import EvaluationPaths
from nbtransfer.runs.report import Report, read_report
from nbtransfer.runs.representations import EmbeddingMap, read_embedding_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from nbtransfer.runs.events import Event
    from nbtransfer.runs.launch import Worker
    from nbtransfer.runs.run import Run


class _Listener(NamedTuple):
    """Who waits for a job: is told of its progress, and of what was chosen."""

    tell: Callable[[int, int | None], None] = lambda done, total: None
    say: Callable[[str], None] = lambda sentence: None


_NOBODY = _Listener()
_listener: ContextVar[_Listener] = ContextVar("listener", default=_NOBODY)


@contextmanager
def progress_told(
    tell: Callable[[int, int | None], None], *, say: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Let somebody listen while a job within it goes on.

    Args:
        tell: called with the rows read and all rows, None where their number is not known.
        say: called with choices that were made, in words.
    """
    former = _listener.get()
    token = _listener.set(_Listener(tell, former.say if say is None else say))
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def part_of(total: int | None, before: int) -> Iterator[None]:
    """Let a job within it count as a part: `before` rows were read, of `total` if that is known."""
    tell = _listener.get().tell
    with progress_told(lambda done, _: tell(before + done, total)):
        yield


def tell_rows_read(done: int, total: int) -> None:
    """Say how many rows are read of how many."""
    _listener.get().tell(done, total)


def say_choice(sentence: str) -> None:
    """Say what was chosen."""
    _listener.get().say(sentence)


def evaluate_rows(run: Run, rows: pa.Table, *, name: str, split: str) -> Report:
    """Return the report of `run`'s model on prepared `rows`, kept under `name`.

    One that is kept there already stays until the new one is whole.

    Raises:
        RunError: if the run has no model yet, or the evaluation failed.
    """
    paths = run.paths.evaluation(name)
    kept = paths.dir
    aside = kept.with_name(f".new-{os.urandom(6).hex()}")
    new = EvaluationPaths(aside / name)
    try:
        _score(run, new, rows, split)
        read_report(new)  # it is whole
        with suppress(FileNotFoundError):
            kept.rename(aside / "former")
        new.dir.rename(kept)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return read_report(paths)


def predict_rows(run: Run, rows: pa.Table) -> pa.Table:
    """Return what `run`'s model says of prepared `rows`, in columns of its task.

    Raises:
        RunError: if the run has no model yet, or the prediction failed.
    """
    with _scratch(run) as paths:
        _score(run, paths, rows, None)
        return read_table(paths.predictions)


def map_rows(run: Run, rows: pa.Table, *, split: str) -> EmbeddingMap:
    """Return how the models before and after `run` see prepared `rows` with their classes.

    Raises:
        RunError: if the run has no model yet, or looking into it failed.
    """
    with _scratch(run) as paths:
        _score(run, paths, rows, split, wanted="embeddings")
        return read_embedding_map(paths.embedding_map)


def measure_stages(run: Run, rows: pa.Table, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the losses of several models; see `engine.forgetting.stage_losses`.

    Raises:
        RunError: if measuring failed.
    """
    with _scratch(run) as paths:
        _score(run, paths, rows, None, wanted="forgetting", more=asked)
        losses: dict[str, Any] = read_json(paths.stage_losses)
        return losses


@contextmanager
def _scratch(run: Run) -> Iterator[EvaluationPaths]:
    """Give a folder that only this user can read and that is gone afterwards."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="nbtransfer-"))
    except OSError as error:
        raise RunError(
            f"run {run.id!r} cannot be asked: there is no folder for temporary files "
            f"({error.strerror}). Name one that can be written in the environment, as TMPDIR.",
            run,
        ) from None
    try:
        yield EvaluationPaths(folder / "job")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _score(
    run: Run,
    paths: EvaluationPaths,
    rows: pa.Table,
    split: str | None,
    wanted: str = "answers",
    more: dict[str, Any] | None = None,
) -> None:
    require_model(run)
    request = {"v": 1, "run_dir": str(run.dir), "split": split, "wanted": wanted, **(more or {})}
    try:
        write_table(paths.inputs, rows)
        write_json(paths.request, request)
    except OSError as error:
        raise RunError(
            f"run {run.id!r} cannot be asked: the folder {quoted(str(paths.dir))} cannot be "
            f"written ({error.strerror}). {_way_out(run, paths)}",
            run,
        ) from None
    worker = submit_scoring(paths.dir, paths.log)
    try:
        _wait(run, paths, worker)
    except RunError:
        raise
    except BaseException:
        # Interrupted: what it would still say is wanted by nobody, and the device by others.
        worker.kill()
        raise


def _way_out(run: Run, paths: EvaluationPaths) -> str:
    if paths.dir.is_relative_to(run.dir):
        return "Copy the run's folder to where you may write, and use that."
    return "Make room there, or choose another place: --runs-dir for reports, TMPDIR for answers."


def _wait(run: Run, paths: EvaluationPaths, worker: Worker) -> None:
    """Wait for the end of the job in `paths`, and until its worker takes the next one.

    Raises:
        KeyboardInterrupt: at the first interrupt, also where those of a run are only counted.
    """
    reader, is_done = EventReader(paths.events), False
    with InterruptCounter() as interrupts:
        before = interrupts.count
        # The next job is for the same worker, which has the model: it says so a moment later.
        while not is_done or (worker.is_alive and not worker.is_idle):
            alive = worker.is_alive  # looked at before the events: its last ones are not missed
            for event in reader.poll():
                is_done |= _hear(run, event)
            if not alive and not is_done:
                raise RunError(
                    f"the worker that read run {run.id!r} ended without an answer. Its last words: "
                    f"{last_words(paths)} Call again: a new worker takes the job.",
                    run,
                )
            if interrupts.count > before:
                raise KeyboardInterrupt
            time.sleep(0.001 if is_done else 0.01)


def _hear(run: Run, event: Event) -> bool:
    """Take note of an event of a job and return whether it is the last."""
    if event["type"] == "rows_read":
        tell_rows_read(event["done"], event["total"])
    if event["type"] == "job_failed":
        advice = f" {event['advice']}" if event["advice"] else ""
        raise RunError(f"run {run.id!r}: {event['message']}{advice}", run)
    return bool(event["type"] == "job_completed")


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
