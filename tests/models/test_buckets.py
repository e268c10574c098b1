from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtransfer.models.buckets import MOST_BUCKETS, choose_bucket, make_buckets

LENGTHS = st.lists(st.integers(1, 700), min_size=1, max_size=60)


def of(lengths: list[int], rows: int) -> tuple[np.ndarray, int, int]:
    """Totals of micro-batches of so many rows, the most one could have, and the longest row."""
    ordered = np.sort(np.array(lengths))
    parts = [ordered[i : i + rows] for i in range(0, len(ordered), rows)]
    return np.array([p.sum() for p in parts]), int(ordered[-rows:].sum()), max(4, int(ordered[-1]))


@given(lengths=LENGTHS, rows=st.integers(1, 20), most=st.integers(1, MOST_BUCKETS))
def test_every_micro_batch_fits_a_bucket_and_fillers_are_short_enough(lengths, rows, most):
    totals, largest, longest = of(lengths, rows)
    buckets = make_buckets(totals, largest, longest, most=most)
    assert 1 <= len(buckets) <= most
    assert list(buckets) == sorted(set(buckets))
    for num_tokens in {*totals.tolist(), largest, 1, largest // 2 or 1}:
        bucket = choose_bucket(buckets, num_tokens)
        missing = bucket.total - num_tokens
        assert bucket.num_fillers <= missing <= bucket.num_fillers * longest


@given(lengths=LENGTHS, rows=st.integers(1, 20))
def test_more_buckets_never_cost_tokens(lengths, rows):
    totals, largest, _ = of(lengths, rows)

    def tokens(most: int) -> int:
        buckets = make_buckets(totals + 1, largest + 1, 10_000, most=most)
        return sum(choose_bucket(buckets, int(n)).total for n in totals)

    costs = [tokens(most) for most in range(1, MOST_BUCKETS + 1)]
    assert costs == sorted(costs, reverse=True)


def test_as_many_buckets_as_sizes_waste_nothing_but_rounding():
    totals = np.array([63, 127, 639] * 5)
    assert [b.total for b in make_buckets(totals, 639, 1000)] == [64, 128, 640]


def test_buckets_lie_where_the_micro_batches_are():
    totals = np.array([100] * 90 + [3000] * 10)
    assert [b.total for b in make_buckets(totals, 8000, 512, most=3)] == [128, 3008, 8064]


@pytest.mark.parametrize(("mean", "longest"), [(25, 128), (255, 512)])
@pytest.mark.parametrize("rows", [16, 64])
def test_little_is_wasted_on_rows_in_no_order_of_length(mean, longest, rows):
    """Batches of similar lengths, good for padding, differ most from each other in their totals."""
    draw = np.random.default_rng(0)
    lengths = draw.lognormal(np.log(mean) - 0.18, 0.6, 20_032).clip(3, longest).astype(np.int64)
    largest = int(np.sort(lengths)[-rows:].sum())

    def waste(order: np.ndarray) -> float:
        totals = order.reshape(-1, rows).sum(1)
        buckets = make_buckets(totals + 1, largest + 1, longest)
        return sum(choose_bucket(buckets, int(n)).total for n in totals) / totals.sum() - 1

    assert waste(draw.permutation(lengths)) < 0.13
    assert waste(np.sort(lengths)) > 0.15
