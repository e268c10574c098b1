"""SIGKILL at every file operation of a run, then resuming (promise R3)."""

from __future__ import annotations

import os
import signal

import pytest

from nbtransfer.engine.checkpoints import newest_checkpoint
from tests.engine.jobs import start, work, work_with_faults
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow

# How often a run of this job reaches each kind of point. Every fifth is tried here, all of them
# with NBTRANSFER_ALL_FAULTS=1.
_REACHED = {"checkpoint.*": 36, "file.*": 12, "export.*": 2, "event": 39}
_EVERY = 1 if os.environ.get("NBTRANSFER_ALL_FAULTS") == "1" else 5


@pytest.mark.parametrize(
    ("points", "count"),
    [(points, n) for points, last in _REACHED.items() for n in range(1, last + 1, _EVERY)],
)
def test_killed_at_a_file_operation_it_resumes_to_the_same_bits(
    tmp_path, make_job, clean, points, count
):
    run = make_job(tmp_path)
    process = start(run, work_with_faults, f"{points}:{count}:kill")
    process.join()
    assert process.exitcode == -signal.SIGKILL
    announced = [row.name for row in run.state().checkpoints]
    if announced:
        found = newest_checkpoint(run.paths.checkpoints_dir)
        assert found.folder is not None
        assert found.folder.name >= announced[-1], "an announced checkpoint does not verify"
        assert found.skipped == (), "a part of a checkpoint passed for one"
    # Before its process is on record (a kernel writes that first) a run has only been created.
    assert run.status == ("created" if points == "file.*" and count <= 2 else "lost")
    assert work(str(run.dir)), run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)
