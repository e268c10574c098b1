"""A worker whose kernel has died: with a lease it stops and keeps a model (promise R9)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

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


def test_a_worker_stops_when_its_lease_is_over_and_keeps_a_model(tmp_path, make_job):
    run = make_job(tmp_path, num_rows=800, num_train_epochs=1000, eval_steps=1000)
    kernel = subprocess.Popen(
        [sys.executable, "-c", _KERNEL, str(run.dir)],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "NBTRANSFER_LEASE_S": "1"},
    )
    assert kernel.stdout.readline() == b"trains\n"
    assert run.status == "running"
    os.killpg(kernel.pid, signal.SIGKILL)
    kernel.wait()
    at = run.state().step
    run.wait(timeout_s=120)
    state = run.state()
    assert run.status == "stopped"
    assert state.ending_reason == "lease"
    assert state.step > at, "it stopped before its lease was over"
    assert any(row.step == state.step for row in state.evaluations)
    assert state.verified
    assert run.report().num_rows > 0
    assert json.loads((run.paths.model_dir / "config.json").read_text())["id2label"]
