"""Tests of nbtransfer.panels.remaining."""

import pytest

from nbtransfer.panels.remaining import remaining_s
from nbtransfer.runs.state import EvaluationRow, RunState, StepRow


def state_of(times, *, num_steps=100, evaluations=()):
    state = RunState()
    state.num_steps = num_steps
    state.steps = [StepRow(i + 1, 0.1, 0.5, 1e-4, 1.0, 16, 600, t) for i, t in enumerate(times)]
    state.evaluations = [
        EvaluationRow(step, 1.0, {}, 0.4, 1.0, False, "schedule") for step in evaluations
    ]
    state.last_time = 1000.0
    return state


def test_nothing_is_said_before_a_few_steps():
    assert remaining_s(state_of([1.0, 2.0]), 0, 0, 1000.0) is None


def test_steps_left_times_seconds_a_step():
    assert remaining_s(state_of([2.0 * i for i in range(1, 41)]), 0, 0, 1000.0) == pytest.approx(
        120
    )


def test_time_since_the_last_event_is_taken_off():
    state = state_of([2.0 * i for i in range(1, 41)])
    assert remaining_s(state, 0, 0, 1006.0) == pytest.approx(114)


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_clock_that_was_set_takes_off_five_steps_at_most(hours):
    state = state_of([2.0 * i for i in range(1, 41)])
    assert remaining_s(state, 0, 0, 1000.0 + 3600 * hours) == pytest.approx(
        110 if hours > 0 else 120
    )


def test_a_pause_does_not_count_as_a_slow_step():
    times = [float(i) for i in range(1, 21)] + [500.0 + i for i in range(1, 21)]
    assert remaining_s(state_of(times), 0, 0, 1000.0) == pytest.approx(60)


def test_evaluations_to_come_count_as_those_seen():
    # Steps take 1 s; after step 20 an evaluation took 11 s; three more are to come.
    times = [float(i) for i in range(1, 21)] + [11.0 + i for i in range(21, 41)]
    state = state_of(times, evaluations=[20])
    assert remaining_s(state, 20, 500, 1000.0) == pytest.approx(60 + 3 * 11)


def test_the_first_evaluation_is_guessed_from_the_rate_of_training():
    state = state_of([float(i) for i in range(1, 11)], num_steps=20)
    state.examples_per_s = 10.0
    assert remaining_s(state, 20, 300, 1000.0) == pytest.approx(10 + 10)
