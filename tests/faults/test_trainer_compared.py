"""The same faults against this package and against transformers' Trainer (R3, 5, 6, 7, 11, 13).

What is asserted of Trainer was measured with transformers 5.23, torch 2.13 and accelerate 1.15; the
table in nbtransfer/README.md repeats it. Where one of these fails after an upgrade, Trainer behaves
otherwise now: measure again and change the table with the test.

Both train the mini model on 32 rows for 12 steps and save after steps 4, 8 and 12.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import time
from importlib.metadata import version

import pyarrow as pa
import pytest

from nbtransfer.engine.checkpoints import damage
from nbtransfer.runs.files import read_json, read_table, write_json, write_table
from nbtransfer.runs.run import Run
from tests.engine.forks import preload
from tests.engine.jobs import start, work, work_with_faults
from tests.faults import trainer_lives
from tests.faults.comparing import rows, same_bits, same_last_checkpoint
from tests.faults.trainer_lives import same_weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def forks():
    preload()
    print(f"transformers {version('transformers')}, accelerate {version('accelerate')}")


@pytest.fixture(scope="module")
def live(mini_model):
    """One life of the Trainer's job in a folder."""

    def live(folder, **how):
        return trainer_lives.live(mini_model, folder, **how)

    return live


@pytest.fixture(scope="module")
def trainer_clean(live, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trainer-clean")
    life = live(folder)
    assert (life.error, life.step) == ("", 12)
    return folder


@pytest.fixture(scope="module")
def trainer_killed(live, tmp_path_factory):
    """A Trainer job that was killed at step 11, with the checkpoints of steps 4 and 8."""
    folder = tmp_path_factory.mktemp("trainer-killed")
    assert live(folder, fault="kill before step:11").exitcode == -signal.SIGKILL
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == [
        "checkpoint-4",
        "checkpoint-8",
    ]
    return folder


@pytest.fixture
def trainer_folder(trainer_killed, tmp_path):
    return shutil.copytree(trainer_killed, tmp_path / "trainer")


def _work_until_killed(run_dir: str) -> None:
    """Train, and die by SIGKILL before step 11, once the checkpoint of step 8 is in its place."""
    from nbtransfer.engine.step import EagerStep

    take = EagerStep.__call__

    def taken(self, rows, step):
        if step + 1 == 11:
            while not Run(run_dir).paths.checkpoint(8).is_dir():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        return take(self, rows, step)

    EagerStep.__call__ = taken
    work(run_dir)


@pytest.fixture(scope="module")
def our_killed(make_job, tmp_path_factory):
    run = make_job(tmp_path_factory.mktemp("killed"))
    start(run, _work_until_killed).join()
    assert run.status == "lost"
    return run


@pytest.fixture
def ours(our_killed, tmp_path):
    """Our run that was killed at step 11, with the checkpoints of steps 4 and 8."""
    return Run(shutil.copytree(our_killed.dir, tmp_path / "ours"))


def _same(run, clean):
    return same_bits(run, clean) and same_last_checkpoint(run, clean) and rows(run) == rows(clean)


def _flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_undamaged_both_resume_to_the_same_bits(ours, clean, live, trainer_folder, trainer_clean):
    """What the faults below are measured against."""
    assert work(str(ours.dir)), ours.log()
    assert ours.state().resumed_from == 8
    assert _same(ours, clean)
    life = live(trainer_folder, resume=True)
    assert (life.error, life.warnings, life.step) == ("", [], 12)
    assert same_weights(trainer_folder, trainer_clean)


# R3


@pytest.mark.parametrize("point", ["model", "optimizer", "state", "manifest"])
def test_killed_in_a_save_our_run_goes_on_from_the_checkpoint_before(
    tmp_path, make_job, clean, point
):
    run = make_job(tmp_path)
    process = start(run, work_with_faults, f"checkpoint.{point}:2:kill")
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert work(str(run.dir)), run.log()
    assert run.state().resumed_from == 4
    assert _same(run, clean)


@pytest.mark.parametrize(
    ("point", "error"),
    [
        ("model", "ValueError: Can't find a valid checkpoint at"),
        ("optimizer", "FileNotFoundError: "),
        ("state", "FileNotFoundError: "),
    ],
)
def test_killed_in_a_save_trainer_takes_the_part_for_a_checkpoint_and_crashes(
    tmp_path, live, point, error
):
    life = live(tmp_path, fault=f"kill before {point}:2")
    assert life.exitcode == -signal.SIGKILL
    # The whole checkpoint of step 4 is there, but resume_from_checkpoint=True takes the highest
    # number, and goes no further until somebody removes that folder by hand.
    life = live(tmp_path, resume=True)
    assert life.error.startswith(error)
    assert "checkpoint-8" in life.error
    assert life.step == 0
    shutil.rmtree(tmp_path / "checkpoint-8")
    assert live(tmp_path, resume=True).error == ""


# R5


def test_a_full_disk_costs_our_run_one_checkpoint(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    start(run, work_with_faults, "checkpoint.optimizer:2:enospc").join()
    state = run.state()
    assert run.status == "completed", state.error_message
    assert any("step 8" in row.headline for row in state.warnings)
    assert rows(run) == rows(clean)
    assert same_last_checkpoint(run, clean)
    assert damage(run.paths.checkpoint(12)) is None
    assert not list(run.paths.checkpoints_dir.glob(".staging-*"))


def test_a_full_disk_ends_trainers_training_and_blocks_its_resume(tmp_path, live):
    life = live(tmp_path, fault="disk full at optimizer:2")
    assert life.error == "OSError: [Errno 28] No space left on device"
    assert life.step == 8
    # With space again: the part that is left is taken for the newest checkpoint.
    assert live(tmp_path, resume=True).error.startswith("FileNotFoundError: ")
    shutil.rmtree(tmp_path / "checkpoint-8")
    assert live(tmp_path, resume=True).error == ""  # from the older one, which is as it was


# R6


def test_a_flipped_bit_is_found_by_us(ours, clean):
    _flip_a_bit(ours.paths.checkpoint(8) / "model.safetensors")
    assert work(str(ours.dir)), ours.log()
    assert ours.state().skipped_checkpoints == [
        ("step-000008", "model.safetensors differs from its sha256")
    ]
    assert ours.state().resumed_from == 4
    assert _same(ours, clean)


def test_a_flipped_bit_is_trained_on_by_trainer(live, trainer_folder, trainer_clean):
    _flip_a_bit(trainer_folder / "checkpoint-8" / "model.safetensors")
    life = live(trainer_folder, resume=True)
    assert (life.error, life.warnings, life.step) == ("", [], 12)
    assert not same_weights(trainer_folder, trainer_clean)


# R7


def _reverse_rows(run):
    path = run.paths.split("train")
    table = read_table(path)
    write_table(path, table.take(list(reversed(range(table.num_rows)))))


def _swap_labels(run):
    path = run.paths.split("train")
    table = read_table(path)
    at = table.column_names.index("label")
    swapped = pa.array([1 - label for label in table["label"].to_pylist()], pa.int32())
    write_table(path, table.set_column(at, "label", swapped))


def _change_rate(run):
    plan = read_json(run.paths.plan)
    write_json(run.paths.plan, {**plan, "learning_rate": 1e-4})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_reverse_rows, "train rows"),
        (_swap_labels, "train rows"),
        (_change_rate, "learning_rate 0.003 -> 0.0001"),
    ],
)
def test_another_job_is_refused_by_us(ours, change, named):
    change(ours)
    assert not work(str(ours.dir))
    assert named in Run(ours.dir).state().error_message


@pytest.mark.parametrize("rows", ["reversed", "relabelled"])
def test_other_data_is_trained_on_by_trainer(live, trainer_folder, trainer_clean, rows):
    life = live(trainer_folder, resume=True, rows=rows)
    assert (life.error, life.warnings, life.step) == ("", [], 12)
    assert not same_weights(trainer_folder, trainer_clean)


def test_another_learning_rate_is_dropped_by_trainer(live, trainer_folder, trainer_clean):
    life = live(trainer_folder, resume=True, learning_rate=1e-4)
    assert (life.error, life.warnings, life.step) == ("", [], 12)
    # The old rate's schedule goes on as if nothing had been given.
    assert life.rates[9] == pytest.approx(3e-3 * 4 / 12)
    assert same_weights(trainer_folder, trainer_clean)


def test_another_batch_size_is_warned_of_by_trainer(live, trainer_folder):
    life = live(trainer_folder, resume=True, per_device_train_batch_size=4)
    assert (life.error, life.step) == ("", 12)
    assert len(life.warnings) == 1
    assert "per_device_train_batch_size: 4 (from args) != 8" in life.warnings[0]


# R11


def test_out_of_memory_leaves_our_steps_as_they_were(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    start(run, work_with_faults, "step.forward:6:oom").join()
    assert run.status == "completed", run.state().error_message
    steps, undisturbed = run.state().steps, clean.state().steps
    assert [row.num_examples for row in steps] == [8] * 12
    assert [row.learning_rate for row in steps] == [row.learning_rate for row in undisturbed]
    assert [row.loss for row in steps[:5]] == [row.loss for row in undisturbed[:5]]


def test_out_of_memory_leaves_trainer_another_batch_and_half_a_start(tmp_path, live, trainer_clean):
    life = live(tmp_path / "a", fault="out of memory at step:6")
    assert life.error.startswith("OutOfMemoryError: ")
    life = live(tmp_path / "b", fault="out of memory at step:6", auto_find_batch_size=True)
    assert (life.error, life.warnings, life.step) == ("", [], 12)
    # Five steps of 8 rows, then all 12 steps anew with 7 rows, the optimizer's batch too.
    assert life.batches[:6] == [8, 8, 8, 8, 8, 7]
    assert len(life.batches) == 5 + 12
    assert set(life.batches[5:]) == {7, 4}  # 32 rows are four times 7, and 4
    # The weights of the first five steps are kept: it is no run begun with 7 rows either.
    begun = live(tmp_path / "c", per_device_train_batch_size=7)
    assert begun.log[0]["loss"] != life.log[0]["loss"]
    assert not same_weights(tmp_path / "b", tmp_path / "c")


# R13


def _work_until_nan(run_dir: str, at_step: int) -> None:
    """Train; before the step of that number one weight of the head is no number any more."""
    from nbtransfer.engine.step import EagerStep

    take = EagerStep.__call__

    def taken(self, rows, step):
        if step + 1 == at_step:
            self._model.classifier.bias.data[0] = float("nan")
        return take(self, rows, step)

    EagerStep.__call__ = taken
    work(run_dir)


def test_nan_stops_our_run_and_no_checkpoint_holds_it(tmp_path, make_job):
    run = make_job(tmp_path)
    start(run, _work_until_nan, 6).join()
    state = run.state()
    assert run.status == "failed"
    assert state.error_type == "TrainingDiverged"
    assert "step 6" in state.error_message
    assert math.isnan(state.steps[-1].loss)
    assert state.steps[-1].step == 6
    kept = [path.name for path in run.paths.checkpoints_dir.glob("step-*")]
    assert kept == ["step-000004"]


def test_nan_is_trained_on_and_logged_as_zero_by_trainer(tmp_path, live):
    life = live(tmp_path, fault="nan at step:6")
    assert (life.error, life.warnings, life.step) == ("", [], 12)
    losses = [row["loss"] for row in life.log]
    assert all(loss > 0.5 for loss in losses[:5])
    assert losses[5:] == [0.0] * 7
    assert all(tensor.isnan().any() for tensor in trainer_lives.weights(tmp_path).values())
    assert (tmp_path / "checkpoint-12").is_dir()
