"""The warm worker: a process that has paid for its imports and takes one job after another.

It lives in a session of its own (an interrupt or kill of the kernel does not reach it), is started
as soon as a job is near, ends after ten idle minutes, and is replaced after a failed job. While it
is busy a further job gets another worker. Jobs go in as JSON lines on its stdin; the answers on its
stdout are read without waiting, so no thread is needed.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from nbtransfer.errors import RunError, quoted
from nbtransfer.runs.control import change_control
from nbtransfer.runs.files import check_folder
from nbtransfer.runs.process import read_process, write_process
from nbtransfer.settings import options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nbtransfer.runs.run import Run

_WORKER_MODULE = "nbtransfer.engine.worker"

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

    def submit(self, job: Job) -> None:
        """Hand over a job; returns at once.

        Raises:
            BrokenPipeError: if the process has just ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        self._jobs_left += 1

    def close(self) -> None:
        """Let the process end after the job in hand."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        """End the process at once, with the job in hand."""
        self._process.kill()
        self._process.wait()

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        while chunk := self._process.stdout.read(65536):
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
    return {"GOMP_SPINCOUNT": "30000", "KMP_BLOCKTIME": "1"}  # GNU's; LLVM's, in milliseconds


def _environment() -> dict[str, str]:
    found = {
        **waiting_threads(os.environ),
        **os.environ,
        "NBTRANSFER_WORKER_IDLE_S": str(options.worker_idle_s),
    }
    if options.worker_lease_s is not None:
        found["NBTRANSFER_LEASE_S"] = str(options.worker_lease_s)
    return found


_workers: list[Worker] = []


def warm_up() -> None:
    """Start a worker if none is idle, so that it imports while the user still types."""
    _idle_worker()


def submit_run(run: Run, *, restart: bool = False) -> None:
    """Hand a run's folder to a worker, to be trained from its newest checkpoint or the start.

    Args:
        run: the run.
        restart: begin at step 0 where the run had checkpoints and none is good any more.
    """
    after_seq = run.state().last_seq
    job: Job = {"job": "train", "dir": str(run.dir), "log": str(run.paths.log)}
    worker = _submit({**job, "restart": True} if restart else job)
    # Until the worker says so itself, this is how others see that the run is in hand.
    write_process(run.paths.process, worker.pid, after_seq=after_seq)


def resume_run(run: Run, *, finished_too: bool = False, restart: bool = False) -> None:
    """Start a stopped, failed or lost run again from its newest checkpoint; returns at once.

    Args:
        run: the run.
        finished_too: also one that has finished, because it is to be longer now.
        restart: begin at step 0 where none of its checkpoints is good any more.

    Raises:
        RunError: if it is running or finished, or its folder cannot be written.
    """
    check_resumable(run, finished_too=finished_too)
    # What was asked of the run's former life, to stop above all, is over.
    try:
        change_control(run.paths.control, stop=None, paused=False)
    except OSError as error:
        raise _not_writable(run, error) from None
    submit_run(run, restart=restart)


def check_resumable(run: Run, *, finished_too: bool = False) -> None:
    """Raise RunError where `resume_run` would; nothing is changed."""
    status = run.status
    if status in ("running", "paused"):
        record = read_process(run.paths.process) or {}
        raise RunError(
            f"run {run.id!r} is {status} already, in process {record.get('pid')} on "
            f"{quoted(record.get('host'))}. See it: %finetune --attach {run.id}",
            run,
        )
    if status == "completed" and not finished_too:
        raise RunError(
            f"run {run.id!r} is finished. To train its model further: %finetune {run.id} DATA", run
        )
    try:
        check_folder(run.dir)
    except OSError as error:
        raise _not_writable(run, error) from None


def _not_writable(run: Run, error: OSError) -> RunError:
    return RunError(
        f"run {run.id!r} cannot be resumed: its folder {quoted(str(run.dir))} cannot be "
        f"written ({error.strerror}). Copy the folder to where you may write, and resume that.",
        run,
    )


def submit_scoring(folder: Path, log: Path) -> Worker:
    """Hand an evaluation's folder to a worker."""
    return _submit({"job": "score", "dir": str(folder), "log": str(log)})


def _submit(job: Job) -> Worker:
    worker = _idle_worker()
    try:
        worker.submit(job)
    except OSError:  # it reached its idle limit a moment ago, and may still look alive
        _workers.remove(worker)
        worker = _idle_worker()
        worker.submit(job)
    return worker


def _idle_worker() -> Worker:
    _workers[:] = [worker for worker in _workers if worker.is_alive]
    for worker in _workers:
        if worker.is_idle:
            return worker
    if not _workers:
        atexit.register(close_workers)
    _workers.append(Worker())
    return _workers[-1]


def close_workers() -> None:
    """Let all workers of this kernel end once their job is done."""
    for worker in _workers:
        if worker.is_alive:
            worker.close()
    _workers.clear()
