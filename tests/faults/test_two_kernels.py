"""Two kernels that take up one run at the same time: one gets it, the other is told (R16)."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket

import pytest

from nbtransfer.errors import RunError
from nbtransfer.runs import launch
from nbtransfer.runs.process import read_process
from nbtransfer.runs.run import Run
from nbtransfer.runs.store import remove_run
from tests.engine.forks import preload
from tests.engine.jobs import start, work_once_told, work_until_killed
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow

_HERE = re.escape(repr(socket.gethostname()))


class _ForkedWorker:
    """As launch.Worker; it takes one job, in a process that has everything loaded already."""

    is_alive = is_idle = True

    def __init__(self):
        jobs, self._hand_over = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            work_once_told(os.read(jobs, 4096).decode())
            os._exit(0)

    def submit(self, job):
        self.is_idle = False
        os.write(self._hand_over, job["dir"].encode())


def _resume_as_a_kernel(run_dir, together, answers):
    worker = _ForkedWorker()
    launch._workers.append(worker)
    run = Run(run_dir)
    together.wait(60)
    try:
        launch.resume_run(run)
    except RunError as error:
        answers.put((None, str(error)))
        os.kill(worker.pid, signal.SIGKILL)
    else:
        answers.put((worker.pid, ""))
    os.waitpid(worker.pid, 0)


def test_of_two_that_resume_at_once_one_is_refused_and_the_run_cannot_be_removed(
    tmp_path, make_job, clean
):
    run = make_job(tmp_path)
    start(run, work_until_killed, 5).join()
    preload()
    context = multiprocessing.get_context("forkserver")
    together, answers = context.Barrier(2), context.Queue()
    kernels = [start(run, _resume_as_a_kernel, together, answers) for _ in range(2)]
    try:
        (worker, _), (none, sentence) = sorted(
            (answers.get(timeout=60) for _ in range(2)), key=lambda answer: answer[0] is None
        )
        assert none is None
        assert re.search(rf"is running already, in process {worker} on {_HERE}", sentence)
        with pytest.raises(RunError, match=r"is running\. Stop it first"):
            remove_run(run, tmp_path)
        assert read_process(run.paths.process)["pid"] == worker
    finally:  # a worker that waits for it would outlive a failed test
        run.dir.with_suffix(".go").touch()
    for kernel in kernels:
        kernel.join()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)
