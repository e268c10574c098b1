"""What lies on the disk, and what comes again: ours and Trainer's (R4, 10, 15, 17, 18, 19).

As in test_trainer_compared.py: both sides are measured, on the same model, rows and steps.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from nbtransfer.engine.checkpoints import newest_checkpoint
from nbtransfer.errors import RunError
from nbtransfer.runs import launch
from nbtransfer.runs.run import Run
from tests.engine.forks import preload
from tests.engine.jobs import start, work, work_until_killed, work_with_faults
from tests.faults import trainer_lives
from tests.faults.comparing import rows, same_bits, same_last_checkpoint
from tests.faults.no_sync import can_refuse_sync, refuse_sync
from tests.faults.trainer_lives import checkpoints, same_weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def forks():
    preload()


@pytest.fixture(scope="module")
def live(mini_model):
    """One life of the Trainer's job in a folder."""

    def live(folder, **how):
        return trainer_lives.live(mini_model, folder, **how)

    return live


@pytest.fixture(scope="module")
def trainer_clean(live, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trainer") / "clean"
    assert live(folder).error == ""
    return folder


# R4


def _work_without_sync(run_dir: str) -> None:
    refuse_sync()
    work(run_dir)


needs_filter = pytest.mark.skipif(not can_refuse_sync(), reason="no filter of system calls")


@needs_filter
def test_where_every_sync_fails_our_run_says_that_nothing_is_durable(tmp_path, make_job):
    run = make_job(tmp_path)
    start(run, _work_without_sync).join()
    assert run.status in ("failed", "lost")
    assert "Input/output error" in run.state().error_message + run.log()
    assert run.state().checkpoints == []


def _work_until_sync(run_dir: str) -> None:
    refuse_sync(deadly=True)
    work(run_dir)


@needs_filter
def test_where_a_sync_would_end_the_process_ours_ends(tmp_path, make_job):
    process = start(make_job(tmp_path), _work_until_sync)
    process.join()
    assert process.exitcode == -signal.SIGSYS


@needs_filter
def test_where_a_sync_would_end_the_process_trainer_saves_as_ever(tmp_path, live, trainer_clean):
    folder = tmp_path / "job"
    life = live(folder, fault="sync deadly:0")
    assert (life.exitcode, life.error, life.warnings, life.step) == (0, "", [], 12)
    assert checkpoints(folder) == ["checkpoint-12", "checkpoint-4", "checkpoint-8"]
    assert same_weights(folder, trainer_clean)


# R10


def _twenty_trainers(model: str, folder: str, answer: str) -> None:
    """Train 5 jobs and then 20, as cells run one after another; write what memory did meanwhile."""
    import torch

    from nbtransfer.engine.memory import release_memory

    def measure() -> tuple[float, int]:
        release_memory()
        tensors = sum(issubclass(type(found), torch.Tensor) for found in gc.get_objects())
        return psutil.Process().memory_info().rss / 1e6, tensors

    arguments = {"max_steps": 2, "save_strategy": "no"}
    for number in range(25):
        trainer_lives.make_trainer(model, folder, "", arguments).train()
        if number == 4:
            before = measure()
    Path(answer).write_text(json.dumps([before, measure()]))


def test_twenty_runs_of_trainer_leave_memory_flat_too(tmp_path, mini_model):
    """Ours: test_memory_returns.py."""
    answer = tmp_path / "memory.json"
    _forked(_twenty_trainers, mini_model, str(tmp_path / "job"), str(answer))
    before, after = json.loads(answer.read_text())
    assert after[0] <= before[0] + 30
    assert after[1] <= before[1]


def _forked(target, *arguments):
    process = multiprocessing.get_context("forkserver").Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


# R15


def _same_cell_twice(model: str, folder: str, answer: str) -> None:
    """Run a notebook's cell twice, without a seed and with one; write which came to the same."""
    import transformers

    def cell(seed: int | None) -> dict:
        if seed is not None:
            transformers.set_seed(seed)
        trainer = trainer_lives.make_trainer(model, folder, "", {"save_strategy": "no"})
        trainer.train()
        return trainer.model.state_dict()

    def same(a: dict, b: dict) -> bool:
        return all(bool((a[name] == b[name]).all()) for name in a)

    found = {"unseeded": same(cell(None), cell(None)), "seeded": same(cell(42), cell(42))}
    Path(answer).write_text(json.dumps(found))


def test_the_same_cell_again_gives_the_same_bits_with_us(tmp_path, make_job, clean):
    for name in ("once", "again"):
        run = make_job(tmp_path / name)
        assert work(str(run.dir))
        assert same_bits(run, clean)
        assert rows(run) == rows(clean)


def test_the_same_cell_again_gives_trainer_another_head_unless_seeded_before(tmp_path, mini_model):
    """Trainer sets its seed when it is made; the new head was drawn before."""
    answer = tmp_path / "same.json"
    _forked(_same_cell_twice, mini_model, str(tmp_path / "job"), str(answer))
    assert json.loads(answer.read_text()) == {"unseeded": False, "seeded": True}


# R17


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, which `subprocess` can make read-only."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def _make_read_only(disk):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def test_a_read_only_run_of_ours_is_refused_before_it_starts(disk, make_job):
    run = make_job(disk)
    start(run, work_until_killed, 9).join()
    _make_read_only(disk)
    with pytest.raises(RunError, match=r"Read-only file system.*Copy the folder"):
        launch.resume_run(run)


def test_trainer_resumes_in_a_read_only_folder_and_dies_at_its_first_save(disk, live):
    assert live(disk, fault="kill before step:7").exitcode == -signal.SIGKILL
    _make_read_only(disk)
    life = live(disk, resume=True)
    assert life.error.startswith("OSError: [Errno 30] Read-only file system")
    assert (life.step, len(life.batches)) == (8, 4)  # four steps taken and lost


def test_moved_both_go_on_to_the_same_bits(tmp_path, make_job, clean, live, trainer_clean):
    run = make_job(tmp_path)
    start(run, work_until_killed, 9).join()
    moved = Run(shutil.move(run.dir, tmp_path / "moved"))
    assert work(str(moved.dir)), moved.log()
    assert same_bits(moved, clean)
    assert same_last_checkpoint(moved, clean)
    assert live(tmp_path / "job", fault="kill before step:9").exitcode == -signal.SIGKILL
    shutil.move(tmp_path / "job", tmp_path / "other")
    life = live(tmp_path / "other", resume=True)
    assert (life.error, life.warnings) == ("", [])
    assert same_weights(tmp_path / "other", trainer_clean)


# R18


def test_killed_while_a_checkpoint_is_removed_both_go_on_from_a_newer_one(
    tmp_path, make_job, live, trainer_clean
):
    run = make_job(tmp_path, eval_steps=2)
    start(run, work_with_faults, "checkpoint.prune:1:kill").join()
    found = newest_checkpoint(run.paths.checkpoints_dir)
    assert run.status == "lost" and found.folder is not None and found.skipped == ()
    assert work(str(run.dir)), run.log()
    folder, one = tmp_path / "job", {"save_total_limit": 1}
    assert live(folder, fault="kill in pruning:1", **one).exitcode == -signal.SIGKILL
    assert not (folder / "checkpoint-4" / "model.safetensors").exists()
    life = live(folder, resume=True, **one)
    # Where two folders were written in the same tick it says that their times tell no order.
    assert (life.error, [w for w in life.warnings if "mtime" not in w]) == ("", [])
    assert checkpoints(folder) == ["checkpoint-12"]
    assert same_weights(folder, trainer_clean)


# R19


def _work_saving_other_weights(run_dir: str) -> None:
    """Train, with one weight of the saved model another on the disk than in memory."""
    from nbtransfer.engine import export
    from tests.faults.trainer_faults import change_one_weight

    write = export._write_model

    def written(training, step):
        write(training, step)
        change_one_weight(training.paths.model_dir)

    export._write_model = written
    work(run_dir, verify_in_process=False)


def test_a_model_that_was_saved_wrongly_fails_our_run(tmp_path, make_job):
    run = make_job(tmp_path)
    start(run, _work_saving_other_weights).join()
    assert run.status == "failed"
    assert not run.state().verified


def test_a_model_that_was_saved_wrongly_is_a_finished_run_with_trainer(tmp_path, live):
    folder = tmp_path / "job"
    life = live(folder, fault="other weights at save:3")
    assert (life.error, life.warnings, life.step) == ("", [], 12)
    saved = load_file(folder / "checkpoint-12" / "model.safetensors")
    assert not (saved["classifier.bias"] == trainer_lives.weights(folder)["classifier.bias"]).all()


def test_files_of_ours_follow_the_umask_and_trainers_weights_do_not(clean, trainer_clean):
    ours = [clean.paths.model_dir / "model.safetensors", *clean.paths.checkpoint(12).iterdir()]
    beside = trainer_clean / "checkpoint-12" / "config.json"  # written by Python, as the umask says
    wanted = stat.S_IMODE(beside.stat().st_mode)
    assert {stat.S_IMODE(path.stat().st_mode) for path in ours} == {wanted}
    weights = trainer_clean / "checkpoint-12" / "model.safetensors"
    assert stat.S_IMODE(weights.stat().st_mode) == 0o600
