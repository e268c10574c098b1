"""A display that fails or hangs changes nothing of a run, and is told of once (promise R14)."""

from __future__ import annotations

import threading

import pytest

from nbtransfer.panels import show
from nbtransfer.panels.follower import Follower
from tests.engine.jobs import start
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow


def _raise(*_, **__):
    raise ConnectionError("the front end has gone")


def _assert_same(run, clean):
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)


def test_a_publisher_that_raises_is_one_warning(tmp_path, make_job, clean, caplog, monkeypatch):
    monkeypatch.setattr(show, "_update", _raise)
    monkeypatch.setattr(show, "_HEADLESS_INTERVAL_S", 0.0)
    run = make_job(tmp_path)
    card = show._HeadlessCard(run, show.About.of(run), "id")
    follower = Follower(run, card.render, on_error=card.show_error, interval_s=0.01)
    process = start(run)
    follower.start()
    process.join()
    assert follower.done.wait(30)
    _assert_same(run, clean)
    (warning,) = (r for r in caplog.records if r.name == "nbtransfer")
    assert "Training goes on" in warning.getMessage()
    assert "the front end has gone" in warning.getMessage()


def test_a_publisher_that_hangs_stops_no_step(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    released, hung = threading.Event(), threading.Event()

    def hang(_update):
        hung.set()
        released.wait(30)

    follower = Follower(run, hang)
    process = start(run)
    follower.start()
    assert hung.wait(30)
    process.join()
    assert not follower.done.is_set(), "it hung no longer than the run took"
    _assert_same(run, clean)
    released.set()
    assert follower.done.wait(30)


def test_without_a_front_end_it_trains_all_the_same(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    start(run).join()
    _assert_same(run, clean)
