"""Tests of nbtransfer.engine.progress: what a checkpoint stores comes back as it was."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from nbtransfer.engine.optim import Schedule
from nbtransfer.engine.progress import Progress


@pytest.fixture
def progress():
    schedule = Schedule.start(peak=0.1 + 0.2, num_steps=100, warmup_steps=7, kind="cosine")
    schedule.stretch(31, 140)
    return Progress(
        schedule=schedule,
        num_train_epochs=4.25,
        step=31,
        elapsed_s=1 / 3,
        revision=5,
        evaluations_done=2,
        best_value=-0.1 / 3,
        best_step=20,
        evaluations_without_gain=1,
        loss_sum=1e-17 + 2 / 3,
        loss_count=11,
        evaluation_losses=[(0.7, 0.6), (1 / 3, 0.1 + 0.2)],
    )


def test_progress_survives_json_bit_for_bit(progress):
    again = Progress.from_json(json.loads(json.dumps(progress.to_json())))
    assert again == progress
    assert isinstance(again.schedule, Schedule)
    assert again.evaluation_losses[1] == (1 / 3, 0.1 + 0.2)


def test_a_run_that_has_not_begun_survives_too(progress):
    fresh = Progress(schedule=progress.schedule, num_train_epochs=3.0)
    assert Progress.from_json(json.loads(json.dumps(fresh.to_json()))) == fresh
    assert (fresh.step, fresh.best_value, fresh.best_step) == (0, None, None)


def test_fields_of_a_newer_version_are_left_out(progress):
    assert Progress.from_json({**progress.to_json(), "mood": "good"}) == progress


def test_a_validation_loss_that_is_no_number_can_be_stored(progress):
    progress.evaluation_losses.append((0.5, math.nan))
    again = Progress.from_json(json.loads(json.dumps(progress.to_json())))
    assert math.isnan(again.evaluation_losses[-1][1])


def test_what_comes_back_shares_nothing_with_what_was_stored(progress):
    record = progress.to_json()
    again = Progress.from_json(record)
    again.schedule.peak = 9.0
    again.evaluation_losses.append((0.0, 0.0))
    assert progress.schedule.peak == 0.1 + 0.2
    assert len(progress.evaluation_losses) == 2
    assert len(record["evaluation_losses"]) == 2


def test_two_runs_do_not_share_their_losses(progress):
    first = Progress(schedule=progress.schedule, num_train_epochs=1)
    second = Progress(schedule=progress.schedule, num_train_epochs=1)
    first.evaluation_losses.append((1.0, 1.0))
    assert second.evaluation_losses == []


def test_another_number_of_epochs_counts_patience_anew_and_the_same_number_does_not(progress):
    progress.planned_epochs = 4.0
    progress.take_length(4.0, 100)
    assert progress.evaluations_without_gain == 1
    progress.take_length(6.0, 200)
    assert progress.evaluations_without_gain == 0


def test_every_field_is_explained():
    section = Progress.__doc__.split("Attributes:")[1]
    assert all(f"        {f.name}:" in section for f in dataclasses.fields(Progress))
