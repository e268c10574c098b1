"""Tests of nbtransfer.data.masking: which tokens are hidden, and that nothing else decides it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtransfer.data.encode import EncodedTexts
from nbtransfer.data.masking import Masking

MASK, PAD, CLS, SEP = 4, 0, 2, 3


def masking(share=0.15, continues=None):
    return Masking(share, MASK, 1000, (PAD, CLS, SEP, MASK), continues)


def encoded(rows, **options):
    tokens = np.array([t for row in rows for t in [CLS, *row, SEP]], dtype=np.int32)
    lengths = [len(row) + 2 for row in rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return EncodedTexts(
        tokens=tokens, offsets=offsets, pad_token_id=PAD, masking=masking(**options)
    )


ROWS = [list(range(100, 140)), list(range(200, 207)), [300], list(range(400, 520))]

rows_of_tokens = st.lists(
    st.lists(st.integers(10, 999), min_size=1, max_size=40), min_size=1, max_size=8
)


@settings(max_examples=100, deadline=None)
@given(rows_of_tokens, st.floats(0.01, 0.9), st.integers(0, 2**31), st.integers(0, 10_000))
def test_as_many_tokens_are_hidden_as_the_row_alone_says(rows, share, seed, step):
    texts = encoded(rows, share=share)
    batch = texts.batch(np.arange(len(rows)), (seed, step))
    found = (batch["labels"] != -100).sum(1).tolist()
    assert found == texts.num_targets.tolist()
    assert found == [min(len(row), max(1, round(share * len(row)))) for row in rows]


@settings(max_examples=50, deadline=None)
@given(rows_of_tokens, st.integers(0, 2**31), st.integers(0, 10_000))
def test_a_row_is_hidden_alike_whatever_it_is_batched_with(rows, seed, step):
    texts = encoded(rows, share=0.3)
    together = texts.batch(np.arange(len(rows)), (seed, step))
    for i, row in enumerate(rows):
        alone = texts.batch(np.array([i]), (seed, step))
        for name in ("input_ids", "labels"):
            assert alone[name][0].tolist() == together[name][i, : len(row) + 2].tolist()


def test_special_tokens_and_padding_are_never_to_be_guessed():
    texts = encoded(ROWS, share=0.9)
    for step in range(20):
        batch = texts.batch(np.arange(4), (1, step))
        guessed = batch["labels"][batch["labels"] != -100]
        assert not set(guessed.tolist()) & {PAD, CLS, SEP, MASK}
        assert (batch["labels"][batch["attention_mask"] == 0] == -100).all()


def test_what_is_to_be_guessed_is_the_token_that_stood_there():
    texts = encoded(ROWS)
    batch = texts.batch(np.array([0]), (1, 5))
    places = (batch["labels"][0] != -100).nonzero().flatten().tolist()
    assert [batch["labels"][0, p].item() for p in places] == [99 + p for p in places]


def test_other_steps_and_seeds_hide_other_tokens_and_the_same_ones_the_same():
    texts = encoded(ROWS)

    def drawn(*draw):
        return texts.batch(np.array([3]), draw)["labels"].tolist()

    assert drawn(1, 5) == drawn(1, 5)
    assert drawn(1, 5) != drawn(1, 6)
    assert drawn(1, 5) != drawn(2, 5)


def test_an_evaluation_hides_the_same_tokens_every_time():
    texts = encoded(ROWS)
    first, second = (texts.batch(np.arange(4))["labels"].tolist() for _ in range(2))
    assert first == second


def test_of_ten_hidden_tokens_eight_are_masked_one_is_random_one_is_as_it_was():
    texts = encoded([list(range(10, 1000))], share=0.9)
    shares = np.zeros(3)
    for step in range(20):
        batch = texts.batch(np.array([0]), (3, step))
        hidden = batch["labels"][0] != -100
        ids, labels = batch["input_ids"][0][hidden], batch["labels"][0][hidden]
        masked, kept = (ids == MASK).double().mean(), (ids == labels).double().mean()
        shares += np.array([masked, 1 - masked - kept, kept]) / 20
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)


def test_words_are_hidden_whole_as_far_as_the_number_allows():
    continues = np.zeros(1000, dtype=bool)
    continues[500:] = True
    words = [[10, 510, 511], [20], [30, 530], [40, 540, 541, 542], [50]] * 8
    texts = encoded([[t for word in words for t in word]], share=0.25, continues=continues)
    starts = np.cumsum([0, *map(len, words)]) + 1
    for step in range(20):
        hidden = (texts.batch(np.array([0]), (1, step))["labels"][0] != -100).numpy()
        parts = [hidden[a:b] for a, b in itertools.pairwise(starts)]
        assert sum(part.any() and not part.all() for part in parts) <= 1
        assert hidden.sum() == texts.num_targets[0]
