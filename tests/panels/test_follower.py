"""Tests of nbtransfer.panels.follower; the thread's body is called without its thread."""

import pytest

from nbtransfer.panels.follower import Follower, follow
from nbtransfer.runs.process import write_process
from nbtransfer.runs.run import Run
from tests.panels.live_runs import LiveRun


@pytest.fixture
def run(runs_dir):
    return LiveRun(runs_dir / "calm-heron")


def kill_worker(run):
    write_process(run.paths.process, 2**30)  # no system has a process of that number


def test_updates_follow_the_log_until_its_end(run):
    updates = follow(Run(run.dir))
    assert next(updates).state.step == 0
    run.start(2)
    update = next(updates)
    assert (update.status, update.state.step, update.is_new) == ("running", 2, True)
    assert not next(updates).is_new
    run.complete(2)
    assert next(updates).status == "completed"
    assert list(updates) == []


def test_a_run_whose_process_is_gone_ends_as_lost(run):
    run.start(2)
    updates = follow(Run(run.dir))
    assert next(updates).status == "running"
    kill_worker(run)
    assert [update.status for update in updates] == ["lost"]


def test_a_disk_that_does_not_answer_for_a_moment_has_no_news(run, monkeypatch):
    run.start(2)
    updates = follow(Run(run.dir))
    assert next(updates).state.step == 2
    with monkeypatch.context() as patch:
        patch.setattr("nbtransfer.runs.run.EventReader.poll", _refuse)
        update = next(updates)
    assert (update.status, update.state.step, update.is_new) == ("running", 2, False)
    run.step(3)
    update = next(updates)
    assert (update.status, update.state.step, update.is_new) == ("running", 3, True)


def _refuse(_reader):
    raise OSError(116, "Stale file handle")


def test_the_last_state_is_always_rendered(run):
    run.start(2)
    run.complete(2)
    seen, ends = [], []
    follower = Follower(run, seen.append, on_end=lambda: ends.append(follower.done.is_set()))
    follower._drain()
    assert [update.status for update in seen] == ["completed"]
    assert ends == [True]


def test_a_raising_panel_gives_one_warning_and_is_followed_to_the_end(run, caplog):
    run.start(2)
    calls, shown = [], []

    def render(update):
        calls.append(update.status)
        if len(calls) == 1:
            run.complete(2)
        raise ValueError("no front end")

    follower = Follower(run, render, on_error=shown.append, interval_s=0.0)
    follower._drain()
    assert calls == ["running", "completed"]
    assert [str(error) for error in shown] == ["no front end"]
    assert len(caplog.records) == 1
    assert "Training goes on" in caplog.text
    assert follower.done.is_set()


def test_a_panel_that_cannot_even_show_its_error_harms_nothing(run, caplog):
    run.start(1)
    run.complete(1)

    def broken(_):
        raise OSError("gone")

    follower = Follower(run, broken, on_error=broken, on_end=lambda: broken(None))
    follower._drain()
    assert follower.done.is_set()
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1
