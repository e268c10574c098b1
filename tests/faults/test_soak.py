"""A short soak; the long one is `python -m tests.faults.soak --pairs 500` (promise R28)."""

from __future__ import annotations

import random

import pytest

from tests.faults.soak import draw_disturbance, soak

SEED = 28

pytestmark = pytest.mark.slow


def test_a_job_disturbed_at_random_ends_with_the_bits_of_a_clean_one(tmp_path):
    print(f"seed {SEED}")
    result = soak(tmp_path, pairs=12, seed=SEED, num_epochs=40)
    assert result.problems == []
    assert result.kinds.total() == 12


def test_the_same_seed_draws_the_same_disturbances():
    first, second = (
        [draw_disturbance(draw) for _ in range(50)]
        for draw in (random.Random(SEED), random.Random(SEED))
    )
    assert first == second
    assert len({fault.kind for fault in first}) == 9
