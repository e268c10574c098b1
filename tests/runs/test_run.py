"""Tests of nbtransfer.runs.run: the handle tells what the folder says, whoever holds it."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from nbtransfer.errors import RunError
from nbtransfer.runs import run as module
from nbtransfer.runs.files import write_json
from nbtransfer.runs.lock import try_lock
from nbtransfer.runs.process import write_process
from nbtransfer.runs.run import Run
from tests.runs.folders import (
    STARTED,
    TRAINING,
    begun,
    completed,
    elsewhere,
    evaluation,
    failed,
    gone,
    make_run,
    record,
    step,
    write_events,
)

STOPPED = ("run_stopped", {"step": 3, "reason": "stop", "train_runtime_s": 1.0})


@pytest.fixture
def run(runs_dir):
    return make_run(runs_dir)


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


def test_an_ended_run_in_a_worker_s_hands_again_is_running_before_the_worker_has_begun(runs_dir):
    run = begun(make_run(runs_dir))
    write_events(run, ("run_stopped", {"step": 2, "reason": "stop", "train_runtime_s": 1.0}))
    assert run.status == "stopped"
    write_process(run.paths.process, os.getpid(), after_seq=run.state().last_seq)
    assert run.status == "running"
    write_process(run.paths.process, 2**22 + 1, after_seq=run.state().last_seq)
    assert run.status == "stopped", "the worker died before it began: nothing has changed"


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
