"""Tests of nbtransfer.engine.checkpoints: whole or not there, damage found, the last never lost."""

from __future__ import annotations

import copy
import errno
import json
import math
import os
import random
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from nbtransfer.engine import checkpoints
from nbtransfer.engine.checkpoints import (
    Snapshot,
    damage,
    load_checkpoint,
    load_model_state,
    newest_checkpoint,
    prune,
    save_checkpoint,
)
from nbtransfer.engine.optim import make_optimizer, set_learning_rate
from nbtransfer.runs.faults import plan_faults
from nbtransfer.spec import RunSpec

FILES = ["manifest.json", "model.safetensors", "optimizer.safetensors", "state.json"]


class Tied(nn.Module):
    """As a language model: the output reads the embedding's weight; a buffer counts."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.norm = nn.LayerNorm(4)
        self.output = nn.Linear(4, 7)
        self.output.weight = self.embedding.weight
        self.register_buffer("count", torch.tensor(3))

    def forward(self, tokens):
        return self.output(self.norm(self.embedding(tokens))).square().mean()


def make(seed: int = 0):
    torch.manual_seed(seed)
    model = Tied()
    optimizer = make_optimizer(model, RunSpec(model="m", data="d"))
    set_learning_rate(optimizer, 0.1)
    return model, optimizer


def learn(model, optimizer, num_steps=2):
    for step in range(num_steps):
        optimizer.zero_grad()
        model(torch.tensor([step % 7, 3])).backward()
        optimizer.step()


@pytest.fixture(scope="module")
def trained():
    """A model and its optimizer, after two steps."""
    model, optimizer = make()
    learn(model, optimizer)
    return model, optimizer


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


def save(folder, trained, step=1, **state):
    path = folder / f"step-{step:06d}"
    save_checkpoint(path, Snapshot.take(*trained, {"progress": {"step": step}, **state}))
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# Round trip


def test_weights_moments_and_state_come_back_bit_for_bit(folder, trained):
    path = save(folder, trained, loss=0.1 + 0.2)
    model, optimizer = make(seed=1)
    state = load_checkpoint(path, model, optimizer)
    assert state["progress"] == {"step": 1}
    assert state["loss"] == 0.1 + 0.2
    for (name, a), b in zip(
        trained[0].state_dict().items(), model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    for a, b in zip(trained[0].parameters(), model.parameters(), strict=True):
        before, after = trained[1].state[a], optimizer.state[b]
        assert before.keys() == after.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_training_goes_on_to_the_same_bits(folder, trained):
    path = save(folder, trained)
    model, optimizer = make()
    load_checkpoint(path, model, optimizer)
    other, other_optimizer = make()
    learn(other, other_optimizer, 2)
    for pair in ((model, optimizer), (other, other_optimizer)):
        learn(*pair, 3)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_a_checkpoint_before_the_first_step_has_no_moments(folder):
    fresh = make()
    path = save(folder, fresh, 0)
    model, optimizer = make(seed=1)
    load_checkpoint(path, model, optimizer)
    assert not optimizer.state
    assert torch.equal(model.embedding.weight, fresh[0].embedding.weight)


def test_tied_weights_are_saved_once_and_restored(folder, trained):
    path = save(folder, trained)
    saved = load_file(path / "model.safetensors")
    assert "embedding.weight" in saved
    assert "output.weight" not in saved
    aliases = json.loads((path / "state.json").read_text())["aliases"]
    assert aliases == {"output.weight": "embedding.weight"}
    model, _ = make(seed=1)
    load_model_state(path, model)
    assert model.output.weight is model.embedding.weight
    assert torch.equal(model.output.weight, trained[0].output.weight)


class Views(nn.Module):
    """Two buffers on one storage, of which one is the other's transpose."""

    def __init__(self):
        super().__init__()
        square = torch.arange(9.0).reshape(3, 3)
        self.register_buffer("a", square)
        self.register_buffer("b", square.T)


def test_a_transposed_view_of_the_same_storage_is_not_taken_for_it(folder, trained):
    model = Views()
    snapshot = Snapshot.take(model, trained[1], {})
    assert snapshot.aliases == {}
    path = folder / "step-000001"
    save_checkpoint(path, snapshot)
    assert torch.equal(load_file(path / "model.safetensors")["b"], model.a.T)


def test_a_snapshot_stays_as_it_was_while_training_goes_on(folder):
    model, optimizer = make()
    learn(model, optimizer)
    state = {"progress": {"step": 2, "losses": [0.5]}}
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()["state"]))
    snapshot = Snapshot.take(model, optimizer, state)
    learn(model, optimizer)
    state["progress"]["losses"].append(0.25)
    path = folder / "step-000002"
    save_checkpoint(path, snapshot)
    other, other_optimizer = make(seed=1)
    found = load_checkpoint(path, other, other_optimizer)
    assert found["progress"] == {"step": 2, "losses": [0.5]}
    assert all(torch.equal(before[0][k], v) for k, v in other.state_dict().items())
    moments = other_optimizer.state_dict()["state"]
    assert all(torch.equal(before[1][i][k], moments[i][k]) for i in moments for k in moments[i])


def test_frozen_weights_are_kept_and_have_no_moments(folder):
    model, _ = make()
    model.embedding.requires_grad_(False)
    optimizer = make_optimizer(model, RunSpec(model="m", data="d"))
    learn(model, optimizer)
    path = save(folder, (model, optimizer))
    assert "embedding.weight" in load_file(path / "model.safetensors")
    moments = {key.rpartition("/")[0] for key in load_file(path / "optimizer.safetensors")}
    assert moments == {"norm.weight", "norm.bias", "output.bias"}


def test_a_state_with_a_loss_that_is_no_number_is_saved(folder, trained):
    path = save(folder, trained, losses=[[0.5, math.nan], [0.5, math.inf]])
    state = load_checkpoint(path, *make())
    assert math.isnan(state["losses"][0][1])
    assert damage(path) is None


def test_saving_returns_the_bytes_on_disk(folder, trained):
    path = folder / "step-000001"
    num_bytes = save_checkpoint(path, Snapshot.take(*trained, {}))
    assert num_bytes == sum((path / name).stat().st_size for name in FILES[1:])


def test_saving_changes_neither_model_nor_optimizer(folder, trained):
    before = copy.deepcopy((trained[0].state_dict(), trained[1].state_dict()))
    save(folder, trained)
    after = (trained[0].state_dict(), trained[1].state_dict())
    assert all(torch.equal(before[0][k], after[0][k]) for k in before[0])
    assert str(before[1]) == str(after[1])


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_modes_the_umask_says(folder, trained, umask, mode):
    before = os.umask(umask)
    try:
        path = save(folder, trained)
    finally:
        os.umask(before)
    assert {name: (path / name).stat().st_mode & 0o777 for name in FILES[1:]} == dict.fromkeys(
        FILES[1:], mode
    )
    assert os.umask(before) == before  # looking at the umask did not change it


# Order and faults of a save


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


# Damage


@pytest.fixture(scope="module")
def pristine(tmp_path_factory, trained):
    """One whole checkpoint, copied by the tests that damage it."""
    return save(tmp_path_factory.mktemp("pristine"), trained)


@pytest.fixture
def whole(folder, pristine):
    path = folder / "step-000001"
    shutil.copytree(pristine, path)
    assert damage(path) is None
    return path


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_found(whole, name, share):
    path = whole / name
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert name in damage(whole)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_flipped_bit_is_found_wherever_it_is(whole, name):
    path = whole / name
    data = path.read_bytes()
    draw = random.Random(0)
    for at in [0, len(data) - 1, *(draw.randrange(len(data)) for _ in range(98))]:
        flipped = bytearray(data)
        flipped[at] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        assert damage(whole) == f"{name} differs from its sha256", at
    path.write_bytes(data)
    assert damage(whole) is None


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(whole, name):
    (whole / name).unlink()
    assert damage(whole) == f"{name} is missing"


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_the_place_of_a_file_is_found(whole, name):
    (whole / name).unlink()
    (whole / name).mkdir()
    assert name in damage(whole)


def test_swapped_files_are_found(whole):
    a, b = whole / "model.safetensors", whole / "optimizer.safetensors"
    spare = whole / "spare"
    a.rename(spare)
    b.rename(a)
    spare.rename(b)
    assert "model.safetensors" in damage(whole)


def test_files_of_another_checkpoint_are_found(whole, trained):
    other = make(seed=5)
    learn(*other)
    path = save(whole.parent, other, 2)
    shutil.copy(path / "model.safetensors", whole / "model.safetensors")
    assert damage(whole) == "model.safetensors differs from its sha256"
    shutil.copy(path / "manifest.json", whole / "manifest.json")  # a stale manifest
    assert damage(whole) is not None


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        "{}",
        '{"files": []}',
        '{"files": null}',
        '{"files": "model.safetensors"}',
        '{"files": {}}',
        '{"files": {"model.safetensors": 5}}',
        json.dumps({"files": {"model.safetensors": {"num_bytes": 1, "sha256": "0"}}}),
        json.dumps({"files": {name: {"num_bytes": 1} for name in FILES}}),
        json.dumps({"files": {name: [] for name in FILES}}),
        "\x00" * 200,
    ],
)
def test_a_damaged_manifest_is_found(whole, manifest):
    (whole / "manifest.json").write_text(manifest)
    assert damage(whole) == "manifest.json is damaged"


def test_an_empty_folder_is_no_checkpoint(folder):
    (folder / "step-000001").mkdir(parents=True)
    assert damage(folder / "step-000001") == "manifest.json is missing"


# The newest


def copies(folder, pristine, *steps):
    for step in steps:
        shutil.copytree(pristine, folder / f"step-{step:06d}")


def test_no_checkpoints_are_none(folder):
    assert newest_checkpoint(folder) == (None, ())
    folder.mkdir()
    assert newest_checkpoint(folder) == (None, ())


def test_the_newest_is_the_one_of_the_largest_step(folder, pristine):
    copies(folder, pristine, 9, 10, 999_999, 1_000_000)
    assert newest_checkpoint(folder) == (folder / "step-1000000", ())


def test_damaged_ones_are_skipped_with_their_reasons(folder, pristine):
    copies(folder, pristine, 1, 2, 3, 4)
    (folder / "step-000004" / "manifest.json").unlink()
    (folder / "step-000003" / "state.json").write_text("{}")
    found = newest_checkpoint(folder)
    assert found.folder == folder / "step-000002"
    assert [name for name, _ in found.skipped] == ["step-000004", "step-000003"]
    assert found.skipped[0][1] == "manifest.json is missing"
    assert "state.json" in found.skipped[1][1]


def test_where_all_are_damaged_none_is_taken(folder, pristine):
    copies(folder, pristine, 1, 2)
    for path in folder.iterdir():
        (path / "model.safetensors").unlink()
    assert newest_checkpoint(folder).folder is None
    assert len(newest_checkpoint(folder).skipped) == 2


@pytest.mark.parametrize(
    "name", [".staging-step-000009", "step-9x", "step-", "step-000009.part", "step-000009.old.old"]
)
def test_a_folder_of_another_name_is_never_taken_though_it_is_whole(folder, pristine, name):
    copies(folder, pristine, 1)
    shutil.copytree(pristine, folder / name)
    assert newest_checkpoint(folder) == (folder / "step-000001", ())


def test_one_that_stepped_aside_is_taken_only_where_the_new_one_is_not_good(folder, pristine):
    copies(folder, pristine, 1, 2)
    shutil.copytree(pristine, folder / "step-000002.old")
    assert newest_checkpoint(folder).folder.name == "step-000002"
    (folder / "step-000002" / "state.json").unlink()
    assert newest_checkpoint(folder).folder.name == "step-000002.old"


# Pruning


def test_the_last_two_and_the_best_are_kept(folder, pristine):
    copies(folder, pristine, 1, 2, 3, 4, 5)
    prune(folder, "step-000005", "step-000002")
    assert names(folder) == ["step-000002", "step-000004", "step-000005"]


@pytest.mark.parametrize("best", [None, "step-000004", "step-000005", "step-000077"])
def test_two_are_kept_where_the_best_is_among_them_or_not_there(folder, pristine, best):
    copies(folder, pristine, 1, 2, 3, 4, 5)
    prune(folder, "step-000005", best)
    assert names(folder) == ["step-000004", "step-000005"]


def test_the_only_one_is_kept(folder, pristine):
    copies(folder, pristine, 1)
    prune(folder, "step-000001", None)
    assert names(folder) == ["step-000001"]


def test_the_millionth_is_newer_than_the_one_before(folder, pristine):
    copies(folder, pristine, 999_998, 999_999, 1_000_000)
    prune(folder, "step-1000000", None)
    assert names(folder) == ["step-1000000", "step-999999"]


def test_damaged_ones_a_resume_passed_over_do_not_count_as_the_last_two(folder, pristine):
    copies(folder, pristine, 10, 20, 30)
    for step in (20, 30):
        (folder / f"step-{step:06d}" / "state.json").unlink()
    assert newest_checkpoint(folder).folder.name == "step-000010"
    copies(folder, pristine, 15)  # the resumed run's first save
    prune(folder, "step-000015", "step-000010")
    assert names(folder) == ["step-000010", "step-000015"]


def test_staging_and_old_folders_of_a_crash_are_removed(folder, pristine):
    copies(folder, pristine, 1, 2)
    for name in (".staging-step-000002", "step-000001.old"):
        shutil.copytree(pristine, folder / name)
    prune(folder, "step-000002", None)
    assert names(folder) == ["step-000001", "step-000002"]


def test_what_is_not_ours_is_left_alone(folder, pristine):
    copies(folder, pristine, 1, 2, 3)
    (folder / "notes.txt").write_text("x")
    (folder / "step-by-step").mkdir()
    prune(folder, "step-000003", None)
    assert names(folder) == ["notes.txt", "step-000002", "step-000003", "step-by-step"]
