"""The best spans over windows, against a reference that tries every span of every window."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtransfer.data.encoding import Encoding, Ragged
from nbtransfer.tasks import answer_spans
from nbtransfer.tasks.answer_spans import best_spans


def windows_of(lengths, sources, draw):
    """Windows of a question of two tokens and a context whose characters count on by threes."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    starts, ends = np.full(offsets[-1], -1), np.full(offsets[-1], -1)
    for begin, end in itertools.pairwise(offsets):
        first = 3 * int(draw.integers(0, 4))  # windows of a row may hold the same places
        size = end - begin - 4
        starts[begin + 3 : end - 1] = first + 3 * np.arange(size)
        ends[begin + 3 : end - 1] = first + 3 * np.arange(size) + 2
    return Encoding(
        tokens=Ragged(np.zeros(offsets[-1], np.int32), offsets),
        sources=np.array(sources),
        details={"starts": starts, "ends": ends, "null": np.zeros(len(lengths), np.int64)},
    )


def every_span(start, end, encoding, num_rows, num_best, max_tokens):
    """Return (row -> {(first, last): score}), the slow way, best first, and the null scores."""
    found = [{} for _ in range(num_rows)]
    null = [np.inf] * num_rows
    for window, row in enumerate(encoding.sources):
        begin, finish = encoding.tokens.offsets[window : window + 2]
        null[row] = min(null[row], float(start[begin]) + float(end[begin]))
        for i in range(begin, finish):
            for j in range(i, min(i + max_tokens, finish)):
                first, last = encoding.details["starts"][i], encoding.details["ends"][j]
                if first < 0 or last < 0:
                    continue
                score = float(start[i]) + float(end[j])
                place = (int(first), int(last))
                found[row][place] = max(score, found[row].get(place, -np.inf))
    ranked = [
        sorted(((-score, place) for place, score in spans.items()))[:num_best] for spans in found
    ]
    return ranked, null


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_spans_are_those_of_a_search_through_all(data):
    seed = data.draw(st.integers(0, 10_000))
    draw = np.random.default_rng(seed)
    num_rows = data.draw(st.integers(1, 4))
    sources = sorted(
        [*range(num_rows), *draw.integers(0, num_rows, data.draw(st.integers(0, 4))).tolist()]
    )
    lengths = draw.integers(4, 14, len(sources))  # 4: a context without a token
    encoding = windows_of(lengths, sources, draw)
    whole = data.draw(st.booleans())  # whole numbers make equal scores
    scores = [
        draw.integers(-3, 4, lengths.sum()).astype(np.float32)
        if whole
        else draw.normal(size=lengths.sum()).astype(np.float32)
        for _ in range(2)
    ]
    num_best, max_tokens = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    start, end = (Ragged(values, encoding.tokens.offsets) for values in scores)
    found = best_spans(start, end, encoding, num_rows, num_best=num_best, max_tokens=max_tokens)
    wanted, null = every_span(*scores, encoding, num_rows, num_best, max_tokens)
    assert found.null.tolist() == null
    for row in range(num_rows):
        here = found.rows == row
        assert found.scores[here].tolist() == [-score for score, _ in wanted[row]]
        places = list(zip(found.starts[here].tolist(), found.ends[here].tolist(), strict=True))
        if not whole:
            assert places == [place for _, place in wanted[row]]
        assert len(set(places)) == len(places)


def test_chunks_of_windows_change_nothing(monkeypatch):
    draw = np.random.default_rng(3)
    lengths = draw.integers(6, 20, 15)
    encoding = windows_of(lengths, np.sort(draw.integers(0, 5, 15)), draw)
    start, end = (Ragged(draw.normal(size=lengths.sum()), encoding.tokens.offsets) for _ in "ab")
    whole = best_spans(start, end, encoding, 5)
    monkeypatch.setattr(answer_spans, "_CHUNK_SCORES", 1)
    parts = best_spans(start, end, encoding, 5)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


@pytest.mark.parametrize(("max_tokens", "places"), [(1, (3, 5)), (3, (3, 11))])
def test_an_answer_is_never_longer_than_allowed(max_tokens, places):
    encoding = windows_of([10], [0], np.random.default_rng(0))
    encoding.details["starts"][3:9] = 3 * np.arange(6)
    encoding.details["ends"][3:9] = 3 * np.arange(6) + 2
    start, end = np.zeros(10), np.zeros(10)
    start[4], end[6], end[4] = 5, 5, 1
    found = best_spans(
        Ragged(start, encoding.tokens.offsets),
        Ragged(end, encoding.tokens.offsets),
        encoding,
        1,
        max_tokens=max_tokens,
    )
    assert (found.starts[0], found.ends[0]) == places
