"""The warm worker: a process that has paid for its imports and takes one job after another.

It lives in a session of its own (an interrupt or kill of the kernel does not reach it), is started
as soon as a job is near, ends after ten idle minutes, and is replaced after a failed job. While it
is busy a further job gets another worker. Jobs go in as JSON lines on its stdin; the answers on its
stdout are read without waiting, so no thread is needed.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from nbtransfer.errors import RunError, quoted
from nbtransfer.runs.control import change_control
from nbtransfer.runs.files import check_folder
from nbtransfer.runs.process import write_process
from nbtransfer.settings import options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from nbtransfer.runs.run import Run

_WORKER_MODULE = "nbtransfer.engine.worker"

# A worker whose run has ended says so after it has given memory back.
_ENDING_S = 5.0

Job = dict[str, str | bool]


class Worker:
    """A worker process of this kernel."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            # -P: a file of the user's named like a library must not be imported instead of it.
            [sys.executable, "-P", "-m", _WORKER_MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._jobs_left = 0
        self._answers = b""
        self._is_leaving = False
        self._reading = threading.Lock()
        self.run: Run | None = None  # the one in hand, if it is a run

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def is_idle(self) -> bool:
        """Whether it is alive, stays so, and every job given to it is done."""
        self._read_answers()
        return self.is_alive and not self._is_leaving and self._jobs_left == 0

    def comes_free(self) -> bool:
        """Wait for a worker whose run has ended to say that it is idle, and return whether it did.

        The run is seen to have ended a moment before; another worker would import for seconds.
        """
        if self.run is None or self.run.status not in ("completed", "stopped"):
            return False
        deadline = time.monotonic() + _ENDING_S
        while self.is_alive and not self._is_leaving and time.monotonic() < deadline:
            if self.is_idle:
                return True
            time.sleep(0.01)
        return False

    def submit(self, job: Job) -> None:
        """Hand over a job; returns at once.

        Raises:
            BrokenPipeError: if the process has just ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        self._jobs_left += 1
        self.run = None

    def close(self) -> None:
        """Let the process end after the job in hand; nothing more is told to it or heard of it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):  # what could not be handed to a dead one
            self._process.stdin.close()
        with self._reading:
            self._process.stdout.close()
            self._is_leaving = True

    def kill(self) -> None:
        """End the process at once, with the job in hand."""
        self._process.kill()
        self._process.wait()

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        with self._reading:  # one thread waits for its job, another looks for an idle worker
            while not self._process.stdout.closed and (chunk := self._process.stdout.read(65536)):
                self._answers += chunk
            *lines, self._answers = self._answers.split(b"\n")
            for answer in map(json.loads, lines):
                self._jobs_left -= "done" in answer
                self._is_leaving |= "leaving" in answer


def waiting_threads(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which threads that wait for each other spin a moment, then sleep.

    Spinning for long makes a step several times slower where another program wants the core, and
    sleeping at once a third slower where none does. Who has set a policy keeps it.
    """
    if "OMP_WAIT_POLICY" in given:
        return {}
    return {"GOMP_SPINCOUNT": "5000", "KMP_BLOCKTIME": "1"}  # GNU's; LLVM's, in milliseconds


# What torchrun, mpirun and accelerate tell the processes that they start. A kernel below one of
# them has such variables, and a worker that took them for its own would wait for the others.
_OF_A_LAUNCHER = re.compile(
    r"((LOCAL_|GROUP_|ROLE_|NODE_)?RANK|((LOCAL|GROUP|ROLE)_)?WORLD_SIZE|ROLE_NAME"
    r"|MASTER_(ADDR|PORT)|(TORCHELASTIC|OMPI|PMIX?|MPI|MV2|ACCELERATE)_.*)"
)


def _environment() -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not _OF_A_LAUNCHER.fullmatch(k)}
    found = {
        **waiting_threads(inherited),
        # What --deterministic needs, and cuBLAS reads it once in a process that may have other jobs
        # first. It is 32 MB for each stream, which recent GPUs take anyway.
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        **inherited,
        "NBTRANSFER_WORKER_IDLE_S": str(options.worker_idle_s),
    }
    if options.worker_lease_s is not None:
        found["NBTRANSFER_LEASE_S"] = str(options.worker_lease_s)
    return found


_workers: list[Worker] = []
# A setup panel starts runs in a thread of its own, while the cell asks a worker for answers.
_one_at_a_time = threading.Lock()


def warm_up() -> None:
    """Start a worker if none is idle, so that it imports while the user still types."""
    with _one_at_a_time:
        _idle_worker()


def submit_run(run: Run, *, restart: bool = False) -> None:
    """Hand a run's folder to a worker, to be trained from its newest checkpoint or the start.

    Args:
        run: the run.
        restart: begin at step 0 where the run had checkpoints and none is good any more.

    Raises:
        RunError: if it is running.
    """
    with run.held():
        _refuse_running(run)
        _hand_over(run, restart=restart)


def _hand_over(run: Run, *, restart: bool) -> None:
    """Give a run that is held to a worker, which begins when it is let go of."""
    after_seq = run.state().last_seq

    def record(worker: Worker) -> None:
        # Until the worker says so itself, this is how others see that the run is in hand.
        write_process(run.paths.process, worker.pid, after_seq=after_seq)

    job: Job = {"job": "train", "dir": str(run.dir), "log": str(run.paths.log)}
    _submit({**job, "restart": True} if restart else job, record).run = run


def resume_run(
    run: Run,
    *,
    finished_too: bool = False,
    restart: bool = False,
    allow: bool = False,
    change: Callable[[], None] = lambda: None,
) -> None:
    """Start a stopped, failed or lost run again from its newest checkpoint; returns at once.

    Args:
        run: the run.
        finished_too: also one that has finished, because it is to be longer now.
        restart: begin at step 0 where none of its checkpoints is good any more.
        allow: also one whose worker was on another machine, which may be gone or not.
        change: what is to be changed in its folder; called once nobody else can take the run.

    Raises:
        RunError: if it is running or finished, or its folder cannot be written.
    """
    check_resumable(run, finished_too=finished_too, allow=allow)
    try:
        with run.held():
            # Another kernel may have been quicker.
            check_resumable(run, finished_too=finished_too, allow=allow)
            check_folder(run.dir)
            change()
            # What was asked of the run's former life, to stop above all, is over.
            change_control(run.paths.control, stop=None, paused=False)
            _hand_over(run, restart=restart)
    except OSError as error:
        raise RunError(
            f"run {run.id!r} cannot be resumed: its folder {quoted(str(run.dir))} cannot be "
            f"written ({error.strerror}). Copy the folder to where you may write, and resume that.",
            run,
        ) from None


def check_resumable(run: Run, *, finished_too: bool = False, allow: bool = False) -> None:
    """Raise RunError where `resume_run` would; nothing is changed."""
    _refuse_running(run, allow=allow)
    if run.status == "completed" and not finished_too:
        raise RunError(
            f"run {run.id!r} is finished. To train its model further: %finetune {run.id} DATA", run
        )


def _refuse_running(run: Run, *, allow: bool = False) -> None:
    status = run.status
    if status not in ("running", "paused"):
        return
    seen = run.last_seen()
    if seen is None:
        raise run.worked_on_error(status)
    host, ago_s = seen
    if not allow:
        raise RunError(
            f"run {run.id!r} was {status} on {quoted(host)} {ago_s:,.0f} s ago, and may be still. "
            f"If that machine is gone: %finetune --resume {run.reference} --allow",
            run,
        )


def submit_scoring(folder: Path, log: Path) -> Worker:
    """Hand an evaluation's folder to a worker."""
    return _submit({"job": "score", "dir": str(folder), "log": str(log)})


def _submit(job: Job, tell: Callable[[Worker], None] = lambda worker: None) -> Worker:
    """Hand a job to a worker that is idle, after telling which."""
    with _one_at_a_time:
        worker = _idle_worker()
        tell(worker)
        try:
            worker.submit(job)
        except OSError:  # it reached its idle limit a moment ago, and may still look alive
            worker.close()
            _workers.remove(worker)
            worker = _idle_worker()
            tell(worker)
            worker.submit(job)
    return worker


def _idle_worker() -> Worker:
    for worker in [worker for worker in _workers if not worker.is_alive]:
        worker.close()
        _workers.remove(worker)
    for worker in _workers:
        if worker.is_idle:
            return worker
    for worker in _workers:
        if worker.comes_free():
            return worker
    if not _workers:
        atexit.register(close_workers)
    _workers.append(Worker())
    return _workers[-1]


def close_workers() -> None:
    """Let all workers of this kernel end once their job is done."""
    with _one_at_a_time:
        for worker in _workers:
            worker.close()
        _workers.clear()
