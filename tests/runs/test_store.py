"""Tests of nbtransfer.runs.store: runs are made, found and removed in their folder only."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import stat
from pathlib import Path

import pytest

from nbtransfer.errors import RunError, SpecError
from nbtransfer.runs import store
from nbtransfer.runs.files import read_json, read_table
from nbtransfer.runs.run import Run
from nbtransfer.runs.store import list_runs, new_run_name, open_run, remove_run
from tests.runs.attacks import BAD_NAMES, DEVICE_NAMES
from tests.runs.folders import (
    DATA_CARD,
    MODEL_CARD,
    PLAN,
    SPLITS,
    begun,
    make_run,
    snapshot,
)


@pytest.fixture
def outside(tmp_path):
    """A world around the runs folder that looks worth destroying; returns it."""
    world = tmp_path / "world"
    (world / "runs").mkdir(parents=True)
    for name in ("victim", "runs2", "runs-old/x", "etc"):
        folder = world / name
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text('{"model": "m", "data": "d"}')
        (folder / "precious.txt").write_text("precious")
    (world / "spec.json").write_text('{"model": "m", "data": "d"}')
    return world


def around(world: Path) -> dict[str, tuple[int, bytes]]:
    runs = str(world / "runs") + os.sep
    return {name: what for name, what in snapshot(world).items() if not name.startswith(runs)}


# Making


def test_a_new_run_holds_what_was_asked_decided_and_read(runs_dir):
    run = make_run(runs_dir, seed=7)
    assert run.dir == runs_dir / "calm-heron-0712"
    assert (run.spec.model, run.spec.seed, run.spec.name) == ("demo:minilm", 7, "calm-heron-0712")
    assert run.plan == PLAN
    assert run.data_card == DATA_CARD
    assert run.model_card == MODEL_CARD
    assert read_table(run.paths.split("train")).equals(SPLITS["train"])
    assert read_table(run.paths.split("validation")).equals(SPLITS["validation"])
    assert read_json(run.paths.spec)["v"] == 1


def test_a_run_without_a_name_gets_one_that_its_spec_knows(runs_dir):
    run = make_run(runs_dir, name=None)
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d{4}", run.id)
    assert run.spec.name == run.id


def test_the_runs_folder_is_made_if_it_is_not_there(tmp_path):
    run = make_run(tmp_path / "deep" / "runs")
    assert run.paths.spec.is_file()


def test_drawn_names_do_not_depend_on_the_users_seed(runs_dir):
    names = set()
    for _ in range(5):
        random.seed(1)
        names.add(new_run_name(runs_dir))
    assert len(names) > 1


def test_a_name_that_is_taken_is_not_drawn(runs_dir, monkeypatch):
    monkeypatch.setattr(store, "_MOODS", ["calm"])
    monkeypatch.setattr(store, "_BIRDS", ["owl"])
    drawn = iter([5, 5, 6])
    monkeypatch.setattr(random.SystemRandom, "randrange", lambda self, n: next(drawn))
    (runs_dir / "calm-owl-0005").mkdir()
    assert new_run_name(runs_dir) == "calm-owl-0006"


def test_a_taken_name_is_refused_and_the_run_there_left_alone(runs_dir):
    run = make_run(runs_dir)
    before = snapshot(runs_dir)
    with pytest.raises(SpecError, match=r"Choose another --name, go on with it by --resume calm"):
        make_run(runs_dir, seed=3)
    assert snapshot(runs_dir) == before
    assert run.spec.seed == 42


def test_a_link_in_the_place_of_a_new_run_is_not_followed(runs_dir, tmp_path):
    target = tmp_path / "elsewhere"
    (runs_dir / "dangling").symlink_to(target)
    with pytest.raises(SpecError, match="already there"):
        make_run(runs_dir, "dangling")
    assert not target.exists()


@pytest.mark.parametrize("place", ["runs", "runs/deeper"])
def test_a_runs_folder_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(SpecError, match=r"cannot be written .*Choose another with --runs-dir") as e:
        make_run(tmp_path / place)
    assert repr(str(tmp_path / place))[:30] in str(e.value)
    assert (tmp_path / "runs").read_text() == "a file"


@pytest.mark.parametrize("files_before", range(6))
def test_a_disk_that_fills_up_leaves_no_half_made_run(runs_dir, monkeypatch, files_before):
    other = make_run(runs_dir, "other")
    left = [files_before]
    fsync = os.fsync

    def full(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            if left[0] == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left[0] -= 1
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpecError, match="No space left on device"):
        make_run(runs_dir)
    assert [path.name for path in runs_dir.iterdir()] == ["other"]
    assert [run.id for run in list_runs(runs_dir)] == [other.id]


def test_an_interrupt_leaves_no_half_made_run_and_its_name_free(runs_dir, monkeypatch):
    def interrupted(path, record):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_run(runs_dir)
    assert list(runs_dir.iterdir()) == []
    make_run(runs_dir)


def test_the_spec_is_written_last_so_that_a_half_made_folder_is_no_run(runs_dir, monkeypatch):
    written = []
    for name in ("write_json", "write_table"):
        write = getattr(store, name)
        monkeypatch.setattr(
            store, name, lambda p, x, write=write: (written.append(p.name), write(p, x))
        )
    make_run(runs_dir)
    assert written[-1] == "spec.json"
    assert set(written[:-1]) == {
        "train.parquet",
        "validation.parquet",
        "card.json",
        "model_card.json",
        "plan.json",
    }


@pytest.mark.parametrize("name", [*BAD_NAMES, *DEVICE_NAMES])
def test_no_name_makes_a_run_outside_the_runs_folder(outside, name, monkeypatch):
    monkeypatch.chdir(outside)
    before = snapshot(outside)
    if name == "":  # no name: one is drawn
        make_run(outside / "runs", name)
        assert around(outside) == {k: v for k, v in before.items() if "/runs/" not in k}
        return
    with pytest.raises(SpecError, match="cannot name a run"):
        make_run(outside / "runs", name)
    assert snapshot(outside) == before


# Listing


def test_runs_are_listed_newest_first(runs_dir):
    for age, name in ((30, "old"), (10, "new"), (20, "middle")):
        os.utime(make_run(runs_dir, name).paths.spec, (1e9 - age, 1e9 - age))
    assert [run.id for run in list_runs(runs_dir)] == ["new", "middle", "old"]


def test_a_run_that_is_removed_as_they_are_listed_is_left_out(runs_dir, monkeypatch):
    make_run(runs_dir, "stays")
    going = make_run(runs_dir, "goes")
    is_file = Path.is_file

    def looked_at(path):
        found = is_file(path)
        if path == going.paths.spec:
            path.unlink()
        return found

    monkeypatch.setattr(Path, "is_file", looked_at)
    assert [run.id for run in list_runs(runs_dir)] == ["stays"]


def test_a_run_that_two_kernels_remove_is_removed(runs_dir, monkeypatch):
    run = make_run(runs_dir)
    held = Run.held

    def late(self):
        shutil.rmtree(self.dir)
        return held(self)

    monkeypatch.setattr(Run, "held", late)
    remove_run(run, runs_dir)
    assert list_runs(runs_dir) == []


def test_a_run_that_is_resumed_as_it_is_to_be_removed_stays(runs_dir, monkeypatch):
    run = make_run(runs_dir)
    held = Run.held

    def late(self):
        begun(self)
        return held(self)

    monkeypatch.setattr(Run, "held", late)
    with pytest.raises(RunError, match=r"is running\. Stop it first"):
        remove_run(run, runs_dir)
    assert run.paths.plan.is_file()


def test_what_is_no_run_is_not_listed(runs_dir):
    make_run(runs_dir, "run")
    (runs_dir / "empty").mkdir()
    (runs_dir / "file").write_text("x")
    (runs_dir / "link").symlink_to(runs_dir / "nowhere")
    (runs_dir / "odd" / "spec.json").mkdir(parents=True)
    assert [run.id for run in list_runs(runs_dir)] == ["run"]


def test_no_runs_folder_is_no_runs(tmp_path):
    assert list_runs(tmp_path / "none") == []
    (tmp_path / "file").write_text("x")
    assert list_runs(tmp_path / "file") == []


# Opening


def test_a_run_is_opened_by_name_folder_or_itself(runs_dir):
    run = make_run(runs_dir)
    for reference in (run.id, str(run.dir), run.dir, run.dir / ".." / run.id):
        assert open_run(reference, runs_dir).dir == run.dir
    assert open_run(run, runs_dir) is run


def test_none_is_the_newest_run(runs_dir):
    os.utime(make_run(runs_dir, "old").paths.spec, (1, 1))
    make_run(runs_dir, "new")
    assert open_run(None, runs_dir).id == "new"


def test_a_folder_relative_to_the_working_folder_is_found(runs_dir, monkeypatch):
    run = make_run(runs_dir)
    monkeypatch.chdir(runs_dir.parent)
    assert open_run(f"{runs_dir.name}/{run.id}", runs_dir / "other").dir == run.dir


def test_the_runs_folder_comes_before_the_working_folder(runs_dir, tmp_path, monkeypatch):
    run = make_run(runs_dir, "twin")
    make_run(tmp_path, "twin")
    monkeypatch.chdir(tmp_path)
    assert open_run("twin", runs_dir).dir == run.dir


def test_an_unknown_name_lists_the_runs_and_offers_the_nearest(runs_dir):
    make_run(runs_dir, "calm-heron-0712")
    with pytest.raises(RunError, match=r"Runs: calm-heron-0712\. Did you mean 'calm-heron-0712'\?"):
        open_run("calm-heron-0721", runs_dir)


def test_an_empty_runs_folder_says_how_to_start_a_run(runs_dir):
    with pytest.raises(RunError, match="Start one: %finetune MODEL DATA"):
        open_run(None, runs_dir)
    with pytest.raises(RunError, match="There are no runs yet"):
        open_run("calm-heron", runs_dir)


@pytest.mark.parametrize("reference", [3, 1.5, b"x", ["x"], object])
def test_what_cannot_name_a_run_is_refused(runs_dir, reference):
    with pytest.raises(RunError, match=r"give a Run, a run's name or its folder"):
        open_run(reference, runs_dir)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_no_name_opens_and_removes_what_lies_outside(outside, name, monkeypatch):
    monkeypatch.chdir(outside / "runs")
    before = snapshot(outside)
    try:
        run = open_run(name, outside / "runs")
    except RunError as error:
        assert len(str(error)) < 300
    else:
        with pytest.raises(RunError, match="nothing was removed"):
            remove_run(run, outside / "runs")
    assert snapshot(outside) == before


@pytest.mark.parametrize("make", ["loop", "dangling"])
def test_a_link_to_nowhere_is_no_run(runs_dir, make):
    link = runs_dir / "link"
    link.symlink_to("link" if make == "loop" else "gone")
    with pytest.raises(RunError, match="no run 'link'"):
        open_run("link", runs_dir)
    with pytest.raises(RunError, match="no run"):
        open_run(link, runs_dir)
