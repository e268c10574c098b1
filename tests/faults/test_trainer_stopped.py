"""What is stopped or started twice: this package and transformers' Trainer (R8, 9, 12, 14, 16).

As in test_trainer_compared.py: both sides are measured, on the same model, rows and steps.
"""

from __future__ import annotations

import re
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from nbtransfer.engine.checkpoints import damage
from nbtransfer.errors import RunError
from nbtransfer.models.load import load_finetuned
from nbtransfer.runs import launch
from nbtransfer.runs.control import change_control
from nbtransfer.runs.run import Run
from tests.engine.forks import preload
from tests.engine.jobs import start, work, work_with_faults
from tests.faults import trainer_lives
from tests.faults.comparing import rows, same_bits, same_last_checkpoint
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


def _assert_stopped_and_usable(run, step):
    state = run.state()
    assert (run.status, state.step) == ("stopped", step), run.log()
    assert damage(run.paths.checkpoint(step)) is None
    assert any(row.step == step for row in state.evaluations)
    assert state.verified
    load_finetuned(run.paths.model_dir, "AutoModelForSequenceClassification")


def _assert_goes_on_to_the_same(run, clean):
    change_control(run.paths.control, stop=None, paused=False)  # as resuming does
    assert work(str(run.dir)), run.log()
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)


# R8


def _work_interrupted(run_dir: str, point: str) -> None:
    """Train; the kernel's Interrupt comes at a point. It reaches a worker as a wish, never as a
    signal: the worker is in a session of its own."""
    from nbtransfer.runs import faults

    faults._strike = lambda *_: Run(run_dir).stop(reason="interrupt")
    work_with_faults(run_dir, f"{point}:raise")


def test_interrupted_within_a_step_our_run_has_a_checkpoint_and_a_model(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    start(run, _work_interrupted, "step.backward:6").join()
    _assert_stopped_and_usable(run, 6)
    _assert_goes_on_to_the_same(run, clean)


def test_interrupted_within_a_step_trainer_has_neither(tmp_path, live, trainer_clean):
    folder = tmp_path / "job"
    life = live(folder, fault="interrupt in step:6")
    assert (life.error, life.step) == ("KeyboardInterrupt: ", 5)
    # One step is lost here, and with save_steps=500, its default, up to 499; no model is written.
    assert checkpoints(folder) == ["checkpoint-4"]
    assert live(folder, resume=True).error == ""
    assert same_weights(folder, trainer_clean)


def test_interrupted_in_a_save_our_run_finishes_it(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    start(run, _work_interrupted, "checkpoint.optimizer:1").join()
    _assert_stopped_and_usable(run, run.state().step)
    assert damage(run.paths.checkpoint(4)) is None
    _assert_goes_on_to_the_same(run, clean)


def test_interrupted_in_a_save_trainer_leaves_a_part_that_blocks_its_resume(tmp_path, live):
    folder = tmp_path / "job"
    assert live(folder, fault="interrupt in save:2").error == "KeyboardInterrupt: "
    assert checkpoints(folder) == ["checkpoint-4", "checkpoint-8"]
    assert live(folder, resume=True).error.startswith("FileNotFoundError: ")


# R9


def _work_until_terminated(run_dir: str) -> None:
    """Train as a worker does, and get SIGTERM within step 6."""
    from nbtransfer.engine.worker import StopSignal, run_job
    from nbtransfer.runs.faults import plan_faults

    stop_signal = StopSignal()
    stop_signal.install()
    stop_signal.busy = True
    plan_faults("step.backward:6:term")
    run_job({"job": "train", "dir": run_dir, "restart": False}, stop_signal, warm=True)


def test_terminated_our_worker_saves_the_step_it_is_in(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    start(run, _work_until_terminated).join()
    _assert_stopped_and_usable(run, 6)
    _assert_goes_on_to_the_same(run, clean)


def test_terminated_trainer_dies_as_if_killed(tmp_path, live, trainer_clean):
    folder = tmp_path / "job"
    assert live(folder, fault="terminate at step:6").exitcode == -signal.SIGTERM
    assert checkpoints(folder) == ["checkpoint-4"]
    assert live(folder, resume=True).error == ""
    assert same_weights(folder, trainer_clean)


def test_asked_to_trainer_saves_within_a_step_and_resumes_to_other_weights(
    tmp_path, live, trainer_clean
):
    folder, asked = tmp_path / "job", {"enable_jit_checkpoint": True}
    life = live(folder, fault="terminate in long step:6", **asked)
    assert (life.exitcode, life.error, life.step) == (0, "", 6)
    # The weights are those of step 5, the random numbers those after step 6's forward pass.
    assert checkpoints(folder) == ["checkpoint-4", "checkpoint-5"]
    life = live(folder, resume=True, **asked)
    assert (life.error, life.warnings, life.step) == ("", [], 12)
    assert not same_weights(folder, trainer_clean)


# R12


def test_a_dead_device_ends_our_run_and_the_checkpoint_is_named(tmp_path, make_job):
    run = make_job(tmp_path)
    start(run, work_with_faults, "step.forward:6:cuda").join()
    state = run.state()
    assert run.status == "failed"
    assert "device context of that worker is dead" in state.error_advice
    assert "step-000004" in state.error_advice


def test_a_dead_device_ends_trainers_run_and_nothing_is_named(tmp_path, live):
    folder = tmp_path / "job"
    life = live(folder, fault="device dead at step:6", auto_find_batch_size=True)
    assert life.error == "RuntimeError: CUDA error: device-side assert triggered"
    assert (life.step, life.warnings, len(life.batches)) == (5, [], 5)  # not tried again


# R14


def test_a_display_that_fails_once_ends_trainers_training(tmp_path, live):
    """Ours is drawn by another process, and a failure is one warning: test_display.py."""
    life = live(tmp_path / "job", fault="display fails at update:5")
    assert life.error == "ConnectionError: the front end has gone"
    assert life.step < 12


# R16


def _work_and_wait(run_dir: str) -> None:
    """Train, and wait before step 10 until there is a file `go` beside the run's folder."""
    from nbtransfer.engine.step import EagerStep

    take, go = EagerStep.__call__, Path(run_dir).with_suffix(".go")

    def taken(self, rows, step):
        while step + 1 == 10 and not go.exists():
            time.sleep(0.02)
        return take(self, rows, step)

    EagerStep.__call__ = taken
    work(run_dir)


def test_while_one_process_trains_our_run_a_second_one_is_refused(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    first = start(run, _work_and_wait)
    while run.state().step < 8:
        time.sleep(0.02)
    with pytest.raises(RunError, match=re.escape(f"running already, in process {first.pid}")):
        launch.resume_run(run)
    start(run, partial(work, patience_s=0.0)).join()  # one that comes all the same leaves it alone
    assert run.status == "running"
    run.dir.with_suffix(".go").touch()
    first.join()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert rows(run) == rows(clean)


def test_two_processes_train_one_folder_of_trainers_without_a_word(tmp_path, live, mini_model):
    folder = tmp_path / "job"
    assert live(folder, fault="kill before step:6").exitcode == -signal.SIGKILL
    # Counted from the resumed step, 5: this one waits before step 10.
    first = trainer_lives.begin(mini_model, folder, resume=True, fault="wait before step:6")
    while "checkpoint-8" not in checkpoints(folder):
        time.sleep(0.02)
        assert first.is_alive()
    second = live(folder, resume=True)
    folder.with_suffix(".go").touch()
    ended = trainer_lives.end(first, folder)
    for life in (second, ended):
        assert (life.exitcode, life.error, life.warnings, life.step) == (0, "", [], 12)
