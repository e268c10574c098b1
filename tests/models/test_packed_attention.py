"""In which pieces the sequences of a packed batch attend on a CPU."""

from __future__ import annotations

from itertools import accumulate, combinations, pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtransfer.models.packed_attention import _PIECE, pieces_of


def cost_of(pieces) -> int:
    spans = [piece.sequences.stop - piece.sequences.start for piece in pieces]
    weights = sum(n * piece.width**2 for n, piece in zip(spans, pieces, strict=True))
    return weights + _PIECE * len(pieces)


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=7))
def test_pieces_hold_every_token_once_and_cost_the_least(lengths):
    pieces = pieces_of(lengths)
    starts = [0, *accumulate(lengths)]
    assert pieces[0].sequences.start == 0 and pieces[-1].sequences.stop == len(lengths)
    for before, after in pairwise(pieces):
        assert before.sequences.stop == after.sequences.start
    for piece in pieces:
        own = lengths[piece.sequences]
        first, last = piece.sequences.start, piece.sequences.stop
        assert piece.tokens == slice(starts[first], starts[last])
        assert piece.width == max(own)
        if piece.own is None:
            assert piece.places is None and set(own) == {piece.width}
        else:
            assert piece.own.sum(3).flatten().tolist() == own
            assert torch.equal(piece.own.flatten().nonzero()[:, 0], piece.places)
    others = (cut for n in range(len(lengths)) for cut in combinations(range(1, len(lengths)), n))
    least = min(
        sum(
            (end - start) * max(lengths[start:end]) ** 2 + _PIECE
            for start, end in pairwise([0, *cut, len(lengths)])
        )
        for cut in others
    )
    assert cost_of(pieces) == least


def test_rows_of_one_length_need_no_padding_and_rows_of_unlike_lengths_are_parted():
    (alike,) = pieces_of([40] * 8)
    assert alike.places is None and alike.own is None
    short, long = pieces_of([10] * 8 + [200] * 8)
    assert (short.width, long.width) == (10, 200)
    assert short.own is None and long.own is None
