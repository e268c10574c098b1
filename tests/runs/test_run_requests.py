"""Tests of what is asked of a run through its handle: other values, an end, and waiting for it."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from nbtransfer.errors import RunError
from nbtransfer.runs import run as module
from nbtransfer.runs.control import read_control
from nbtransfer.runs.faults import plan_faults
from nbtransfer.runs.files import write_json
from tests.runs.folders import (
    STARTED,
    begun,
    checkpoint,
    completed,
    elsewhere,
    failed,
    gone,
    make_run,
    step,
    write_events,
)


@pytest.fixture
def run(runs_dir):
    return make_run(runs_dir)


def test_each_request_is_a_new_revision_of_control_json(run):
    assert run.set(learning_rate=5e-5) == 1
    assert run.set(num_train_epochs=4) == 2
    assert run.pause() == 3
    assert read_control(run.paths.control).paused
    assert run.unpause() == 4
    assert run.evaluate_now() == 5
    assert run.evaluate_now() == 6
    assert run.stop(reason="interrupt") == 7
    wanted = read_control(run.paths.control)
    assert (wanted.learning_rate, wanted.num_train_epochs) == (5e-5, 4.0)
    assert (wanted.paused, wanted.evaluations, wanted.stop) == (False, 2, "interrupt")


def test_stopping_a_paused_run_lets_it_go_on_to_its_end(run):
    run.pause()
    run.stop()
    assert not read_control(run.paths.control).paused


@pytest.fixture
def killed(monkeypatch):
    """Collects what would have been killed."""
    found = []
    monkeypatch.setattr(
        "nbtransfer.runs.process.os.kill", lambda pid, number: found.append((pid, number))
    )
    return found


def test_stopping_now_kills_the_worker(run, killed):
    begun(run)
    run.stop(now=True)
    assert killed == [(os.getpid(), signal.SIGKILL)]


def test_stopping_without_now_kills_nobody(run, killed):
    begun(run)
    run.stop()
    assert killed == []


@pytest.mark.parametrize("worker", [gone, lambda run: None])
def test_a_process_that_only_has_the_workers_number_is_not_killed(run, killed, worker):
    write_events(run, STARTED)
    worker(run)
    run.stop(now=True)
    assert killed == []


def test_an_ended_runs_worker_has_other_jobs_and_is_not_killed(run, killed):
    begun(run)
    write_events(run, completed(6))
    run.stop(now=True)
    assert killed == []


def test_a_worker_of_another_machine_cannot_be_killed_from_here(run, killed):
    elsewhere(run)
    write_events(run, STARTED)
    with pytest.raises(RunError, match=r"4242 on 'elsewhere', is another machine's .* be killed"):
        run.stop(now=True)
    assert killed == []


def _raises(error):
    def kill(pid, number):
        raise error

    return kill


def test_a_worker_that_ends_by_itself_meanwhile_is_as_good_as_killed(run, monkeypatch):
    begun(run)
    monkeypatch.setattr("nbtransfer.runs.process.os.kill", _raises(ProcessLookupError()))
    run.stop(now=True)


def test_a_worker_of_another_user_cannot_be_killed(run, monkeypatch):
    begun(run)
    monkeypatch.setattr("nbtransfer.runs.process.os.kill", _raises(PermissionError()))
    with pytest.raises(RunError, match=r"another user's and cannot be killed\. Stop it without"):
        run.stop(now=True)


@pytest.mark.parametrize("point", ["file.write", "file.rename"])
def test_a_run_whose_folder_is_full_says_how_to_end_it(run, point):
    plan_faults(f"{point}:1:enospc")
    try:
        with pytest.raises(RunError, match=r"No space left on device.*%runs stop calm.* --now"):
            run.stop()
    finally:
        plan_faults("")
    assert run.stop() == 1


@pytest.mark.parametrize("pid", [-1, 0])
def test_no_record_makes_the_kill_reach_a_group_of_processes(run, killed, pid):
    write_events(run, STARTED)
    write_json(run.paths.process, {"pid": pid, "host": socket.gethostname()})
    run.stop(now=True)
    assert killed == []


# Waiting


def test_waiting_for_an_ended_run_returns_it(run):
    write_events(run, completed(6))
    assert run.wait() is run


def test_waiting_ends_as_soon_as_the_run_does(run, monkeypatch):
    begun(run)
    monkeypatch.setattr(module.time, "sleep", lambda s: write_events(run, completed(6)))
    assert run.wait().status == "completed"


def test_waiting_no_longer_than_asked(run):
    begun(run)
    with pytest.raises(RunError, match="is still running after 0 s"):
        run.wait(timeout_s=0)


def test_a_failed_run_raises_its_message_and_advice(run):
    write_events(run, STARTED, failed(3))
    with pytest.raises(RunError, match=r"failed: the GPU is full\. Try a smaller --batch-size"):
        run.wait()


def test_a_lost_run_names_the_step_to_go_on_from(run):
    write_events(run, STARTED, step(1), step(2), checkpoint(2), step(3))
    with pytest.raises(RunError, match=r"at step 3\. Its last checkpoint is of step 2\. Go on"):
        run.wait()


def test_a_lost_run_without_a_checkpoint_says_to_start_over(run):
    write_events(run, STARTED, step(1))
    with pytest.raises(RunError, match="no checkpoint yet; start over: %finetune --resume calm"):
        run.raise_if_failed()


def test_a_stopped_run_is_no_failure(run):
    write_events(run, ("run_stopped", {"step": 1, "reason": "stop", "train_runtime_s": 1.0}))
    run.raise_if_failed()
