"""A worker whose kernel has died is listed, stopped by another, or by its lease (promise R9)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from nbtransfer import api
from nbtransfer.engine.worker import StopSignal, run_job
from nbtransfer.errors import RunError
from nbtransfer.panels.runs_panel import run_row, runs_text
from nbtransfer.runs.faults import plan_faults
from nbtransfer.runs.run import Run
from tests.engine.jobs import VerificationHere, start, work
from tests.faults.comparing import same_bits

pytestmark = pytest.mark.slow

_KERNEL = """
import sys, time
from nbtransfer.runs.launch import submit_run
from nbtransfer.runs.run import Run
run = Run(sys.argv[1])
submit_run(run)
while run.state().step < 5:
    time.sleep(0.05)
print("trains", flush=True)
time.sleep(600)
"""


@pytest.fixture
def orphan(tmp_path, make_job):
    """A maker of long runs whose kernel was killed while they trained."""
    made = []

    def make(**environment):
        run = make_job(tmp_path, num_rows=800, num_train_epochs=1000, eval_steps=1000)
        made.append(run)
        kernel = subprocess.Popen(
            [sys.executable, "-c", _KERNEL, str(run.dir)],
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **environment},
        )
        assert kernel.stdout.readline() == b"trains\n"
        assert run.status == "running"
        os.killpg(kernel.pid, signal.SIGKILL)
        kernel.wait()
        return run

    yield make
    for run in made:
        if run.status == "running":
            run.stop(now=True)


def test_a_worker_stops_when_its_lease_is_over_and_keeps_a_model(orphan):
    run = orphan(NBTRANSFER_LEASE_S="1")
    at = run.state().step
    run.wait(timeout_s=120)
    assert run.state().step > at, "it stopped before its lease was over"
    _assert_stopped(run, "lease")


def test_without_a_lease_it_trains_on_is_listed_and_stopped_by_another_kernel(orphan):
    run = orphan()
    at = run.state().step
    (found,) = api.list_runs(runs_dir=run.dir.parent)
    assert found.id == run.id and "running" in runs_text([run_row(found)])
    with pytest.raises(RunError, match="still running"):
        found.wait(timeout_s=1)
    assert found.state().step > at
    found.stop()
    found.wait(timeout_s=120)
    _assert_stopped(found, "stop")


def test_it_is_killed_by_another_kernel_that_cannot_wait(orphan):
    run = orphan()
    (found,) = api.list_runs(runs_dir=run.dir.parent)
    found.stop(now=True)
    with pytest.raises(RunError, match="lost its worker"):
        found.wait(timeout_s=30)
    assert not (found.paths.model_dir / "config.json").exists()


def _work_as_a_worker(run_dir, faults):
    """Train as the worker's own process does, which listens for SIGTERM."""
    from nbtransfer.engine import export
    from nbtransfer.engine.worker import StopSignal, run_job

    export.Verification = VerificationHere
    stop_signal = StopSignal()
    stop_signal.install()
    stop_signal.busy = True
    plan_faults(faults)
    run_job({"job": "train", "dir": run_dir}, stop_signal, warm=True)


@pytest.mark.parametrize(
    ("phase", "point", "step"),
    [
        ("loading", "event:4", 0),
        ("evaluating", "evaluate.batch:1", 4),
        ("saving", "export.*:1", 12),
    ],
)
def test_a_worker_that_is_terminated_in_a_phase_ends_with_a_model(
    tmp_path, make_job, clean, phase, point, step
):
    run = make_job(tmp_path)
    process = start(run, _work_as_a_worker, f"{point}:term")
    process.join()
    assert process.exitcode == 0
    assert run.state().step == step
    if step == 12:
        assert run.status == "completed"
    else:
        _assert_stopped(run, "sigterm")
        assert work(str(run.dir)), run.log()
    assert same_bits(run, clean)


def test_a_paused_run_whose_kernel_has_gone_ends_with_its_lease(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    run.pause()
    over = StopSignal(lease_s=0.0, orphaned=lambda: Run(run.dir).state().paused)
    assert run_job({"job": "train", "dir": str(run.dir)}, over, warm=True)
    assert [e["step"] for e in run.events() if e["type"] == "run_paused"] == [0]
    _assert_stopped(run, "lease")
    run.unpause()
    assert work(str(run.dir)), run.log()
    assert same_bits(run, clean)


def _assert_stopped(run, reason):
    state = run.state()
    assert run.status == "stopped"
    assert state.ending_reason == reason
    assert any(row.step == state.step for row in state.evaluations)
    assert state.verified
    assert run.report().num_rows > 0
    assert json.loads((run.paths.model_dir / "config.json").read_text())["id2label"]
