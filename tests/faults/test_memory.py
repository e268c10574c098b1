"""Out of memory changes speed only (R11); a dead device is not tried again (R12)."""

from __future__ import annotations

import os
import signal

import pytest

from nbtransfer.engine.step import EagerStep
from nbtransfer.runs.faults import plan_faults
from tests.engine.jobs import start, work, work_with_faults
from tests.faults.comparing import rows, same_bits

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_faults_left():
    yield
    plan_faults("")


@pytest.fixture(scope="module")
def halved(make_job, tmp_path_factory):
    """The clean job with half its micro-batch, accumulated twice: the same 8 rows a step."""
    run = make_job(
        tmp_path_factory.mktemp("halved"),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
    )
    assert work(str(run.dir))
    return run


def _warnings(run, code="out_of_memory"):
    return [e for e in run.events() if e["type"] == "warning_raised" and e["code"] == code]


@pytest.mark.parametrize("point", ["step.forward", "step.backward", "step.optimizer"])
def test_out_of_memory_at_the_start_equals_a_run_begun_smaller(tmp_path, make_job, halved, point):
    run = make_job(tmp_path)
    plan_faults(f"{point}:1:oom")
    assert work(str(run.dir)), run.log()
    assert same_bits(run, halved)
    assert rows(run) == rows(halved)
    (warning,) = _warnings(run)
    assert warning["headline"] == (
        "Memory ran out at step 1: micro-batch 8 -> 4 rows, the effective batch stays 8."
    )


@pytest.mark.parametrize("point", ["step.forward", "step.backward", "step.optimizer"])
def test_out_of_memory_later_equals_a_run_made_smaller_there(
    tmp_path, make_job, clean, monkeypatch, point
):
    run = make_job(tmp_path / "struck")
    plan_faults(f"{point}:7:oom")
    assert work(str(run.dir)), run.log()
    plan_faults("")
    take = EagerStep.__call__

    def smaller_from_step_7(self, rows, step):
        self.micro_batch_size = 8 if step < 6 else 4
        return take(self, rows, step)

    monkeypatch.setattr(EagerStep, "__call__", smaller_from_step_7)
    other = make_job(tmp_path / "smaller")
    assert work(str(other.dir)), other.log()
    assert same_bits(run, other)
    assert rows(run) == rows(other)
    assert rows(run)[0][:6] == rows(clean)[0][:6]
    sizes = [row.num_examples for row in run.state().steps]
    assert sizes == [row.num_examples for row in clean.state().steps]


def test_out_of_memory_twice_in_a_step_is_one_warning(tmp_path, make_job):
    run = make_job(tmp_path)
    plan_faults("step.forward:1:oom;step.forward:2:oom;step.forward:3:oom")
    assert work(str(run.dir)), run.log()
    (warning,) = _warnings(run)
    assert "micro-batch 8 -> 1 rows" in warning["headline"]


def test_a_resumed_run_keeps_the_smaller_micro_batch(tmp_path, make_job):
    whole = make_job(tmp_path / "whole")
    plan_faults("step.forward:6:oom")
    assert work(str(whole.dir)), whole.log()
    plan_faults("")
    run = make_job(tmp_path / "killed")
    # The sixth forward pass fails and is two from then on: the 12th is in step 8.
    process = start(run, work_with_faults, "step.forward:6:oom;step.forward:12:kill")
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert work(str(run.dir)), run.log()
    assert same_bits(run, whole)
    assert rows(run) == rows(whole)


@pytest.mark.parametrize("count", [1, 2])
def test_out_of_memory_in_an_evaluation_changes_nothing_but_its_batches(
    tmp_path, make_job, clean, count
):
    run = make_job(tmp_path)
    plan_faults(f"evaluate.batch:{count}:oom")
    assert work(str(run.dir)), run.log()
    assert same_bits(run, clean)
    assert rows(run)[0] == rows(clean)[0]
    for ours, theirs in zip(run.state().evaluations, clean.state().evaluations, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-6)
    (warning,) = _warnings(run, "out_of_memory_evaluating")
    # There are fewer rows than a pass may hold: half of those that did not fit is next.
    assert f"after step {4 * count}: 64 -> 4 rows a pass" in warning["headline"]


@pytest.mark.parametrize("technique", ["head", "features"])
def test_out_of_memory_in_the_frozen_layers_is_survived_and_told(tmp_path, make_job, technique):
    run = make_job(tmp_path, technique=technique, per_device_eval_batch_size=8)
    plan_faults("evaluate.batch:2:oom")
    assert work(str(run.dir)), run.log()
    (warning,) = _warnings(run, "out_of_memory_evaluating")
    assert "before the first step: 8 -> 4 rows a pass" in warning["headline"]


@pytest.mark.parametrize("point", ["step.forward", "evaluate.batch"])
def test_one_row_that_does_not_fit_fails_the_run_with_advice(tmp_path, make_job, point):
    run = make_job(tmp_path, per_device_train_batch_size=1, per_device_eval_batch_size=1)
    plan_faults(f"{point}:3:oom")
    assert not work(str(run.dir))
    state = run.state()
    assert run.status == "failed"
    assert state.error_type == "MemoryFull"
    assert "even with one row at a time. Take a smaller --max-length" in state.error_message
    plan_faults("")
    assert work(str(run.dir)), run.log()


def test_a_dead_device_is_not_tried_again(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    plan_faults("step.backward:7:cuda")
    assert not work(str(run.dir))
    state = run.state()
    assert run.status == "failed"
    assert state.step <= 6
    assert "device-side assert triggered" in state.error_message
    assert "device context of that worker is dead" in state.error_advice
    assert f"step-000004: %finetune --resume {run.id}" in state.error_advice
    assert state.warnings == []
    # Another worker goes on.
    process = start(run, work)
    process.join()
    assert process.exitcode == 0 and process.pid != os.getpid()
    assert run.status == "completed", run.log()
    assert same_bits(run, clean)


def test_a_dead_device_before_the_first_checkpoint_says_that_there_is_none(tmp_path, make_job):
    run = make_job(tmp_path)
    plan_faults("step.forward:1:cuda")
    assert not work(str(run.dir))
    assert "There is no checkpoint yet" in run.state().error_advice


def test_another_error_of_a_step_is_not_tried_again(tmp_path, make_job):
    run = make_job(tmp_path)
    plan_faults("step.forward:2:raise")
    assert not work(str(run.dir))
    assert run.state().error_message == "planned at step.forward"
    assert run.state().step <= 1
