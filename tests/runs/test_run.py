"""Tests of nbtransfer.runs.run: the handle tells what the folder says, whoever holds it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from nbtransfer.errors import RunError
from nbtransfer.runs import run as module
from nbtransfer.runs.control import read_control
from nbtransfer.runs.faults import plan_faults
from nbtransfer.runs.files import write_json
from nbtransfer.runs.lock import try_lock
from nbtransfer.runs.process import _boot, process_start, write_process
from nbtransfer.runs.run import Run
from tests.runs.folders import (
    begun,
    checkpoint,
    completed,
    evaluation,
    failed,
    make_run,
    step,
    write_events,
)

STARTED = ("worker_started", {"pid": 1, "process_start": 0.0, "warm": True})
STOPPED = ("run_stopped", {"step": 3, "reason": "stop", "train_runtime_s": 1.0})
TRAINING = (
    "training_started",
    {
        "num_steps": 6,
        "steps_per_epoch": 2,
        "num_train_epochs": 3.0,
        "learning_rate": 1e-4,
        "device": "cpu",
        "precision": "fp32",
        "step_kind": "eager",
    },
)


@pytest.fixture
def run(runs_dir):
    return make_run(runs_dir)


def record(run, *, pid=None, start_offset=0.0, host=None):
    """A process.json as a worker (this process, unless said otherwise) would have left it."""
    pid = pid or os.getpid()
    start = (process_start(os.getpid()) or 0.0) + start_offset
    host = host or socket.gethostname()
    record = {"pid": pid, "process_start": start, "boot": _boot(), "host": host}
    write_json(run.paths.process, record)


def gone(run):
    """A worker whose number another process has by now."""
    record(run, start_offset=-1000.0)


# Where it stands


def test_a_run_nobody_took_yet_is_created(run):
    assert run.status == "created"


def test_a_run_in_the_hands_of_a_living_worker_is_running(run):
    record(run)
    assert run.status == "running"
    write_events(run, STARTED, TRAINING, step(1))
    assert run.status == "running"


def test_a_run_whose_worker_holds_is_paused_until_it_goes_on(run):
    begun(run)
    write_events(run, ("run_paused", {"step": 1}))
    assert run.status == "paused"
    write_events(run, ("run_unpaused", {"step": 1}))
    assert run.status == "running"


@pytest.mark.parametrize("paused", [False, True])
def test_a_run_whose_worker_is_gone_is_lost(run, paused):
    write_events(run, STARTED, step(1))
    if paused:
        write_events(run, ("run_paused", {"step": 1}))
    gone(run)
    assert run.status == "lost"


def test_a_worker_that_died_before_its_first_word_has_lost_the_run(run):
    gone(run)
    assert run.status == "lost"


def test_a_begun_run_without_a_process_record_is_lost(run):
    write_events(run, STARTED)
    assert run.status == "lost"


@pytest.mark.parametrize("text", ["", "{", '{"pid": -1}', "[]"])
def test_a_damaged_process_record_is_none(run, text):
    run.paths.process.write_text(text)
    assert run.status == "created"
    write_events(run, STARTED)
    assert run.status == "lost"


def elsewhere(run):
    """A worker on another machine."""
    record(run, host="elsewhere", pid=4242)


def test_a_run_worked_on_elsewhere_is_running_while_something_is_heard_of_it(run):
    elsewhere(run)
    write_events(run, STARTED)
    assert run.status == "running"
    host, ago_s = run.last_seen()
    assert host == "elsewhere" and ago_s < 60


@pytest.fixture
def an_hour_later(monkeypatch):
    now = time.time() + 3600.0
    return lambda: monkeypatch.setattr("nbtransfer.runs.process.time.time", lambda: now)


def test_a_run_worked_on_elsewhere_that_is_silent_for_long_is_lost(run, an_hour_later):
    write_events(run, STARTED, step(1))
    elsewhere(run)
    an_hour_later()
    with try_lock(run.paths.lock):
        assert run.status == "running", "its lock is held"
        assert run.last_seen() is None
    assert run.status == "lost"
    with pytest.raises(RunError, match="lost its worker, last seen on 'elsewhere', at step 1"):
        run.raise_if_failed()


def test_a_stopped_run_handed_over_elsewhere_is_running_until_that_is_silent(run, an_hour_later):
    write_events(run, STARTED, STOPPED)
    host = {"pid": 4242, "host": "elsewhere", "after_seq": 1, "time": time.time()}
    write_json(run.paths.process, host)
    assert run.status == "running"
    an_hour_later()
    assert run.status == "stopped"


def test_a_run_is_held_by_one_at_a_time(run, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    begun(run)
    wanted = Run(run.dir).held()
    with run.held(), pytest.raises(RunError, match="is running already, in process"), wanted:
        pass
    with Run(run.dir).held():
        pass


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (completed(6), "completed"),
        (("run_stopped", {"step": 3, "reason": "stop", "train_runtime_s": 1.0}), "stopped"),
        (failed(3), "failed"),
    ],
)
@pytest.mark.parametrize("worker", [record, gone, lambda run: None])
def test_an_ended_run_has_its_ending_whatever_became_of_the_worker(run, event, status, worker):
    worker(run)
    write_events(run, STARTED, event)
    assert run.status == status


def test_an_ended_run_that_is_taken_up_again_is_running(run):
    write_events(run, STARTED, failed(3))
    begun(run)
    assert run.status == "running"


def test_an_end_written_between_the_two_looks_is_not_taken_for_a_loss(run, monkeypatch):
    write_events(run, STARTED)
    gone(run)

    def is_alive(record):
        write_events(run, completed(6))
        return False

    monkeypatch.setattr("nbtransfer.runs.process.is_alive", is_alive)
    assert run.status == "completed"


@pytest.mark.parametrize("name", ["events", "process"])
def test_while_its_disk_does_not_answer_a_run_stands_where_it_stood(run, monkeypatch, name):
    begun(run)
    fresh, path = Run(run.dir), getattr(run.paths, name)
    assert run.status == "running"
    opened = Path.open

    def refuse(self, *arguments, **keywords):
        if self == path:
            raise OSError(errno.ESTALE, "Stale file handle")
        return opened(self, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        patch.setattr(Path, "read_bytes", lambda self: refuse(self, "rb").read())
        assert run.status == "running"
        with pytest.raises(OSError, match="Stale"):
            _ = fresh.status
    write_events(run, completed(6))
    assert run.status == "completed"


def test_a_handle_made_elsewhere_tells_the_same(run):
    write_events(run, STARTED, TRAINING, step(1), evaluation(1), completed(1))
    other = Run(str(run.dir))
    assert other.id == run.id
    assert other.status == run.status == "completed"
    assert other.state() == run.state()
    assert other.metrics() == run.metrics()


def test_a_handle_made_before_the_events_sees_them_come(run):
    assert run.state().step == 0
    write_events(run, STARTED, step(1))
    assert run.state().step == 1
    write_events(run, step(2))
    assert run.state().step == 2
    assert [event["type"] for event in run.events()][-1] == "step_completed"


def test_a_handle_outlives_a_change_of_working_folder(run, monkeypatch, tmp_path):
    monkeypatch.chdir(run.dir.parent)
    relative = Run(run.id)
    monkeypatch.chdir(tmp_path)
    assert relative.dir == run.dir
    assert relative.spec == run.spec


# What it holds


@pytest.mark.parametrize("name", ["spec", "plan", "data_card", "model_card"])
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"3", b"null", b"{}", b'{"v": 1}', b"\xff"])
def test_a_damaged_record_is_named(run, name, data):
    path = getattr(run.paths, name)
    path.write_bytes(data)
    with pytest.raises(RunError, match=f"'calm-heron-0712' is damaged: {path.name}") as caught:
        getattr(run, name)
    assert caught.value.run is run


def test_a_missing_record_is_named(run):
    run.paths.plan.unlink()
    with pytest.raises(RunError, match=r"is damaged: plan\.json"):
        _ = run.plan


def test_metrics_are_those_of_the_kept_model_and_the_runs_figures(run):
    best = {"eval_loss": 0.3, "eval_accuracy": 0.9}
    write_events(
        run,
        step(1),
        step(2),
        evaluation(2, metrics=best),
        step(3),
        evaluation(3, metrics={"eval_loss": 0.4, "eval_accuracy": 0.8}, is_best=False),
        ("model_saved", {"step": 2, "choice": "best", "metric": "loss", "value": 0.3}),
        completed(3),
    )
    assert run.metrics() == {
        **best,
        "train_loss": pytest.approx(1 / 3),
        "train_runtime_s": 3.0,
        "train_samples_per_second": 2.0,
        "num_steps": 3,
    }


def test_metrics_of_a_running_job_are_those_of_the_newest_evaluation(run):
    write_events(run, step(1), evaluation(1, metrics={"eval_loss": 0.9}), step(2))
    found = run.metrics()
    assert found["eval_loss"] == 0.9
    assert found["train_runtime_s"] == 1.0
    assert found["train_samples_per_second"] == 4.0


def test_a_run_without_a_step_has_figures_too(run):
    assert run.metrics() == {
        "train_runtime_s": 0.0,
        "train_samples_per_second": 0.0,
        "num_steps": 0,
    }


def test_the_log_is_what_the_worker_printed(run):
    assert run.log() == ""
    run.paths.log.write_bytes(b"loading\n\xff\n")
    assert run.log() == "loading\n\ufffd\n"


def test_an_evaluation_that_was_not_made_says_how_to_make_it(run):
    with pytest.raises(RunError, match=r"no evaluation 'test'\. Make it: %evaluate calm-heron"):
        run.report("test")


def test_a_run_elsewhere_is_named_by_its_folder(run, tmp_path, monkeypatch):
    assert run.reference == run.id
    assert make_run(tmp_path / "my runs", "r").reference == f"'{tmp_path}/my runs/r'"
    monkeypatch.chdir(tmp_path)
    assert make_run(tmp_path / "else", "r").reference == "else/r"


def test_repr_is_one_line_with_progress_or_result(run):
    assert repr(run) == "Run calm-heron-0712: created"
    begun(run)
    write_events(run, TRAINING, step(1))
    assert repr(run) == "Run calm-heron-0712: running, step 1 of 6"
    write_events(run, evaluation(1), completed(1))
    assert repr(run) == "Run calm-heron-0712: completed, accuracy 75.0 %, macro F1 0.700"


# What is asked of it


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


def test_an_ended_run_in_a_worker_s_hands_again_is_running_before_the_worker_has_begun(runs_dir):
    run = begun(make_run(runs_dir))
    write_events(run, ("run_stopped", {"step": 2, "reason": "stop", "train_runtime_s": 1.0}))
    assert run.status == "stopped"
    write_process(run.paths.process, os.getpid(), after_seq=run.state().last_seq)
    assert run.status == "running"
    write_process(run.paths.process, 2**22 + 1, after_seq=run.state().last_seq)
    assert run.status == "stopped", "the worker died before it began: nothing has changed"
