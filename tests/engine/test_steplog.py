"""Tests of nbtransfer.engine.steplog: steps written in groups, the clock, and the end at NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nbtransfer.engine import steplog
from nbtransfer.engine.optim import Schedule
from nbtransfer.engine.progress import Progress
from nbtransfer.engine.step import StepResult
from nbtransfer.engine.steplog import StepLog, TrainingDiverged
from nbtransfer.errors import NbTransferError
from nbtransfer.runs.events import EventWriter, read_events


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(steplog, "time", found)
    return found


@pytest.fixture
def progress():
    schedule = Schedule.start(peak=1e-4, num_steps=100, warmup_steps=0, kind="linear")
    return Progress(schedule=schedule, num_train_epochs=1.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


@pytest.fixture
def log(path, clock, progress):
    events = EventWriter(path)
    yield StepLog(events, torch.device("cpu"), progress, "fp32")
    events.close()


ROWS = np.array([5, 3])


def add(log, progress, loss=0.5, norm=1.0, *, num_examples=8, num_tokens=80, rows=ROWS):
    progress.step += 1
    log.add(
        StepResult(torch.tensor(loss), torch.tensor(norm)),
        epoch=progress.step / 10,
        learning_rate=2e-5,
        num_examples=num_examples,
        num_tokens=num_tokens,
        rows=rows,
    )


def written(path, kind="step_completed"):
    return [event for event in read_events(path) if event["type"] == kind]


def test_steps_wait_until_a_quarter_of_a_second_has_passed(log, progress, clock, path):
    for _ in range(3):
        clock.now += 0.07
        add(log, progress)
        assert written(path) == []
    clock.now += 0.07
    add(log, progress)
    assert [event["step"] for event in written(path)] == [1, 2, 3, 4]


def test_losses_are_read_once_a_group(log, progress, clock, monkeypatch):
    stacks = []
    stack = torch.stack
    monkeypatch.setattr(torch, "stack", lambda tensors: stacks.append(1) or stack(tensors))
    for _ in range(100):
        clock.now += 0.01
        add(log, progress)
    assert len(stacks) == 4  # losses and norms together, four times a second


def test_a_row_says_what_the_step_was(log, progress, clock, path):
    clock.now += 0.1234567
    add(log, progress, 0.25, 3.0, num_examples=7, num_tokens=61)
    log.flush()
    (event,) = written(path)
    assert {k: event[k] for k in event if k not in ("v", "seq", "time", "clock", "type")} == {
        "step": 1,
        "epoch": 0.1,
        "loss": 0.25,
        "learning_rate": 2e-5,
        "grad_norm": 3.0,
        "num_examples": 7,
        "num_tokens": 61,
        "elapsed_s": 0.123,
    }


def test_training_time_leaves_out_what_lies_between_add_and_start(log, progress, clock):
    clock.now += 2
    add(log, progress)
    clock.now += 1000  # an evaluation, a checkpoint, a pause
    log.start()
    clock.now += 3
    add(log, progress)
    assert progress.elapsed_s == pytest.approx(5.0)


def test_loss_sums_grow_with_what_is_written(log, progress):
    add(log, progress, 0.5)
    add(log, progress, 0.25)
    assert progress.loss_count == 0
    log.flush()
    assert (progress.loss_sum, progress.loss_count) == (0.75, 2)
    log.flush()
    assert progress.loss_count == 2


def test_flushing_nothing_writes_nothing(log, path):
    log.flush()
    assert written(path) == []


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_the_run_in_words(log, progress, path, loss):
    add(log, progress, 0.5)
    add(log, progress, loss, 7.25)
    add(log, progress, 0.5)
    with pytest.raises(TrainingDiverged, match=r"step 2 .*2e-05.*norm 7\.25.*lower --lr") as caught:
        log.flush()
    assert isinstance(caught.value, NbTransferError)
    assert str(loss) in str(caught.value)
    assert [event["step"] for event in written(path)] == [1, 2]  # the bad step is on record
    assert (progress.loss_sum, progress.loss_count) == (0.5, 1)
    log.flush()  # what was pending is gone: the end of the run flushes again
    assert len(written(path)) == 2


def test_the_precision_and_the_rows_of_the_step_are_named(log, progress):
    add(log, progress, 0.5, rows=np.arange(100, 108))
    add(log, progress, math.nan, rows=np.array([70, 8, 19]))
    with pytest.raises(TrainingDiverged, match=r"fp32; rows 8, 19, 70 of the training data"):
        log.flush()


def test_a_row_that_was_cut_into_several_is_named_once(log, progress):
    add(log, progress, math.nan, rows=np.array([19, 19, 19]))
    with pytest.raises(TrainingDiverged, match=r"; row 19 of the training data"):
        log.flush()


def test_of_many_rows_the_first_few_are_named(log, progress):
    add(log, progress, math.nan, rows=np.arange(64))
    with pytest.raises(
        TrainingDiverged, match=r"rows 0, 1, 2, 3, 4, 5, 6, 7, … of the training data"
    ):
        log.flush()


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_gradient_norm_that_is_no_number_ends_the_run_in_words(log, progress, path, norm):
    add(log, progress, 0.5, norm)
    with pytest.raises(TrainingDiverged, match=rf"gradient became {norm} at step 1 \(loss 0\.5"):
        log.flush()
    assert written(path)[0]["grad_norm"] == str(norm)


def test_with_fp16_such_a_gradient_norm_is_written_and_goes_on(progress, path):
    events = EventWriter(path)
    log = StepLog(events, torch.device("cpu"), progress, "fp16")
    add(log, progress, 0.5, math.inf)  # the scaler skips such a step
    log.flush()
    assert written(path)[0]["grad_norm"] == "inf"
    events.close()


def test_with_fp16_many_such_steps_in_a_row_end_the_run(progress, path):
    events = EventWriter(path)
    log = StepLog(events, torch.device("cpu"), progress, "fp16")
    for norm in [*[math.nan] * 30, 1.0, *[math.nan] * 31]:
        add(log, progress, 0.5, norm)
        if math.isfinite(norm):
            log.flush()  # thirty are survived
    with pytest.raises(TrainingDiverged, match="gradient became nan at step 62 "):
        log.flush()
    events.close()


def test_the_losses_are_read_after_50_steps_at_the_latest(log, progress, path):
    add(log, progress, math.nan)
    with pytest.raises(TrainingDiverged, match="step 1 "):
        for _ in range(49):  # and no time passes
            add(log, progress)
    assert progress.step == 50


def test_losses_of_half_precision_are_read_too(log, progress, path):
    progress.step = 1
    result = StepResult(
        torch.tensor(0.5, dtype=torch.bfloat16), torch.tensor(2.0, dtype=torch.bfloat16)
    )
    log.add(result, epoch=0.1, learning_rate=0.0, num_examples=1, num_tokens=1, rows=ROWS)
    log.flush()
    assert (written(path)[0]["loss"], written(path)[0]["grad_norm"]) == (0.5, 2.0)


def test_the_throughput_is_measured_over_whole_seconds(log, progress, clock, path):
    for _ in range(12):
        clock.now += 0.3
        add(log, progress)
    first, *_ = found = written(path, "throughput_measured")
    assert len(found) == 3
    assert first["examples_per_s"] == pytest.approx(8 / 0.3)
    assert first["tokens_per_s"] == pytest.approx(80 / 0.3)
    assert first["step"] == 4
    assert 0 < first["memory_bytes"] < first["memory_total_bytes"]


def test_the_throughput_does_not_count_what_is_no_training(log, progress, clock, path):
    clock.now += 0.9
    add(log, progress)
    clock.now += 500
    log.start()
    for _ in range(12):
        clock.now += 0.1
        add(log, progress)
    (found,) = written(path, "throughput_measured")
    assert found["examples_per_s"] == pytest.approx(80)


def test_all_figures_of_a_group_are_read_at_once(log, progress, path, monkeypatch):
    reads = []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda t: reads.append(t.shape) or tolist(t))
    for loss, norm in ((0.5, 1.0), (0.25, 3.0), (0.125, 2.0)):
        add(log, progress, loss, norm)
    log.flush()
    assert reads == [(3, 2)]
    rows = [e for e in read_events(path) if e["type"] == "step_completed"]
    assert [(e["loss"], e["grad_norm"]) for e in rows] == [(0.5, 1.0), (0.25, 3.0), (0.125, 2.0)]
