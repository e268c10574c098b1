"""The real worker process, started as a kernel starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from nbtransfer import api
from nbtransfer.errors import RunError
from nbtransfer.runs import launch
from nbtransfer.runs.process import write_process
from tests.engine.jobs import make_run, reviews

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def workers_end():
    """Leave no worker of these tests behind."""
    yield
    launch.close_workers()


def test_one_warm_worker_trains_predicts_and_evaluates(tmp_path):
    run = make_run(tmp_path, num_train_epochs=3)
    launch.submit_run(run)
    assert run.status in ("created", "running")
    run.wait(timeout_s=120)
    worker = launch._workers[-1]
    pid = worker.pid
    first = api.predict(run, ["a lovely and warm film", "a dull and cold film"])
    assert [p.label for p in first] == ["good", "bad"]
    assert sum(first[0].probabilities.values()) == pytest.approx(1)
    start = time.monotonic()
    again = api.predict(run, "a lovely and warm film")
    took = time.monotonic() - start
    assert again[0].score == pytest.approx(first[0].score, abs=1e-6)
    report = api.evaluate(run, reviews(20, seed=5))
    assert report.num_rows == 20
    assert launch._workers[-1].pid == pid, "the warm worker was not used again"
    # Importing takes 6 s and more: a worker that paid again could not answer in time.
    assert took < 3
    assert list(run.paths.dir.glob("evaluation/predict-*")) == []


def test_a_failed_job_is_told_and_the_worker_replaced(tmp_path):
    run = make_run(tmp_path)
    run.paths.split("train").write_bytes(b"no parquet")
    launch.submit_run(run)
    with pytest.raises(RunError, match="failed") as caught:
        run.wait(timeout_s=120)
    assert caught.value.run is run
    assert run.status == "failed"
    assert "Traceback" in run.log()
    deadline = time.monotonic() + 10
    while any(worker.is_alive for worker in launch._workers):
        assert time.monotonic() < deadline, "the failed worker still runs"
        time.sleep(0.05)


def test_a_worker_outlives_its_kernel_and_finishes_the_job(tmp_path):
    run = make_run(tmp_path, num_train_epochs=4)
    kernel = (
        "import sys, time; from nbtransfer.runs.launch import submit_run; "
        "from nbtransfer.runs.run import Run; submit_run(Run(sys.argv[1])); "
        "print('handed over', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", kernel, str(run.dir)], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout.readline() == b"handed over\n"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run.wait(timeout_s=120)
    assert run.status == "completed"
    worker = json.loads(run.paths.process.read_text())["pid"]
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{worker}"):  # noqa: PTH110 -- a process, not a file
        assert time.monotonic() < deadline, "the worker outlived its last job without a kernel"
        time.sleep(0.05)


def test_a_job_that_comes_as_the_idle_worker_leaves_is_not_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(launch.options, "worker_idle_s", 0.0)
    launch.close_workers()
    launch.warm_up()
    (worker,) = launch._workers
    deadline = time.monotonic() + 120
    while worker.is_idle:  # it imports, and then has waited long enough
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert worker.is_alive
    # A kernel that looked a moment earlier hands its job to it all the same.
    run = make_run(tmp_path, num_train_epochs=1)
    worker.submit({"job": "train", "dir": str(run.dir), "log": str(run.paths.log)})
    write_process(run.paths.process, worker.pid)
    run.wait(timeout_s=120)
    assert run.status == "completed"


def test_neither_a_launchers_variables_nor_files_named_like_libraries_disturb(
    tmp_path, monkeypatch
):
    """A kernel below torchrun or mpirun: the worker is not one of that launcher's processes."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29777")
    (tmp_path / "datasets.py").write_text("raise SystemExit('imported')")
    (tmp_path / "torch.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    launch.close_workers()
    run = make_run(tmp_path / "runs", num_train_epochs=1)
    launch.submit_run(run)
    run.wait(timeout_s=120)
    assert run.status == "completed"
