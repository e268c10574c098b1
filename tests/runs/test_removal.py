"""Tests of nbtransfer.runs.store.remove_run: it takes the run, and nothing else."""

from __future__ import annotations

import shutil

import pytest

from nbtransfer.errors import RunError
from nbtransfer.runs.run import Run
from nbtransfer.runs.store import list_runs, open_run, remove_run
from nbtransfer.settings import options
from tests.runs.folders import begun, completed, make_run, snapshot, write_events


def test_removing_takes_the_run_and_nothing_else(runs_dir):
    make_run(runs_dir, "other")
    run = make_run(runs_dir)
    (run.dir / "checkpoints" / "step-000001").mkdir(parents=True)
    remove_run(run, runs_dir)
    assert [path.name for path in runs_dir.iterdir()] == ["other"]


def test_the_sessions_runs_folder_is_meant_where_none_is_given(runs_dir):
    run = make_run(runs_dir)
    options.runs_dir = str(runs_dir.parent)
    with pytest.raises(RunError, match="nothing was removed"):
        remove_run(run)
    options.runs_dir = str(runs_dir)
    remove_run(run)
    assert not run.dir.exists()


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_run_that_is_worked_on_is_not_removed(runs_dir, state):
    run = begun(make_run(runs_dir))
    if state == "paused":
        write_events(run, ("run_paused", {"step": 1}))
    with pytest.raises(RunError, match=f"is {state}. Stop it first: %runs stop calm-heron-0712"):
        remove_run(run, runs_dir)
    assert run.paths.spec.is_file()


def test_a_linked_run_is_shown_and_not_removed(runs_dir, tmp_path):
    real = make_run(tmp_path / "elsewhere", "real")
    (runs_dir / "linked").symlink_to(real.dir)
    before = snapshot(tmp_path)
    linked = open_run("linked", runs_dir)
    assert linked.id == "linked"
    with pytest.raises(RunError, match="nothing was removed"):
        remove_run(linked, runs_dir)
    assert snapshot(tmp_path) == before


def test_a_link_to_a_run_of_the_same_folder_is_not_removed(runs_dir):
    make_run(runs_dir, "real")
    (runs_dir / "alias").symlink_to(runs_dir / "real")
    before = snapshot(runs_dir)
    with pytest.raises(RunError, match="nothing was removed"):
        remove_run(Run(runs_dir / "alias"), runs_dir)
    assert snapshot(runs_dir) == before


def test_links_inside_a_run_are_unlinked_and_not_followed(runs_dir, tmp_path):
    run = make_run(runs_dir)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    (run.dir / "data" / "link").symlink_to(precious)
    remove_run(run, runs_dir)
    assert (precious / "file").read_text() == "x"
    assert not run.dir.exists()


def test_a_runs_folder_behind_a_link_is_one(runs_dir, tmp_path):
    make_run(runs_dir)
    link = tmp_path / "link"
    link.symlink_to(runs_dir)
    remove_run(open_run("calm-heron-0712", link), link)
    assert list(runs_dir.iterdir()) == []


def test_a_run_of_another_runs_folder_can_be_opened_but_not_removed_from_here(runs_dir, tmp_path):
    other = make_run(tmp_path / "runs2", "other")
    write_events(other, completed(1))
    opened = open_run(other.dir, runs_dir)
    assert opened.status == "completed"
    with pytest.raises(RunError, match="nothing was removed"):
        remove_run(opened, runs_dir)
    assert other.paths.spec.is_file()


def test_a_removal_that_is_broken_off_leaves_no_run(runs_dir, monkeypatch):
    run = make_run(runs_dir)

    def fail(path):
        raise OSError("broken off")

    monkeypatch.setattr(shutil, "rmtree", fail)
    with pytest.raises(OSError, match="broken off"):
        remove_run(run, runs_dir)
    assert list_runs(runs_dir) == []
