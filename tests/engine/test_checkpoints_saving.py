"""Tests of nbtransfer.engine.checkpoints: the order of a save, and what interrupts it."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from nbtransfer.engine import checkpoints
from nbtransfer.engine.checkpoints import (
    Snapshot,
    damage,
    load_checkpoint,
    newest_checkpoint,
    prune,
)
from nbtransfer.runs.faults import plan_faults
from tests.engine.tied_model import FILES, learn, make, names, save


@pytest.fixture
def deeds(monkeypatch):
    """What is done to the disk, in order: ("sync", name) and ("rename", from, to)."""
    done = []
    fsync, rename = os.fsync, Path.rename

    def recorded_fsync(descriptor):
        done.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def recorded_rename(self, target):
        done.append(("rename", self.name, Path(target).name))
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "rename", recorded_rename)
    return done


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="file names of descriptors are read from /proc"
)


@needs_proc
def test_the_order_is_data_manifest_folder_rename_parent(folder, trained, deeds):
    save(folder, trained)
    assert deeds == [
        ("sync", "model.safetensors"),
        ("sync", "optimizer.safetensors"),
        ("sync", "state.json"),
        ("sync", "manifest.json"),
        ("sync", ".staging-step-000001"),
        ("rename", ".staging-step-000001", "step-000001"),
        ("sync", "checkpoints"),
    ]


@needs_proc
def test_a_checkpoint_saved_anew_steps_aside_until_the_new_one_is_there(folder, trained, deeds):
    save(folder, trained)
    deeds.clear()
    path = save(folder, trained, note="new")
    assert deeds[-3:] == [
        ("rename", "step-000001", "step-000001.old"),
        ("rename", ".staging-step-000001", "step-000001"),
        ("sync", "checkpoints"),
    ]
    assert names(folder) == ["step-000001"]
    assert json.loads((path / "state.json").read_text())["note"] == "new"


class Killed(BaseException):
    """Stands for SIGKILL: nothing may run after it."""


def deadly(monkeypatch, number):
    """Kill at the file operation of this number; returns a counter of those done."""
    count = [0]

    def watch(owner, name):
        real = getattr(owner, name)

        def operation(*arguments, **keywords):
            if count[0] == number:
                raise Killed
            count[0] += 1
            return real(*arguments, **keywords)

        monkeypatch.setattr(owner, name, operation)

    watch(os, "fsync")
    for name in ("rename", "mkdir", "write_text", "chmod"):
        watch(Path, name)
    watch(checkpoints.shutil, "rmtree")
    watch(checkpoints, "save_file")
    return count


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("number", range(20))
def test_a_good_checkpoint_is_there_whenever_the_save_is_killed(
    folder, trained, monkeypatch, number, anew
):
    save(folder, trained, 1)
    step = 1 if anew else 2
    with monkeypatch.context() as patch:
        count = deadly(patch, number)
        try:
            save(folder, trained, step, note="new")
        except Killed:
            assert count[0] == number
        else:
            assert number >= 15  # fewer operations than that would mean the seam is gone
    found = newest_checkpoint(folder)
    assert found.folder is not None
    assert found.skipped == ()
    load_checkpoint(found.folder, *make())
    # The next save clears up.
    save(folder, trained, 3)
    prune(folder, "step-000003", None)
    assert all(name.startswith("step-") for name in names(folder))
    assert damage(folder / "step-000003") is None
    assert newest_checkpoint(folder).folder.name == "step-000003"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("IO error: No space left on device (os error 28)"),
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_a_full_disk_leaves_the_old_checkpoint_and_no_staging(
    folder, trained, monkeypatch, error, at
):
    save(folder, trained, 1)
    calls = []
    real = checkpoints.save_file

    def fill_up(tensors, path):
        if len(calls) == at:
            path.write_bytes(b"half")
            raise error
        calls.append(path)
        real(tensors, path)

    monkeypatch.setattr(checkpoints, "save_file", fill_up)
    for step in (2, 1):
        calls.clear()
        with pytest.raises(OSError, match="No space left on device"):
            save(folder, trained, step)
        assert names(folder) == ["step-000001"]
        assert damage(folder / "step-000001") is None


@pytest.mark.parametrize("point", ["aside", "rename"])
def test_where_the_new_one_cannot_take_its_place_the_old_one_stays_there(folder, trained, point):
    path = save(folder, trained, note="old")
    plan_faults(f"checkpoint.{point}:1:enospc")
    try:
        with pytest.raises(OSError, match="No space left on device"):
            save(folder, trained, note="new")
    finally:
        plan_faults("")
    assert names(folder) == ["step-000001"]
    assert damage(path) is None
    assert json.loads((path / "state.json").read_text())["note"] == "old"


def test_that_a_tensor_that_learns_is_not_finite_is_found():
    model, optimizer = make()
    learn(model, optimizer)
    model.register_buffer("mask", torch.tensor([0.0, -math.inf]))  # as attention masks are
    assert Snapshot.take(model, optimizer, {}).find_not_finite() is None
    with torch.no_grad():
        model.norm.bias[1] = math.nan
    assert Snapshot.take(model, optimizer, {}).find_not_finite() == "norm.bias"
    model, optimizer = make()
    learn(model, optimizer)
    optimizer.state[model.norm.bias]["exp_avg_sq"][0] = math.inf
    assert Snapshot.take(model, optimizer, {}).find_not_finite() == "norm.bias/exp_avg_sq"


def test_what_an_earlier_crash_staged_is_no_part_of_a_checkpoint(folder, trained):
    left = folder / ".staging-step-000001"
    left.mkdir(parents=True)
    (left / "stray").write_text("x")
    path = save(folder, trained)
    assert sorted(p.name for p in path.iterdir()) == FILES
