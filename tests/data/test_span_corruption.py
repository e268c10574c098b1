"""Tests of nbtransfer.data.span_corruption: nothing is lost, and nothing else decides a draw."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtransfer.data.encode import EncodedTexts
from nbtransfer.data.span_corruption import SpanCorruption, composition

PAD, END = 0, 1
SENTINELS = tuple(range(1099, 999, -1))

bodies = st.lists(st.integers(10, 900), max_size=120)
shares = st.floats(0.01, 0.85)
seeds = st.integers(0, 2**31)


def corruption(share=0.15, before=0, sentinels=SENTINELS):
    return SpanCorruption(share, sentinels, before, (END,))


def whole(body, before=0):
    return np.array([*[7] * before, *body, END], dtype=np.int32)


def put_together(found):
    """Return inputs with each sentinel replaced by the stretch that the targets have for it."""
    stretches, current = {}, None
    for token in found.targets.tolist()[:-1]:
        if token in SENTINELS:
            current = stretches.setdefault(token, [])
        else:
            current.append(token)
    return [t for token in found.inputs.tolist() for t in stretches.get(token, [token])]


@settings(max_examples=200, deadline=None)
@given(bodies, shares, seeds, st.integers(0, 2))
def test_each_token_is_either_kept_or_hidden_and_all_can_be_put_together(body, share, seed, before):
    row = whole(body, before)
    found = corruption(share, before).corrupt(row, 3, (seed, 8))
    assert put_together(found) == row.tolist()
    hidden = found.targets[found.places >= 0]
    assert hidden.tolist() == row[found.places[found.places >= 0]].tolist()
    kept = [t for t in found.inputs.tolist() if t not in SENTINELS]
    assert len(kept) + len(hidden) == len(row)


@settings(max_examples=200, deadline=None)
@given(bodies, shares, seeds)
def test_sentinels_stand_in_order_once_on_each_side(body, share, seed):
    found = corruption(share).corrupt(whole(body), 0, (seed, 0))
    sides = [[t for t in side.tolist() if t in SENTINELS] for side in (found.inputs, found.targets)]
    assert sides[0] == sides[1] == list(SENTINELS[: len(sides[0])])
    assert found.targets[-1] == END and found.inputs[-1] == END
    # No stretch is empty, and none touches the next: two sentinels in a row would be one.
    for side in (found.inputs[:-1], found.targets[:-1]):
        assert not [p for p in itertools.pairwise(side.tolist()) if set(p) <= set(SENTINELS)]


@settings(max_examples=100, deadline=None)
@given(st.lists(bodies, min_size=1, max_size=6), shares, seeds, st.integers(0, 2))
def test_how_long_the_targets_are_is_known_before(rows, share, seed, before):
    encoded = texts(rows, share, before)
    batch = encoded.batch(np.arange(len(rows)), (seed, 4))
    assert (batch["labels"] != -100).sum(1).tolist() == encoded.num_targets.tolist()
    for body, num_targets in zip(rows, encoded.num_targets, strict=True):
        hidden, spans = (
            int(x[0]) for x in corruption(share, before).counts([len(body) + 1 + before])
        )
        assert num_targets == hidden + spans + 1
        if len(body) >= 2:
            assert hidden == min(len(body) - 1, max(1, round(share * len(body))))
            assert spans == min(max(1, round(hidden / 3)), hidden, len(body) - hidden)
        else:
            assert hidden == spans == 0


def texts(rows, share=0.15, before=0):
    tokens = [whole(row, before) for row in rows]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in tokens])])
    return EncodedTexts(
        tokens=np.concatenate(tokens),
        offsets=offsets,
        pad_token_id=PAD,
        masking=corruption(share, before),
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(bodies, min_size=2, max_size=6), seeds, st.integers(0, 10_000))
def test_a_row_is_hidden_alike_whatever_it_is_batched_with(rows, seed, step):
    encoded = texts(rows)
    together = encoded.batch(np.arange(len(rows)), (seed, step))
    for i in range(len(rows)):
        alone = encoded.batch(np.array([i]), (seed, step))
        for name in ("input_ids", "attention_mask", "labels"):
            own = alone[name][0].tolist()
            assert together[name][i, : len(own)].tolist() == own
    mask = together["attention_mask"].bool()
    assert (together["input_ids"][~mask] == PAD).all()


def test_another_seed_step_or_row_hides_others():
    row = whole(range(100, 200))
    draws = [
        corruption().corrupt(row, number, draw).targets.tolist()
        for number, draw in [(0, (1, 1)), (0, (1, 2)), (0, (2, 1)), (1, (1, 1))]
    ]
    assert len({tuple(draw) for draw in draws}) == 4
    assert corruption().corrupt(row, 0, (1, 1)).targets.tolist() == draws[0]


def test_fifteen_percent_are_hidden_in_stretches_of_three_on_average():
    hidden, spans = corruption().counts(np.array([513]))
    assert (hidden[0], spans[0]) == (77, 26)


def test_there_are_never_more_stretches_than_sentinels():
    few = corruption(0.5, sentinels=SENTINELS[:2])
    found = few.corrupt(whole(range(100, 180)), 0, (0, 0))
    assert put_together(found) == whole(range(100, 180)).tolist()
    assert few.counts(np.array([81]))[1][0] == 2


@pytest.mark.parametrize(("total", "parts"), [(1, 1), (5, 5), (7, 3), (40, 1)])
def test_a_composition_adds_up(total, parts):
    random = np.random.default_rng(0)
    for _ in range(20):
        found = composition(total, parts, random)
        assert len(found) == parts and sum(found) == total and min(found) >= 1


def test_every_way_to_compose_is_equally_likely():
    random = np.random.default_rng(0)
    found = [tuple(composition(6, 3, random)) for _ in range(5000)]
    counts = [found.count(way) for way in set(found)]
    assert len(counts) == 10 and min(counts) > 400 and max(counts) < 600
