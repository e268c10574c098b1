"""Tests of nbtransfer.runs.launch: who gets a job, and how the pipes are read.

The worker here is a shell script that speaks as the real one does; the real one is tested in
tests/engine.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import threading

import pytest

from nbtransfer.errors import RunError
from nbtransfer.runs import launch
from nbtransfer.runs.control import change_control
from nbtransfer.runs.faults import plan_faults
from nbtransfer.runs.lock import try_lock
from nbtransfer.runs.process import is_alive, read_process
from nbtransfer.runs.run import Run
from nbtransfer.settings import options
from tests.runs.folders import completed, make_run, write_events

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in worker is a shell script")


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Let the shell lines given be the worker; ends all of them afterwards."""

    def become(*lines):
        script = tmp_path / "worker.sh"
        script.write_text("\n".join(["#!/bin/sh", *lines]))
        script.chmod(0o755)
        monkeypatch.setattr(launch.sys, "executable", str(script))

    monkeypatch.setattr(launch, "_workers", [])
    monkeypatch.setattr(launch.atexit, "register", lambda function: None)
    become('echo "ready"', "exec cat >/dev/null")
    started = []
    begin = launch.Worker.__init__

    def remember(self):
        begin(self)
        started.append(self)

    monkeypatch.setattr(launch.Worker, "__init__", remember)
    become.started = started
    yield become
    for worker in started:
        worker._process.kill()
        worker._process.wait()
        worker.close()


def answer_of(worker):
    """Wait until the worker has said something."""
    assert select.select([worker._process.stdout.fileno()], [], [], 10)[0]


STOPPED = ("run_stopped", {"step": 3, "reason": "stop", "train_runtime_s": 1.0})
ECHO = 'while read -r job; do echo "{\\"job\\": 1}"; echo "{\\"done\\": true}"; done'
SILENT = "exec cat >/dev/null"


def test_a_new_worker_is_idle_until_it_gets_a_job(pretend):
    pretend(SILENT)
    worker = launch.Worker()
    assert worker.is_idle
    worker.submit({"job": "train"})
    assert worker.is_alive
    assert not worker.is_idle


def test_a_worker_is_idle_again_once_it_says_so(pretend):
    pretend(ECHO)
    worker = launch.Worker()
    worker.submit({"job": "train"})
    while not worker.is_idle:
        answer_of(worker)


def test_an_answer_that_arrives_in_pieces_is_put_together(pretend):
    pretend("read -r a", """printf '{"do'""", "read -r b", """printf 'ne": true}\\n'""", "cat")
    worker = launch.Worker()
    worker.submit({"job": "train"})
    answer_of(worker)
    assert not worker.is_idle
    worker._process.stdin.write(b"go on\n")
    worker._process.stdin.flush()
    answer_of(worker)
    assert worker.is_idle


def test_a_job_is_one_json_line(pretend, tmp_path):
    pretend(f'read -r job; printf "%s\\n" "$job" > {tmp_path}/got', """echo '{"done": true}'""")
    worker = launch.Worker()
    worker.submit({"job": "score", "dir": "a b\n'\"ü"})
    answer_of(worker)
    assert json.loads((tmp_path / "got").read_text()) == {"job": "score", "dir": "a b\n'\"ü"}


def test_an_idle_worker_takes_the_next_job(pretend):
    pretend(ECHO)
    launch.warm_up()
    launch.warm_up()
    first = launch.submit_scoring("a", "log")
    while not first.is_idle:
        answer_of(first)
    assert launch.submit_scoring("b", "log") is first
    assert len(pretend.started) == 1


def test_a_further_job_gets_another_worker_while_the_first_is_busy(pretend):
    pretend(SILENT)
    first = launch.submit_scoring("a", "log")
    second = launch.submit_scoring("b", "log")
    assert first is not second
    assert first.pid != second.pid


def test_a_worker_that_ended_is_replaced(pretend):
    pretend("exit 0")
    launch.warm_up()
    pretend.started[0]._process.wait()
    pretend(SILENT)
    assert launch.submit_scoring("a", "log") is pretend.started[1]
    assert launch._workers == [pretend.started[1]]


def test_the_pipes_of_a_worker_that_ended_are_closed(pretend):
    pretend("exit 0")
    launch.warm_up()
    ended = pretend.started[0]._process
    ended.wait()
    pretend(SILENT)
    launch.warm_up()
    assert ended.stdin.closed and ended.stdout.closed
    launch.close_workers()
    alive = pretend.started[1]._process
    assert alive.stdin.closed and alive.stdout.closed


def test_a_worker_that_is_closed_while_somebody_waits_for_it_is_not_idle(pretend):
    pretend(ECHO, "sleep 600")
    worker = launch.submit_scoring("a", "log")
    launch.close_workers()
    assert not worker.is_idle
    assert worker.is_alive


def test_two_threads_hand_their_jobs_to_two_workers(pretend, monkeypatch):
    pretend(SILENT)
    launch.warm_up()
    both, submit = threading.Barrier(2, timeout=0.2), launch.Worker.submit

    def submit_late(self, job):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()  # the second would find the same worker idle
        submit(self, job)

    monkeypatch.setattr(launch.Worker, "submit", submit_late)
    taken = []
    threads = [
        threading.Thread(target=lambda: taken.append(launch.submit_scoring("a", "log")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken[0] is not taken[1]


def test_a_worker_that_ends_as_the_job_comes_is_replaced(pretend, monkeypatch):
    pretend("exit 0")
    launch.warm_up()
    dying = pretend.started[0]
    dying._process.wait()
    # Its pipe is closed before the system says that it has ended.
    monkeypatch.setattr(dying._process, "poll", lambda: None)
    pretend(SILENT)
    taken = launch.submit_scoring("a", "log")
    assert taken is pretend.started[1]
    assert not taken.is_idle
    assert launch._workers == [taken]


def test_a_worker_that_says_it_leaves_gets_no_job(pretend):
    pretend("""echo '{"leaving": true}'""", SILENT)
    launch.warm_up()
    leaving = pretend.started[0]
    answer_of(leaving)
    assert leaving.is_alive
    pretend(SILENT)
    assert launch.submit_scoring("a", "log") is not leaving


def test_a_run_handed_over_is_seen_to_be_in_hand_before_its_worker_says_so(pretend, runs_dir):
    pretend(SILENT)
    run = make_run(runs_dir)
    assert run.status == "created"
    launch.submit_run(run)
    record = read_process(run.paths.process)
    assert record["pid"] == pretend.started[0].pid
    assert is_alive(record)
    assert run.status == "running"


@pytest.mark.parametrize(("ending", "waits"), [([completed(3)], True), ([], False)])
def test_a_worker_whose_run_has_ended_is_waited_for(pretend, runs_dir, ending, waits):
    pretend("read -r a", "sleep 0.2", """echo '{"done": true}'""", "exec cat >/dev/null")
    run = make_run(runs_dir)
    launch.submit_run(run)
    write_events(run, *ending)
    assert (launch.submit_scoring("a", "log") is pretend.started[0]) is waits


def test_a_run_that_somebody_has_is_not_handed_over(pretend, runs_dir, monkeypatch):
    monkeypatch.setattr("nbtransfer.runs.run._PATIENCE_S", 0.0)
    run = make_run(runs_dir)
    with try_lock(run.paths.lock), pytest.raises(RunError, match="is running already"):
        launch.submit_run(run)
    assert pretend.started == []
    launch.submit_run(run)
    with pytest.raises(RunError, match=f"running already, in process {pretend.started[0].pid} on"):
        launch.submit_run(Run(run.dir))


def test_where_it_cannot_be_recorded_who_has_a_run_nobody_gets_it(pretend, runs_dir):
    pretend(f"read -r job; touch {runs_dir}/got", SILENT)
    run = make_run(runs_dir)
    write_events(run, STOPPED)
    change_control(run.paths.control, paused=True)
    plan_faults("file.write:2:enospc")  # after control.json
    try:
        with pytest.raises(RunError, match=r"cannot be resumed.*No space left on device"):
            launch.resume_run(run)
    finally:
        plan_faults("")
    assert run.status == "stopped"
    assert pretend.started[0].is_idle
    assert not (runs_dir / "got").exists()


def test_closing_lets_a_worker_finish_its_job_and_end(pretend):
    pretend("cat >/dev/null", "exit 7")
    worker = launch.submit_scoring("a", "log")
    launch.close_workers()
    assert worker._process.wait(10) == 7
    assert launch._workers == []


def test_a_worker_that_is_killed_has_ended_and_is_replaced(pretend):
    pretend(SILENT)
    worker = launch.submit_scoring("a", "log")
    worker.kill()
    assert not worker.is_alive
    assert launch.submit_scoring("b", "log") is not worker


def test_closing_passes_over_workers_that_ended(pretend):
    pretend("exit 0")
    launch.warm_up()
    pretend.started[0]._process.wait()
    launch.close_workers()
    assert launch._workers == []


def test_a_worker_is_out_of_reach_of_the_kernels_interrupts(pretend):
    pretend(SILENT)
    worker = launch.Worker()
    assert os.getsid(worker.pid) == worker.pid
    assert os.getpgid(worker.pid) != os.getpgrp()


def test_a_worker_runs_this_python_on_no_file_of_the_working_folder(monkeypatch):
    seen = {}

    class Popen:
        def __init__(self, arguments, **keywords):
            seen.update(keywords, arguments=arguments)
            self.stdout = open(os.devnull, "rb")  # noqa: SIM115, PTH123 -- read by the worker

    monkeypatch.setattr(launch.subprocess, "Popen", Popen)
    options.worker_idle_s = 12.5
    launch.Worker()
    assert seen["arguments"] == [sys.executable, "-P", "-m", "nbtransfer.engine.worker"]
    assert seen["start_new_session"] is True
    assert seen["env"]["NBTRANSFER_WORKER_IDLE_S"] == "12.5"
    assert "NBTRANSFER_LEASE_S" not in seen["env"]
    options.worker_lease_s = 90.0
    launch.Worker()
    assert seen["env"]["NBTRANSFER_LEASE_S"] == "90.0"
    assert seen["env"].items() >= os.environ.items()
    assert seen["env"]["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    launch.Worker()
    assert seen["env"]["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"  # who has set one keeps it


@pytest.mark.parametrize(
    "name",
    [
        *("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
        *("TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"),
        *("MPI_LOCALRANKID", "MV2_COMM_WORLD_SIZE", "ACCELERATE_USE_FSDP"),
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS",
    ],
)
def test_what_a_launcher_told_the_kernel_is_not_told_to_the_worker(name, monkeypatch):
    monkeypatch.setenv(name, "2")
    monkeypatch.setenv("RANKING", "kept")
    found = launch._environment()
    assert name not in found
    assert found["RANKING"] == "kept"


def test_threads_spin_a_moment_unless_somebody_has_set_how_they_wait():
    assert launch.waiting_threads({})["GOMP_SPINCOUNT"] == "5000"
    assert launch.waiting_threads({"OMP_WAIT_POLICY": "ACTIVE"}) == {}
