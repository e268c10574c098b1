"""Tests of nbtransfer.engine.batching: every row once an epoch, the same order every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtransfer.engine.batching import StepRows, by_length

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def lengths_of(num_rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, 128, num_rows)


def epoch_of(rows: StepRows, epoch: int) -> list[list[int]]:
    start = epoch * rows.steps_per_epoch
    return [rows(start + i).tolist() for i in range(rows.steps_per_epoch)]


@quick
@given(
    num_rows=st.integers(1, 500),
    rows_per_step=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 3),
)
def test_every_row_comes_once_an_epoch(num_rows, rows_per_step, seed, epoch):
    rows = StepRows(lengths_of(num_rows), rows_per_step, seed, 8)
    steps = epoch_of(rows, epoch)
    assert sorted(row for step in steps for row in step) == list(range(num_rows))
    sizes = sorted(map(len, steps))
    assert sizes[1:] == [rows_per_step] * (len(steps) - 1)
    assert 1 <= sizes[0] <= rows_per_step


@quick
@given(st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_a_steps_rows_depend_on_nothing_that_was_asked_before(step, seed):
    lengths = lengths_of(100)
    walked = StepRows(lengths, 8, seed, 8)
    for earlier in range(step):
        walked(earlier)
    assert walked(step).tolist() == StepRows(lengths, 8, seed, 8)(step).tolist()


def test_the_order_is_the_one_it_has_always_been():
    # A change of these numbers breaks the resuming of every run begun before it.
    rows = StepRows(np.array([5, 9, 3, 7, 4, 8, 6]), 3, 42, 8)
    assert epoch_of(rows, 0) == [[1], [2, 4, 0], [6, 3, 5]]
    assert epoch_of(rows, 1) == [[6, 3, 5], [2, 4, 0], [1]]


@pytest.mark.parametrize(
    ("grouped_steps", "first"),
    [
        (1, [[121, 128, 227, 130], [9, 334, 59, 66], [13, 308, 188, 189]]),
        (8, [[130, 328, 39, 334], [4, 394, 9, 106], [390, 99, 5, 199]]),
        (50, [[221, 28, 125, 223], [22, 120, 23, 314], [328, 233, 39, 136]]),
    ],
)
def test_the_order_of_each_number_of_grouped_steps_is_the_one_it_has_always_been(
    grouped_steps, first
):
    rows = StepRows(np.arange(400) % 97, 4, 42, grouped_steps)
    assert epoch_of(rows, 0)[:3] == first


def test_another_epoch_or_seed_is_another_order():
    lengths = lengths_of(200)
    first = StepRows(lengths, 8, 1, 8)
    assert epoch_of(first, 0) != epoch_of(first, 1)
    assert epoch_of(first, 0) != epoch_of(StepRows(lengths, 8, 2, 8), 0)


def test_going_back_an_epoch_gives_the_same_rows():
    rows = StepRows(lengths_of(50), 8, 1, 8)
    first = epoch_of(rows, 0)
    for epoch in (1, 2, 3):
        epoch_of(rows, epoch)
    assert epoch_of(rows, 0) == first


def padding(lengths: np.ndarray, steps: list[list[int]]) -> float:
    """Share of a padded batch that is padding."""
    padded = sum(len(step) * lengths[step].max() for step in steps)
    return 1 - lengths.sum() / padded


def test_rows_of_a_step_are_of_similar_length():
    lengths = lengths_of(3200)
    bucketed = padding(lengths, epoch_of(StepRows(lengths, 16, 0, 8), 0))
    order = np.random.default_rng(0).permutation(3200)
    plain = padding(lengths, [order[i : i + 16].tolist() for i in range(0, 3200, 16)])
    assert bucketed < 0.12
    assert plain > 0.4


def test_long_and_short_steps_come_in_no_order():
    lengths = lengths_of(1600)
    means = [lengths[step].mean() for step in epoch_of(StepRows(lengths, 16, 0, 8), 0)]
    assert means != sorted(means)
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


@pytest.mark.parametrize(("num_rows", "steps"), [(1, 1), (7, 1), (8, 1), (9, 2), (16, 2), (17, 3)])
def test_the_last_smaller_step_counts(num_rows, steps):
    assert StepRows(lengths_of(num_rows), 8, 0, 8).steps_per_epoch == steps


@quick
@given(st.integers(0, 200))
def test_an_evaluation_takes_every_row_once_longest_first(num_rows):
    lengths = lengths_of(num_rows)
    rows = by_length(lengths)
    assert sorted(rows.tolist()) == list(range(num_rows))
    assert (np.diff(lengths[rows]) <= 0).all()


def test_rows_of_equal_length_keep_their_order():
    assert by_length(np.array([4, 9, 4, 9, 4])).tolist() == [1, 3, 0, 2, 4]
