"""What a power cut could reorder is written in an order that survives it (promise R4)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbtransfer.runs.control import change_control
from nbtransfer.runs.events import EventWriter
from tests.engine.jobs import work

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/fd").is_dir(), reason="file names of descriptors are read from /proc"
    ),
]


@pytest.fixture
def deeds(monkeypatch):
    """What is done to the disk and said in the log, in order."""
    done = []
    fsync, append = os.fsync, EventWriter.append

    def recorded_fsync(descriptor):
        fsync(descriptor)
        done.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))  # noqa: PTH115

    def recorded_append(self, type, **fields):
        done.append(("said", type, fields.get("name")))
        append(self, type, **fields)

    def record_moves(name):
        move = getattr(Path, name)

        def recorded(self, target):
            inside = [str(p) for p in self.rglob("*") if p.is_file()] if self.is_dir() else []
            done.append(("move", str(self), str(target), inside))
            return move(self, target)

        monkeypatch.setattr(Path, name, recorded)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(EventWriter, "append", recorded_append)
    record_moves("rename")
    record_moves("replace")
    return done


def _assert_durable(deeds):
    """Every move is of what was synced, and its folder is synced before the next is said."""
    synced = set()
    for number, deed in enumerate(deeds):
        if deed[0] == "sync":
            synced.add(deed[1])
        if deed[0] == "move":
            _, source, target, inside = deed
            if not target.endswith((".old", ".probe.moved")):
                missing = {source, *inside} - synced
                assert not missing, f"{target} takes its place before these are durable: {missing}"
            synced -= {source, *inside}
            folder = str(Path(target).parent)
            after = [d for d in deeds[number + 1 :] if d[:2] == ("sync", folder)]
            assert after, f"{target} is in its place, but the place is not durable"


def test_all_a_run_writes_is_durable_in_its_order(tmp_path, make_job, deeds):
    run = make_job(tmp_path)
    change_control(run.paths.control, learning_rate=1e-3)
    assert work(str(run.dir)), run.log()
    _assert_durable(deeds)
    moved = {Path(deed[2]).name for deed in deeds if deed[0] == "move"}
    assert moved >= {"spec.json", "plan.json", "control.json", "report.json", "process.json"}
    assert moved >= {"model", "step-000004", "step-000008", "step-000012"}


def test_a_checkpoint_is_spoken_of_only_once_it_is_durable(tmp_path, make_job, deeds):
    run = make_job(tmp_path)
    assert work(str(run.dir)), run.log()
    parent = str(run.paths.checkpoints_dir)
    for name in ("step-000004", "step-000008", "step-000012"):
        placed = next(
            i for i, d in enumerate(deeds) if d[0] == "move" and d[2] == f"{parent}/{name}"
        )
        said = deeds.index(("said", "checkpoint_saved", name))
        assert ("sync", parent) in deeds[placed:said]
        files = [f"{parent}/.staging-{name}/{f}" for f in ("model", "optimizer")]
        order = [
            *(f"{file}.safetensors" for file in files),
            f"{parent}/.staging-{name}/state.json",
            f"{parent}/.staging-{name}/manifest.json",
            f"{parent}/.staging-{name}",
        ]
        assert [d[1] for d in deeds[:placed] if d[0] == "sync" and d[1] in order] == order


def test_a_report_is_whole_where_its_figures_are_there(tmp_path, make_job, deeds):
    run = make_job(tmp_path)
    assert work(str(run.dir)), run.log()
    moved = [Path(deed[2]).name for deed in deeds if deed[0] == "move"]
    assert moved.index("confusion_matrix.png") < moved.index("report.json")
    assert moved.index("predictions.parquet") < moved.index("report.json")
