"""Run after run in one worker, memory stays where it was (promise R10)."""

from __future__ import annotations

import gc
import threading

import psutil
import pytest

from nbtransfer.engine.memory import release_memory
from nbtransfer.runs.faults import plan_faults
from tests.engine.jobs import work

pytestmark = pytest.mark.slow

_WARM_UP, _RUNS = 5, 20
_MOST_MB = 30  # resident memory is no exact measure: the allocator keeps pages at its liking


def _measure():
    import torch

    release_memory()
    tensors = sum(issubclass(type(found), torch.Tensor) for found in gc.get_objects())
    return {
        "resident": psutil.Process().memory_info().rss / 1e6,
        "tensors": tensors,
        "objects": len(gc.get_objects()),
        "threads": threading.active_count(),
        "files": psutil.Process().num_fds(),
    }


def test_twenty_runs_in_a_row_leave_nothing_behind(tmp_path, make_job):
    before = None
    for number in range(_WARM_UP + _RUNS):
        # As they come: most succeed, one is interrupted, one runs out of memory once, one fails.
        fault = {3: "step.forward:1:oom", 4: "step.backward:1:raise"}.get(number % 5, "")
        run = make_job(tmp_path / str(number), max_steps=2)
        if number % 5 == 2:
            run.stop(reason="interrupt")
        plan_faults(fault)
        try:
            assert work(str(run.dir)) is not fault.endswith("raise")
        finally:
            plan_faults("")
        run.state()
        del run
        if number == _WARM_UP - 1:
            before = _measure()
    after = _measure()
    assert after["tensors"] <= before["tensors"]
    assert after["threads"] <= before["threads"]
    assert after["files"] <= before["files"]
    assert after["objects"] <= before["objects"] * 1.01
    assert after["resident"] <= before["resident"] + _MOST_MB
