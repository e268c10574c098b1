"""Tests of nbtransfer.engine.checkpoints: damage found, the newest good one taken, some kept."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from nbtransfer.engine.checkpoints import (
    damage,
    newest_checkpoint,
    prune,
)
from tests.engine.tied_model import FILES, learn, make, names, save

# Damage


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
