"""A run in fp16 goes on with its scale: the same bits (promise R1).

accelerate takes fp16 on no CPU, though torch computes in it there; its scale is then given here.
"""

from __future__ import annotations

import math
import signal

import pytest
import torch
from accelerate import Accelerator

from nbtransfer.engine import loading
from nbtransfer.engine.checkpoints import read_state
from nbtransfer.runs.files import read_json, write_json
from nbtransfer.runs.run import Run
from tests.engine.jobs import start, work, work_until_killed
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow


def _accelerator(*, cpu: bool, mixed_precision: str) -> Accelerator:
    assert cpu and mixed_precision == "fp16"
    found = Accelerator(cpu=True)
    found.state._mixed_precision = "fp16"
    found.native_amp = True
    # So large that the first steps cannot be taken, and growing every third step after that.
    found.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**21, growth_interval=3)
    return found


def _work_in_fp16(run_dir: str, kill_at: int | None = None) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "Accelerator", _accelerator)
        return work(run_dir) if kill_at is None else work_until_killed(run_dir, kill_at)


@pytest.fixture(scope="module")
def make_half(make_job):
    """A maker of the job in fp16; a plan for a CPU would not say so by itself."""

    def make(runs_dir):
        run = make_job(runs_dir, num_train_epochs=4)
        write_json(run.paths.plan, {**read_json(run.paths.plan), "precision": "fp16"})
        return Run(run.dir)

    return make


@pytest.fixture(scope="module")
def clean(make_half, tmp_path_factory):
    run = make_half(tmp_path_factory.mktemp("clean"))
    assert _work_in_fp16(str(run.dir)), run.log()
    return run


def _scales(run):
    found = [read_state(folder)["scaler"] for folder in run.paths.checkpoints_dir.iterdir()]
    return {(scaler["scale"], scaler["_growth_tracker"]) for scaler in found}


def test_the_scale_falls_where_steps_cannot_be_taken_and_grows_again(clean):
    skipped = [not math.isfinite(row.grad_norm) for row in clean.state().steps]
    assert skipped[0] and not all(skipped)
    assert clean.state().precision == "fp16"
    assert len(_scales(clean)) >= 2


@pytest.mark.parametrize("kill_at", [2, 6, 11])
def test_killed_and_resumed_it_ends_with_the_same_bits(tmp_path, make_half, clean, kill_at):
    run = make_half(tmp_path)
    process = start(run, _work_in_fp16, kill_at)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert _work_in_fp16(str(run.dir)), run.log()
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert _scales(run) == _scales(clean)
    assert repr(rows(run)) == repr(rows(clean))  # a norm that is no number equals no other
