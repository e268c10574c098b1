"""A full disk costs a checkpoint, never a good one and never the run (promise R5)."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess

import pytest

from nbtransfer.engine.checkpoints import damage, newest_checkpoint
from nbtransfer.runs.events import read_events
from nbtransfer.runs.faults import plan_faults
from tests.engine.jobs import make_run, start, with_all_words, work, work_until_killed
from tests.faults.comparing import rows, same_bits

pytestmark = pytest.mark.slow

_ALL = os.environ.get("NBTRANSFER_ALL_FAULTS") == "1"
_SIZES = re.compile(r"needs ([\d,.]+) MB and ([\d,.]+) MB are free")


@pytest.fixture(scope="module")
def make_job(make_job):
    """Its checkpoints take 6 MB, which a disk can be too small for: all words are trained."""
    return lambda runs_dir, **keywords: with_all_words(make_job(runs_dir, **keywords))


@pytest.fixture(scope="module")
def clean(make_job, tmp_path_factory):
    """The job, never disturbed."""
    run = make_job(tmp_path_factory.mktemp("clean"))
    assert work(str(run.dir))
    return run


@pytest.fixture(autouse=True)
def no_faults_left():
    yield
    plan_faults("")


def _warnings(run):
    """Those of checkpoints that could not be written."""
    return [e for e in run.events() if e.get("code") == "checkpoint_failed"]


def _fill(ballast):
    """Leave no space on a disk."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(65536)):
            pass


def _sizes(text):
    """The megabytes needed and free."""
    needed, free = _SIZES.search(text).groups()
    return float(needed.replace(",", "")), float(free.replace(",", ""))


# The points of one save, in their order; a save reaches `sync` three times.
_POINTS = ["staging", "model", "optimizer", "state", "sync", "manifest", "manifest_sync"]
_POINTS += ["folder", "rename", "parent"]


@pytest.mark.parametrize("point", _POINTS)
def test_a_checkpoint_that_finds_no_space_leaves_the_one_before(tmp_path, make_job, clean, point):
    run = make_job(tmp_path)
    # Its second save fails.
    plan_faults(f"checkpoint.{point}:{4 if point == 'sync' else 2}:enospc")
    assert work(str(run.dir)), run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert rows(run) == rows(clean)
    saved = [row.step for row in run.state().checkpoints]
    assert saved == [4, 12]
    (warning,) = _warnings(run)
    assert warning["headline"] == (
        "The checkpoint of step 8 could not be written: No space left on device."
    )
    assert _sizes(warning["advice"])[0] > 5
    assert damage(run.paths.checkpoint(12)) is None
    left = {path.name for path in run.paths.checkpoints_dir.iterdir()}
    assert not [name for name in left if name.startswith(".")]


def test_a_disk_that_has_become_too_small_since_is_told_on_resuming(
    tmp_path, make_job, monkeypatch
):
    run = make_job(tmp_path)
    start(run, work_until_killed, 6).join()
    usage = shutil.disk_usage(run.dir)._replace(free=5_000_000)
    monkeypatch.setattr("nbtransfer.engine.disk.shutil.disk_usage", lambda folder: usage)
    assert work(str(run.dir)), run.log()
    (warning,) = [w for w in run.state().warnings if w.code == "disk_space"]
    assert re.search(
        r"has 5\.0 MB free; one more checkpoint and the model take about \d", warning.headline
    )


@pytest.fixture
def small_disk(tmp_path):
    """A maker of file systems of so many megabytes."""
    mounted = []

    def make(megabytes):
        folder = tmp_path / "disk"
        folder.mkdir()
        options = ["-o", f"size={megabytes}m"]
        done = subprocess.run(
            ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True
        )
        if done.returncode != 0:
            pytest.skip("mounting a small file system is not allowed here")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_on_a_small_disk_training_goes_on_without_further_checkpoints(small_disk, make_job, clean):
    run = make_job(small_disk(15))  # two checkpoints of 6 MB and no third
    assert work(str(run.dir)), run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert rows(run) == rows(clean)
    assert [row.step for row in run.state().checkpoints] == [4, 8]
    assert newest_checkpoint(run.paths.checkpoints_dir) == (run.paths.checkpoint(8), ())
    assert not list(run.paths.checkpoints_dir.glob(".staging*"))
    for warning in _warnings(run):
        assert "No space left on device" in warning["headline"]
        needed, free = _sizes(warning["advice"])
        assert free < needed
    assert [w.code for w in run.state().warnings].count("checkpoint_failed") == 1


def test_a_disk_full_at_the_end_fails_in_words_and_goes_on_once_there_is_space(
    small_disk, make_job, clean
):
    disk = small_disk(40)
    run = make_job(disk)
    ballast = disk / "ballast"
    from nbtransfer.engine.train import Training

    finish = Training.finish

    def fill_up_first(self):
        self.announce(wait=True)
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        ballast.write_bytes(bytes(free - 500_000))
        finish(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "finish", fill_up_first)
        assert not work(str(run.dir))
    state = run.state()
    assert run.status == "failed"
    assert state.error_type == "DiskFull"
    assert "the trained model and its report could not be written" in state.error_message
    assert f"%finetune --resume {run.id}" in state.error_message
    needed, free = _sizes(state.error_message)
    assert free < needed
    assert not list(run.dir.glob(".model*")), "half a model takes the last space"
    ballast.unlink()
    assert work(str(run.dir)), run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert rows(run) == rows(clean)


@pytest.mark.parametrize(
    "point", [f"file.*:{n}" for n in (range(1, 13) if _ALL else (2, 3, 7, 12))] + ["export.*:1"]
)
def test_no_space_for_any_file_fails_in_words_and_goes_on_later(tmp_path, make_job, clean, point):
    run = make_job(tmp_path)
    plan_faults(f"{point}:enospc")
    assert not work(str(run.dir))
    state = run.state()
    assert run.status == "failed"
    assert re.search(r"[\d.]+ MB are free", state.error_message + state.error_advice)
    assert "%runs rm NAME" in state.error_message + state.error_advice
    plan_faults("")
    assert work(str(run.dir)), run.log()
    assert same_bits(run, clean)
    assert rows(run) == rows(clean)


def test_a_log_that_finds_no_space_gets_its_lines_later(small_disk, mini_model, tmp_path):
    disk = small_disk(60)
    run = make_run(disk, model=mini_model, num_train_epochs=3, num_rows=40)
    ballast = disk / "ballast"
    from nbtransfer.engine.step import EagerStep

    take = EagerStep.__call__

    def fill_and_free(self, rows_, step):
        if step == 5:
            _fill(ballast)
        if step == 7:
            ballast.unlink()
        return take(self, rows_, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EagerStep, "__call__", fill_and_free)
        patch.setattr("nbtransfer.engine.steplog._FLUSH_EVERY_S", 0.0)
        assert work(str(run.dir)), run.log()
    events = list(read_events(run.paths.events))
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert [row.step for row in run.state().steps] == list(range(1, 13))


@pytest.mark.parametrize("first", [30, 1])
def test_a_worker_whose_log_stays_full_says_so_by_leaving(
    tmp_path, make_job, clean, first, monkeypatch
):
    """Its log has no ending: were it to wait for another job, the run would be running for ever."""
    monkeypatch.setattr("nbtransfer.runs.events._TRY_EVERY_S", 0.0)
    run = make_job(tmp_path)
    plan_faults(f"event:{first}+:enospc")
    assert not work(str(run.dir))
    assert run.state().ending is None
    plan_faults("")
    assert work(str(run.dir)), run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert rows(run) == rows(clean)
