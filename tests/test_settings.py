"""Tests of nbtransfer.settings: where the runs folder is."""

from __future__ import annotations

from pathlib import Path

from nbtransfer.settings import options, resolve_runs_dir


def test_the_argument_outranks_the_option_and_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NBTRANSFER_RUNS_DIR", str(tmp_path / "variable"))
    options.runs_dir = str(tmp_path / "option")
    assert resolve_runs_dir(tmp_path / "argument") == tmp_path / "argument"
    assert resolve_runs_dir(str(tmp_path / "argument")) == tmp_path / "argument"


def test_the_option_outranks_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NBTRANSFER_RUNS_DIR", str(tmp_path / "variable"))
    options.runs_dir = str(tmp_path / "option")
    assert resolve_runs_dir() == tmp_path / "option"


def test_the_environment_outranks_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("NBTRANSFER_RUNS_DIR", str(tmp_path / "variable"))
    assert resolve_runs_dir() == tmp_path / "variable"


def test_runs_lie_in_the_working_folder_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("NBTRANSFER_RUNS_DIR")
    monkeypatch.chdir(tmp_path)
    assert resolve_runs_dir() == tmp_path / "runs"


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_runs_dir("~/runs") == tmp_path / "runs"


def test_the_answer_is_absolute_so_that_a_later_chdir_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = resolve_runs_dir(Path("here"))
    assert found.is_absolute()
    assert found == tmp_path / "here"


def test_asking_creates_no_folder(tmp_path):
    assert not resolve_runs_dir(tmp_path / "new").exists()
