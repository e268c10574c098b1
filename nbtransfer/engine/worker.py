"""The worker process: reads one job a line, works in its folder, and says when it is done.

Started as `python -m nbtransfer.engine.worker` in a session of its own, so that interrupting or
killing the kernel does not reach it. A job is
`{"job": "train" | "score", "dir": folder, "log": file}`, with `"restart": true` for a run that may
begin at step 0 though it had checkpoints.
The answers on the original standard output are `{"ready": true}`, `{"done": dir, "ok": bool}` and
`{"leaving": true}`, after which no job should come; if nobody listens any more, the job in hand is
finished and the process ends.
"""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nbtransfer.runs.events import EventWriter, read_events
from nbtransfer.runs.lock import Pulse, try_lock
from nbtransfer.runs.paths import EvaluationPaths, RunPaths
from nbtransfer.runs.process import process_start, write_process
from nbtransfer.runs.redact import redact
from nbtransfer.runs.state import fold

if TYPE_CHECKING:
    from collections.abc import Callable

Job = dict[str, Any]

_FAREWELL_S = 1.0
# The kernel that hands a run over holds its lock until it has said so; another kernel may look into
# it, and the worker before may still be writing.
_PATIENCE_S = 30.0
_BETWEEN_PARTS_S = 0.5


class StopSignal:
    """Whether the job is to stop at its next step boundary: SIGTERM came, or the lease is over.

    A worker whose kernel has gone finishes the job in hand; with a lease, only until so many
    seconds have passed since.

    Args:
        lease_s: the lease; None for as long as the job takes.
        orphaned: says whether the kernel has gone.
    """

    def __init__(
        self, lease_s: float | None = None, orphaned: Callable[[], bool] = lambda: False
    ) -> None:
        self.busy = False
        self._terminated = False
        self._lease_s = lease_s
        self._orphaned = orphaned
        self._orphaned_at: float | None = None

    @property
    def reason(self) -> Literal["sigterm", "lease"] | None:
        """Why the job is to stop, if it is; cheap enough for every step."""
        if self._terminated:
            return "sigterm"
        if self._lease_s is None:
            return None
        if self._orphaned_at is None and self._orphaned():
            self._orphaned_at = time.monotonic()
        over = self._orphaned_at is not None and (
            time.monotonic() - self._orphaned_at >= self._lease_s
        )
        return "lease" if over else None

    def install(self) -> None:
        """Listen for SIGTERM; ignore SIGINT, which is the kernel's business."""
        signal.signal(signal.SIGTERM, self._take)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _take(self, *_: object) -> None:
        if not self.busy:
            os._exit(0)
        self._terminated = True


def run_job(job: Job, stop_signal: StopSignal, *, warm: bool) -> bool:
    """Do one job and return whether it succeeded. What goes wrong is written into the folder."""
    folder = Path(job["dir"])
    if job["job"] != "train":
        return _run(job, EventWriter(EvaluationPaths(folder).events), stop_signal, warm=warm)
    paths = RunPaths(folder)
    lock = try_lock(paths.lock, patience_s=_PATIENCE_S)
    if lock is None:
        sys.stderr.write("another worker has this run; it was left alone\n")  # the run's log
        return True
    with lock, Pulse(lock):
        return _run(job, EventWriter(paths.events), stop_signal, warm=warm)


def _run(job: Job, events: EventWriter, stop_signal: StopSignal, *, warm: bool) -> bool:
    folder, trains, is_done = Path(job["dir"]), job["job"] == "train", False
    try:
        if trains:
            paths = RunPaths(folder)
            write_process(paths.process, os.getpid(), after_seq=events.last_seq)
        events.append(
            "worker_started",
            pid=os.getpid(),
            process_start=process_start(os.getpid()),
            warm=warm,
        )
        events.append("phase_started", phase="importing")
        if trains:
            from nbtransfer.engine.train import train

            train(paths, events, stop_signal, restart=job.get("restart") is True)
        else:
            from nbtransfer.engine.jobs import score

            score(EvaluationPaths(folder), events)
        is_done = True
    except BaseException as error:
        # The top of the worker: whatever went wrong is reported in the folder.
        traceback.print_exc()
        events.append(
            "run_failed" if trains else "job_failed",
            step=0,
            error_type=type(error).__name__,
            message=redact(_first_line(error)),
            advice=_advice(error, folder),
            traceback=redact(traceback.format_exc()),
        )
    finally:
        # Without its ending in the log a job is told from one that goes on by its worker being
        # gone: such a worker must not wait for the next job.
        is_told = events.close()
    return is_done and is_told


def _kernel_has_gone() -> bool:
    """Whether the other end of stdin is closed. A job waiting in it is no reason to say so."""
    hung_up = select.poll()
    hung_up.register(0, select.POLLHUP)
    return bool(hung_up.poll(0))


def _first_line(error: BaseException) -> str:
    if _is_full_disk(error):
        return "the disk is full."
    text = str(error).strip()
    return f"{text.splitlines()[0][:500] if text else type(error).__name__}"


def _advice(error: BaseException, folder: Path) -> str:
    """Return what the user can do about a failure of the job in `folder`, where that is known."""
    name, text = type(error).__name__, str(error)
    if name == "OutOfMemoryError" or isinstance(error, MemoryError):
        return "Take a smaller --batch-size or --max-length, or free the device's memory."
    if "deterministic" in text and isinstance(error, RuntimeError):
        return (
            "This run takes only operations that give the same bits each time (--deterministic), "
            "and this model has one without such a way on this device. Start a run without it."
        )
    if "CUDA error" in text or "device-side assert" in text:
        return (
            "The device context of that worker is dead: nothing can be tried again in it, and the "
            f"next run gets a new worker. {_how_to_go_on(folder)}"
        )
    if _is_full_disk(error):
        free = shutil.disk_usage(folder).free / 1e6
        return (
            f"{free:,.1f} MB are free: remove old runs with %runs rm NAME, or choose another "
            "--runs-dir. What was saved before is whole."
        )
    return ""


def _how_to_go_on(folder: Path) -> str:
    """Return the sentence on the checkpoint that the failed run in `folder` has, if it has one."""
    paths = RunPaths(folder)
    saved = fold(read_events(paths.events)).checkpoints if paths.events.exists() else []
    if not saved:
        return "There is no checkpoint yet to go on from."
    return f"Its last checkpoint is {saved[-1].name}: %finetune --resume {folder.name}"


def _is_full_disk(error: BaseException) -> bool:
    if not isinstance(error, OSError):
        return False
    # safetensors tells it in words only.
    return error.errno == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)


class _Answers:
    """The line to the kernel; silent once nobody reads it."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "wb", buffering=0)
        self._quiet = os.open(os.devnull, os.O_WRONLY)
        self.point_output_at(None)

    def say(self, record: dict[str, object]) -> None:
        try:
            self._file.write(json.dumps(record).encode() + b"\n")
        except OSError:
            return

    def point_output_at(self, log: Path | None) -> None:
        """Send everything printed, by C code too, to the job's log, or nowhere between jobs."""
        sys.stdout.flush()
        sys.stderr.flush()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        target = self._quiet if log is None else os.open(log, flags)
        os.dup2(target, 1)
        os.dup2(target, 2)
        if log is not None:
            os.close(target)


def _lines() -> Callable[[float], str | None]:
    """Return a reader of stdin: a line, "" at its end, None where none comes in so many seconds."""
    buffer = b""

    def read(wait_s: float) -> str | None:
        nonlocal buffer
        deadline = time.monotonic() + wait_s
        while b"\n" not in buffer:
            ready, _, _ = select.select([0], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            chunk = os.read(0, 65536)
            if not chunk:
                return ""
            buffer += chunk
        line, _, buffer = buffer.partition(b"\n")
        return line.decode()

    return read


def _next_job(read: Callable[[float], str | None], answers: _Answers, idle_s: float) -> str | None:
    """Return the next job's line; None or "" where there is none any more.

    A job that is handed over while the idle time ends is not lost: the worker says that it leaves,
    so that no further one comes, and takes what came meanwhile.
    """
    line = read(idle_s)
    if line is None:
        answers.say({"leaving": True})
        line = read(_FAREWELL_S)
    return line


def main() -> None:
    """Serve jobs until stdin ends, ten idle minutes pass, or a job fails."""
    os.environ.update(TOKENIZERS_PARALLELISM="true", HF_HUB_DISABLE_PROGRESS_BARS="1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # its load report is no user's news
    lease_s = os.environ.get("NBTRANSFER_LEASE_S")
    stop_signal = StopSignal(None if lease_s is None else float(lease_s), _kernel_has_gone)
    stop_signal.install()
    answers = _Answers()
    idle_s = float(os.environ.get("NBTRANSFER_WORKER_IDLE_S", "600"))
    read = _lines()
    warm = False
    line = read(0.0)
    if line is None:  # no job yet: use the time to import
        import nbtransfer.engine.jobs
        import nbtransfer.engine.train  # noqa: F401 -- imported for later

        warm = True
        answers.say({"ready": True})
        line = _next_job(read, answers, idle_s)
    while line:
        job = json.loads(line)
        stop_signal.busy = True
        answers.point_output_at(Path(job["log"]))
        ok = run_job(job, stop_signal, warm=warm)
        stop_signal.busy = False
        answers.point_output_at(None)
        # After a failure the process may hold anything: a new one takes the next job.
        is_last = not ok or stop_signal.reason is not None
        if is_last:
            answers.say({"leaving": True})
        answers.say({"done": job["dir"], "ok": ok})
        if is_last:
            break
        warm = True
        # Parts of many rows follow at once, and looking for what is held takes longer than some.
        line = read(_BETWEEN_PARTS_S) if job["job"] == "score" else None
        if line is None:
            from nbtransfer.engine.memory import forget_job

            forget_job()
            line = _next_job(read, answers, idle_s)
    # Tearing the interpreter down takes torch up to 3 s and does nothing for anybody.
    os._exit(0)


if __name__ == "__main__":
    main()
