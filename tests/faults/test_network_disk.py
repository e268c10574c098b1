"""Disks that cannot rename or sync, go away or may only be read: a clear outcome each (R5, R17)."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from safetensors.torch import load_file

from nbtransfer import api
from nbtransfer.engine.checkpoints import damage, newest_checkpoint
from nbtransfer.errors import RunError, SpecError
from nbtransfer.panels.record import record_bundles
from nbtransfer.runs import launch
from nbtransfer.runs.faults import plan_faults
from nbtransfer.runs.run import Run
from tests.engine.asking import answer_here
from tests.engine.jobs import start, work, work_until_killed
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_faults_left():
    yield
    plan_faults("")


@pytest.fixture
def submitted(monkeypatch):
    """Runs handed to a worker, which does not come."""
    handed = []
    monkeypatch.setattr(launch, "_hand_over", lambda run, *, restart: handed.append(run))
    return handed


def _warnings(run, code):
    return [e for e in run.events() if e["type"] == "warning_raised" and e["code"] == code]


def _assert_same(run, clean):
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert rows(run) == rows(clean)


# A disk that cannot rename folders


def test_a_run_is_not_created_where_folders_cannot_be_renamed(tmp_path, make_job):
    plan_faults("folder.rename:1:enotsup")
    with pytest.raises(SpecError, match=r"cannot be written \(Operation not supported\)") as caught:
        make_job(tmp_path / "runs")
    assert "--runs-dir" in str(caught.value)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_run_is_not_resumed_where_folders_cannot_be_renamed(tmp_path, make_job, submitted):
    run = make_job(tmp_path)
    start(run, work_until_killed, 5).join()
    plan_faults("folder.rename:1:enotsup")
    with pytest.raises(RunError, match=r"Operation not supported.*Copy the folder"):
        launch.resume_run(run)
    assert submitted == []
    launch.resume_run(run)
    assert submitted == [run]
    assert not list(run.dir.glob(".probe*"))


@pytest.mark.parametrize("error", ["enotsup", "exdev", "eio"])
def test_checkpoints_that_cannot_take_their_place_are_warnings(tmp_path, make_job, clean, error):
    run = make_job(tmp_path)
    plan_faults(f"checkpoint.rename:2+:{error}")
    assert work(str(run.dir)), run.log()
    _assert_same(run, clean)
    assert newest_checkpoint(run.paths.checkpoints_dir) == (run.paths.checkpoint(4), ())
    warnings = _warnings(run, "checkpoint_failed")
    assert len(warnings) >= 2
    for warning in warnings:
        assert "Training goes on, and earlier checkpoints are whole" in warning["advice"]
        assert "MB" not in warning["advice"], "space is not what is missing"
    assert not list(run.paths.checkpoints_dir.glob(".staging*"))


def test_a_model_that_cannot_take_its_place_lies_whole_beside_it(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    plan_faults("export.rename:1:exdev")
    assert not work(str(run.dir))
    state = run.state()
    assert (run.status, state.error_type) == ("failed", "NotWritten")
    assert "it lies whole in .model.part" in state.error_message
    assert "Invalid cross-device link" in state.error_message
    assert f"%finetune --resume {run.id}" in state.error_message
    left = load_file(run.dir / ".model.part" / "model.safetensors")
    kept = load_file(clean.paths.model_dir / "model.safetensors")
    assert all((left[name] == kept[name]).all() for name in kept)
    assert work(str(run.dir)), run.log()
    _assert_same(run, clean)
    assert not list(run.dir.glob(".model*"))


# A disk that cannot sync


def test_where_nothing_can_be_made_durable_the_run_says_so_once(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    plan_faults("sync:1+:einval")
    assert work(str(run.dir)), run.log()
    _assert_same(run, clean)
    assert same_last_checkpoint(run, clean)
    (warning,) = _warnings(run, "no_sync")
    assert "cannot make files durable" in warning["headline"]


def test_a_sync_that_fails_is_no_checkpoint(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    plan_faults("checkpoint.sync:4:eio")
    assert work(str(run.dir)), run.log()
    _assert_same(run, clean)
    assert [row.step for row in run.state().checkpoints] == [4, 12]
    assert len(_warnings(run, "checkpoint_failed")) == 1


# A disk that goes away


@pytest.mark.parametrize("fault", ["control.read:3:estale", "control.read:2+:eio"])
def test_wishes_that_cannot_be_read_now_do_not_end_the_training(tmp_path, make_job, clean, fault):
    run = make_job(tmp_path)
    plan_faults(fault)
    assert work(str(run.dir)), run.log()
    _assert_same(run, clean)


@pytest.mark.parametrize("count", [9, 20])
def test_a_log_that_cannot_be_written_loses_the_worker_and_no_work(
    tmp_path, make_job, clean, count
):
    run = make_job(tmp_path)
    start(run, _work_without_log, count).join()
    assert run.status == "lost"
    with pytest.raises(RunError, match=f"--resume {run.reference}"):
        run.raise_if_failed()
    assert work(str(run.dir)), run.log()
    _assert_same(run, clean)
    assert same_last_checkpoint(run, clean)


def _work_without_log(run_dir, count):
    plan_faults(f"event:{count}+:eio")
    work(run_dir)


def test_a_checkpoint_that_cannot_be_read_is_skipped_with_the_reason(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    start(run, work_until_killed, 10).join()
    plan_faults("damage.read:1:eio")
    assert work(str(run.dir)), run.log()
    _assert_same(run, clean)
    assert run.state().resumed_from == 4
    assert run.state().skipped_checkpoints == [
        ("step-000008", "model.safetensors cannot be read (Input/output error)")
    ]


# A folder that may only be read


@pytest.fixture
def read_only(tmp_path, make_job):
    """A maker of runs on a file system that is read-only once `work` on them is done."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system is not allowed here")

    def make(do):
        run = make_job(disk)
        do(run)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        return Run(run.dir)

    yield make
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_read_only_run_is_shown_and_asked_but_not_resumed(read_only, submitted, monkeypatch):
    run = read_only(lambda run: work(str(run.dir)))
    assert run.status == "completed"
    card = next(iter(record_bundles(run, run.status))).data["text/plain"]
    assert "Kept: the best model" in card
    assert api.evaluate(run).num_rows == 8
    answer_here(monkeypatch)
    assert len(api.predict(run, ["a film", "a meal"])) == 2
    with pytest.raises(RunError, match=r"cannot be written \(Read-only.*Copy the run's folder"):
        api.evaluate(run, split="train")
    with pytest.raises(RunError, match=r"Read-only file system.*Copy the folder"):
        api.resume_run(run, changes={"epochs": 5}, allow=True)
    assert submitted == []
    assert run.spec.num_train_epochs == 3


def test_a_read_only_run_that_was_stopped_goes_on_as_a_copy(read_only, submitted, tmp_path, clean):
    run = read_only(lambda run: start(run, work_until_killed, 9).join())
    assert run.status == "lost"
    with pytest.raises(RunError, match=r"Read-only file system.*Copy the folder"):
        launch.resume_run(run)
    copy = Run(shutil.copytree(run.dir, tmp_path / "copy"))
    launch.resume_run(copy)
    assert submitted == [copy]
    assert work(str(copy.dir)), copy.log()
    _assert_same(copy, clean)
    assert same_last_checkpoint(copy, clean)
    assert damage(run.paths.checkpoint(8)) is None
