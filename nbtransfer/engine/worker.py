"""The worker process: reads one job a line, works in its folder, and says when it is done.

Started as `python -m nbtransfer.engine.worker` in a session of its own, so that interrupting or
killing the kernel does not reach it. A job is
`{"job": "train" | "score", "dir": folder, "log": file}`.
The answers on the original standard output are `{"ready": true}` and `{"done": dir, "ok": bool}`;
if nobody listens any more, the job in hand is finished and the process ends.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtransfer.runs.events import EventWriter
from nbtransfer.runs.paths import EvaluationPaths, RunPaths
from nbtransfer.runs.process import process_start, write_process
from nbtransfer.runs.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable

Job = dict[str, Any]


class StopSignal:
    """Whether SIGTERM came: the job then stops at its next step boundary."""

    def __init__(self) -> None:
        self.came = False
        self.busy = False

    def install(self) -> None:
        """Listen for SIGTERM; ignore SIGINT, which is the kernel's business."""
        signal.signal(signal.SIGTERM, self._take)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _take(self, *_: object) -> None:
        if not self.busy:
            os._exit(0)
        self.came = True


def run_job(job: Job, stop_signal: StopSignal, *, warm: bool) -> bool:
    """Do one job and return whether it succeeded. What goes wrong is written into the folder."""
    folder = Path(job["dir"])
    if job["job"] == "train":
        paths = RunPaths(folder)
        events = EventWriter(paths.events)
        write_process(paths.process, os.getpid(), after_seq=events.last_seq)
        failed_type = "run_failed"
    else:
        events = EventWriter(EvaluationPaths(folder).events)
        failed_type = "job_failed"
    events.append(
        "worker_started",
        pid=os.getpid(),
        process_start=process_start(os.getpid()),
        warm=warm,
    )
    try:
        events.append("phase_started", phase="importing")
        if job["job"] == "train":
            from nbtransfer.engine.train import train

            train(paths, events, stop_signal)
        else:
            from nbtransfer.engine.jobs import score

            score(EvaluationPaths(folder), events)
    except BaseException as error:
        # The top of the worker: whatever went wrong is reported in the folder.
        traceback.print_exc()
        events.append(
            failed_type,
            step=0,
            error_type=type(error).__name__,
            message=redact(_first_line(error)),
            advice=_advice(error),
            traceback=redact(traceback.format_exc()),
        )
        return False
    finally:
        events.close()
    return True


def _first_line(error: BaseException) -> str:
    if _is_full_disk(error):
        return "the disk is full."
    text = str(error).strip()
    return f"{text.splitlines()[0][:500] if text else type(error).__name__}"


def _advice(error: BaseException) -> str:
    """Return what the user can do about a failure, where that is known."""
    name, text = type(error).__name__, str(error)
    if name == "OutOfMemoryError" or isinstance(error, MemoryError):
        return "Take a smaller --batch-size or --max-length, or free the device's memory."
    if "CUDA error" in text or "device-side assert" in text:
        return "The CUDA context of that worker is lost; the next run gets a new worker."
    if _is_full_disk(error):
        return "Free some space, by %runs rm NAME perhaps; what was saved before is whole."
    return ""


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


def _lines(idle_s: float) -> Callable[[float], str | None]:
    """Return a reader of stdin: a line, "" at its end or after `idle_s`, None if too soon."""
    buffer = b""

    def read(wait_s: float) -> str | None:
        nonlocal buffer
        deadline = time.monotonic() + min(wait_s, idle_s)
        while b"\n" not in buffer:
            ready, _, _ = select.select([0], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None if wait_s < idle_s else ""
            chunk = os.read(0, 65536)
            if not chunk:
                return ""
            buffer += chunk
        line, _, buffer = buffer.partition(b"\n")
        return line.decode()

    return read


def main() -> None:
    """Serve jobs until stdin ends, ten idle minutes pass, or a job fails."""
    os.environ.update(TOKENIZERS_PARALLELISM="true", HF_HUB_DISABLE_PROGRESS_BARS="1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # its load report is no user's news
    stop_signal = StopSignal()
    stop_signal.install()
    answers = _Answers()
    idle_s = float(os.environ.get("NBTRANSFER_WORKER_IDLE_S", "600"))
    read = _lines(idle_s)
    warm = False
    line = read(0.0)
    if line is None:  # no job yet: use the time to import
        import nbtransfer.engine.jobs
        import nbtransfer.engine.train  # noqa: F401 -- imported for later

        warm = True
        answers.say({"ready": True})
        line = read(idle_s)
    while line:
        job = json.loads(line)
        stop_signal.busy = True
        answers.point_output_at(Path(job["log"]))
        ok = run_job(job, stop_signal, warm=warm)
        stop_signal.busy = False
        answers.point_output_at(None)
        answers.say({"done": job["dir"], "ok": ok})
        if not ok or stop_signal.came:
            break  # after a failure the process may hold anything: a new one takes the next job
        warm = True
        from nbtransfer.engine.memory import release_memory

        release_memory()
        line = read(idle_s)
    # Tearing the interpreter down takes torch up to 3 s and does nothing for anybody.
    os._exit(0)


if __name__ == "__main__":
    main()
