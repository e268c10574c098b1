"""SIGKILL at every file operation of a run, then resuming (promise R3)."""

from __future__ import annotations

import os
import signal

import pytest

from nbtransfer.engine.checkpoints import newest_checkpoint
from nbtransfer.runs import faults
from tests.engine.jobs import start, work, work_with_faults
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow

# How often a run of this job reaches each kind of point; the first test counts it.
_REACHED = {"checkpoint.*": 39, "file.*": 14, "export.*": 2, "event": 43}
_SAVES = 3


def _chosen(points: str) -> list[int]:
    """Return which of them are tried: all with NBTRANSFER_ALL_FAULTS=1, otherwise a spread.

    That is each operation of a save once, in the first, second and last save by turns, with the
    last renaming, syncing and clearing; and every third or fourth of the others, with the last.
    """
    last = _REACHED[points]
    if os.environ.get("NBTRANSFER_ALL_FAULTS") == "1":
        return [*range(1, last + 1)]
    if points == "checkpoint.*":
        a_save = last // _SAVES
        ends = range(a_save - 3, a_save)
        return [1 + i + a_save * (_SAVES - 1 if i in ends else i % _SAVES) for i in range(a_save)]
    return sorted({*range(1, last + 1, 4 if points == "event" else 3), last})


_CASES = [(points, n) for points in _REACHED for n in _chosen(points)]


class _Watch:
    """Stands among the planned faults, sees every point that is reached, and never strikes."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def meets(self, point: str) -> bool:
        self.reached.append(point)
        return False


def test_the_points_are_counted_and_every_operation_is_among_those_tried(
    tmp_path, make_job, monkeypatch
):
    run = make_job(tmp_path)
    watch = _Watch()
    monkeypatch.setattr(faults, "_faults", [watch])
    assert work(str(run.dir))
    found = {
        points: [p for p in watch.reached if p.startswith(points.rstrip("*"))]
        for points in _REACHED
    }
    # How fast training is may be said more or less often.
    by_clock = sum(event["type"] == "throughput_measured" for event in run.events())
    counts = {points: len(reached) for points, reached in found.items()}
    assert counts | {"event": counts["event"] - by_clock} == _REACHED
    for points, reached in found.items():
        chosen = [n for case, n in _CASES if case == points]
        assert {reached[n - 1] for n in chosen} == set(reached)
        assert _REACHED[points] in chosen
    assert len(_CASES) >= 30


@pytest.mark.parametrize(("points", "count"), _CASES)
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
    # Before its process is on record (a kernel writes that first) a run has only been created, and
    # what is reached last is reached when the run has said that it is completed.
    is_over = (points, count) == ("event", _REACHED["event"])
    before = "created" if points == "file.*" and count <= 2 else "lost"
    assert run.status == ("completed" if is_over else before)
    assert is_over or work(str(run.dir)), run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)
