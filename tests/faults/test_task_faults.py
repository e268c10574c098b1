"""NaN, a full disk and too little memory end alike whatever is learned (R5, R11, R13)."""

from __future__ import annotations

import math

import pytest
from safetensors.torch import load_file

from nbtransfer.engine.checkpoints import newest_checkpoint
from nbtransfer.engine.step import EagerStep
from nbtransfer.runs.faults import plan_faults
from tests.engine.jobs import work
from tests.faults.comparing import rows, same_bits, same_last_checkpoint
from tests.faults.task_jobs import make_task_run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_faults_left():
    yield
    plan_faults("")


def _poison_gradient(patch, at_step):
    take = EagerStep.__call__

    def poisoned(self, rows_, step):
        if step + 1 != at_step:
            return take(self, rows_, step)
        hook = self._learning[-1].register_hook(lambda gradient: gradient * math.nan)
        try:
            return take(self, rows_, step)
        finally:
            hook.remove()

    patch.setattr(EagerStep, "__call__", poisoned)


@pytest.mark.parametrize(
    "task", ["entities", "answers", "translation", "masked", "lora", "head", "features"]
)
def test_after_a_save_without_space_and_a_nan_it_goes_on_to_the_same_bits(
    task_models, tmp_path, task
):
    clean, run = (make_task_run(tmp_path / name, task_models, task) for name in ("clean", "run"))
    assert work(str(clean.dir)), clean.log()
    each = clean.state().steps_per_epoch
    with pytest.MonkeyPatch.context() as patch:
        _poison_gradient(patch, 2 * each + 2)
        plan_faults("checkpoint.rename:1:enospc")
        assert not work(str(run.dir))
    state = run.state()
    codes = [warning.code for warning in state.warnings]
    assert "checkpoint_failed" in codes
    assert state.error_type == "TrainingDiverged"
    assert f"the training gradient became nan at step {2 * each + 2} " in state.error_message
    assert newest_checkpoint(run.paths.checkpoints_dir) == (run.paths.checkpoint(2 * each), ())
    assert state.saved_step == 2 * each
    kept = [t for path in run.dir.rglob("*.safetensors") for t in load_file(path).values()]
    assert kept and all(bool(tensor.isfinite().all()) for tensor in kept)
    assert work(str(run.dir)), run.log()
    assert rows(run) == rows(clean)
    assert same_last_checkpoint(run, clean)


def test_too_little_memory_to_write_texts_makes_the_batches_smaller(task_models, tmp_path):
    clean, run = (
        make_task_run(tmp_path / name, task_models, "translation") for name in ("clean", "run")
    )
    assert work(str(clean.dir)), clean.log()
    plan_faults("evaluate.generate:1:oom")
    assert work(str(run.dir)), run.log()
    (warning,) = [w for w in run.state().warnings if w.code == "out_of_memory_evaluating"]
    assert "rows a pass" in warning.headline
    assert same_bits(run, clean)
    assert rows(run)[0] == rows(clean)[0]
    for ours, theirs in zip(run.state().evaluations, clean.state().evaluations, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-6)


def test_where_one_text_is_too_much_it_is_told(task_models, tmp_path):
    run = make_task_run(tmp_path, task_models, "translation", per_device_eval_batch_size=1)
    plan_faults("evaluate.generate:1+:oom")
    assert not work(str(run.dir))
    state = run.state()
    assert state.error_type == "MemoryFull"
    assert "evaluating" in state.error_message
