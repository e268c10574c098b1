"""Run after run in one notebook, with its panel, the kernel's memory stays flat (promise R10)."""

from __future__ import annotations

import json
import os
import queue
import time
from pathlib import Path

import psutil
import pytest
from jupyter_client.manager import start_new_kernel

pytestmark = pytest.mark.slow

_WARM_UP = 3  # these fill caches, of imports and of drawing
_RUNS = 20
_MOST_MB = 5
_MOST_FILES = 8  # sockets come and go with messages; what leaks is at least one a run
_PREPARE = """
%load_ext nbtransfer
from nbtransfer.runs import launch
launch._WORKER_MODULE = "tests.faults.quick_worker"
words = ["lovely", "bright", "warm"], ["dull", "cold", "slow"]
rows = [{"text": f"a {words[i % 2][i % 3]} film", "label": i % 2} for i in range(40)]
"""
_MEASURE = """
import gc, json, sys, threading, psutil
gc.collect()
print(json.dumps({
    "objects": len(gc.get_objects()),
    "threads": threading.active_count(),
    "files": psutil.Process().num_fds(),
    "children": len(psutil.Process().children()),
    "torch": "torch" in sys.modules,
}))
"""


@pytest.fixture
def kernel(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "NBTRANSFER_RUNS_DIR": str(tmp_path / "runs"),
        "NBTRANSFER_HEADLESS": "",
    }
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path), env=environment)
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _run(client, code):
    """Run a cell as a notebook with a front end does, where the panel has widgets; return its
    replies: what was printed, and how many widgets were opened."""
    request = client.execute(code, allow_stdin=True)
    printed, widgets = "", 0
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            message = client.get_iopub_msg(timeout=5)
        except queue.Empty:
            continue
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        widgets += message["msg_type"] == "comm_open"
        if message["msg_type"] == "stream" and content["name"] == "stdout":
            printed += content["text"]
        assert message["msg_type"] != "error", content
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            return printed, widgets
    raise AssertionError(f"no end of {code!r}")


def test_twenty_runs_with_the_panel_leave_the_kernel_as_it_was(kernel, mini_model):
    manager, client = kernel
    process = psutil.Process(manager.provisioner.pid)
    _run(client, _PREPARE)
    resident, counted = [], []
    for number in range(_WARM_UP + _RUNS):
        line = f"run = %finetune {mini_model} rows --max-steps 2 --name run-{number}"
        _, widgets = _run(client, line)
        assert widgets > 5, "there was no panel"
        printed, _ = _run(client, _MEASURE)
        counted.append(json.loads(printed))
        resident.append(process.memory_info().rss / 1e6)
    assert _run(client, "print(run.status)")[0] == "completed\n"
    said = "\n".join(f"{mb:.1f} MB {found}" for mb, found in zip(resident, counted, strict=True))
    print(said)
    before, after = counted[_WARM_UP - 1], counted[-1]
    assert not after["torch"]
    assert after["threads"] <= before["threads"], said
    assert after["files"] <= before["files"] + _MOST_FILES, said
    assert after["children"] <= before["children"], said
    assert after["objects"] <= before["objects"] * 1.01, said
    assert resident[-1] <= resident[_WARM_UP - 1] + _MOST_MB, said
