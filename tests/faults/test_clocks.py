"""A clock that is set by hours and a machine that sleeps leave a run as it is (promises R1, R9)."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from nbtransfer.engine import worker
from nbtransfer.engine.step import EagerStep
from nbtransfer.engine.worker import StopSignal
from nbtransfer.panels.remaining import remaining_s
from nbtransfer.panels.run_view import elapsed_s
from tests.engine.jobs import start, work
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow

_HOUR = 3600.0


@pytest.fixture
def set_by_hours(monkeypatch):
    """Each look at the date finds the clock set anew, by up to 30 hours either way."""
    real, draw = time.time, random.Random(5)
    monkeypatch.setattr(time, "time", lambda: real() + draw.uniform(-30, 30) * _HOUR)


def test_a_clock_set_between_any_two_looks_changes_neither_bits_nor_times(
    tmp_path, make_job, clean, set_by_hours
):
    run = make_job(tmp_path)
    began = time.monotonic()
    assert work(str(run.dir)), run.log()
    took = time.monotonic() - began
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)
    state = run.state()
    # By time no checkpoint was due: 5 minutes had not passed.
    assert [row.step for row in state.checkpoints] == [4, 8, 12]
    assert 0 < state.train_runtime_s < took
    assert 0 < elapsed_s(state, "completed", time.time()) < took
    assert run.metrics()["train_samples_per_second"] > 1
    times = [row.elapsed_s for row in state.steps]
    assert times == sorted(times)
    left = remaining_s(state, 4, 8, time.time())
    assert left is not None and 0 <= left < took


def test_checkpoints_by_time_come_by_a_clock_that_nobody_sets(
    tmp_path, make_job, clean, monkeypatch
):
    steps = iter(range(1, 10**6))
    real = time.monotonic
    passed = [0.0]

    def take(self, *arguments):
        if next(steps) == 6:
            passed[0] = 301.0  # the sixth step takes five minutes
        return step(self, *arguments)

    step = EagerStep.__call__
    monkeypatch.setattr(EagerStep, "__call__", take)
    monkeypatch.setattr(time, "monotonic", lambda: real() + passed[0])
    run = make_job(tmp_path)
    assert work(str(run.dir)), run.log()
    reasons = [e["reason"] for e in run.events() if e["type"] == "checkpoint_saved"]
    assert [row.step for row in run.state().checkpoints] == [4, 6, 8, 12]
    assert reasons == ["evaluation", "time", "evaluation", "evaluation"]
    assert same_bits(run, clean)


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_lease_runs_by_a_clock_that_nobody_sets(monkeypatch, hours):
    now = [100.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: now[0])
    lease = StopSignal(60.0, lambda: True)
    assert lease.reason is None
    real = time.time
    monkeypatch.setattr(worker.time, "time", lambda: real() + hours * _HOUR)
    now[0] += 59
    assert lease.reason is None
    now[0] += 1
    assert lease.reason == "lease"


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_worker_is_idle_as_long_as_it_may_be_though_the_clock_is_set(monkeypatch, hours):
    real_date, real = time.time, time.monotonic
    monkeypatch.setattr(worker.time, "time", lambda: real_date() + hours * _HOUR)
    reading, writing = os.pipe()
    stdin = os.dup(0)
    os.dup2(reading, 0)
    try:
        begun = real()
        assert worker._lines()(0.2) is None
        assert 0.15 < real() - begun < 5
    finally:
        os.dup2(stdin, 0)
        for descriptor in (reading, writing, stdin):
            os.close(descriptor)


def test_a_worker_that_slept_is_running_all_the_while_and_ends_with_the_same_bits(
    tmp_path, make_job, clean
):
    run = make_job(tmp_path)
    process = start(run)
    deadline = time.monotonic() + 60
    while run.state().step < 3:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(1.0)
    assert run.status == "running"
    os.kill(process.pid, signal.SIGCONT)
    process.join()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)
