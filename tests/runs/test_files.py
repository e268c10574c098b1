"""Tests of nbtransfer.runs.files: the old content or the new, never a part."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pyarrow as pa
import pytest

from nbtransfer.runs import files
from nbtransfer.runs.files import read_json, read_table, write_bytes, write_json, write_table


@pytest.fixture
def deeds(monkeypatch):
    """What is done to the disk, in order: ("sync", name) and ("rename", from, to)."""
    done = []
    fsync, replace = os.fsync, Path.replace

    def recorded_fsync(descriptor):
        done.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def recorded_replace(self, target):
        done.append(("rename", self.name, Path(target).name))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    return done


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="file names of descriptors are read from /proc"
)


@needs_proc
def test_a_file_is_synced_renamed_and_then_its_folder_synced(tmp_path, deeds):
    write_json(tmp_path / "folder" / "plan.json", {"a": 1})
    staged = deeds[0][1]
    assert re.fullmatch(r"\.plan\.json\.\w+\.part", staged)
    assert deeds == [("sync", staged), ("rename", staged, "plan.json"), ("sync", "folder")]


@needs_proc
def test_the_file_is_whole_before_it_gets_its_name(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    data = os.urandom(100_000)
    replace = Path.replace

    def look(self, target):
        assert self.read_bytes() == data
        assert not path.exists()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", look)
    write_bytes(path, data)
    assert path.read_bytes() == data


@pytest.mark.parametrize("point", ["write", "sync", "rename"])
def test_a_failure_leaves_the_old_file_and_no_part(tmp_path, monkeypatch, point):
    path = tmp_path / "a.json"
    write_json(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    if point == "write":
        monkeypatch.setattr(Path, "open", fail)
    elif point == "sync":
        monkeypatch.setattr(files.os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, "new")
    monkeypatch.undo()
    assert read_json(path) == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, "old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"loss": float("nan")})
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert read_json(path) == "old"


@pytest.mark.parametrize("text", ["naïve 😀", "\ud800 alone", "a\0b\u2028", "</script>"])
def test_any_text_comes_back(tmp_path, text):
    write_json(tmp_path / "a.json", {text: [text]})
    assert read_json(tmp_path / "a.json") == {text: [text]}
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {text: [text]}


def test_folders_are_made_as_needed(tmp_path):
    write_bytes(tmp_path / "a" / "b" / "c.bin", b"x")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"x"


def test_a_table_comes_back_with_its_types(tmp_path):
    table = pa.table(
        {"text": ["a", None, "ü"], "label": pa.array([0, 1, 2], pa.int32()), "row": [5, 6, 7]}
    )
    write_table(tmp_path / "train.parquet", table)
    assert read_table(tmp_path / "train.parquet").equals(table)


def test_a_new_file_has_the_mode_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
