"""Tests of nbtransfer.tasks.blocks: nothing of a document is lost, and none are joined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtransfer.tasks.blocks import count_blocks, frame_of, framed_blocks, running_blocks

CLS, SEP, END = 1, 2, 3


class Letters:
    """A token a letter; special tokens around a text where `frame` says so."""

    def __init__(self, before=(), after=(), eos=None):
        self._before, self._after = list(before), list(after)
        self.eos_token_id = eos

    def __call__(self, texts, add_special_tokens=True, verbose=True):
        many = [texts] if isinstance(texts, str) else texts
        ids = [[10 + ord(c) for c in text] for text in many]
        if add_special_tokens:
            ids = [[*self._before, *row, *self._after] for row in ids]
        return {"input_ids": ids[0] if isinstance(texts, str) else ids}


BERT = Letters([CLS], [SEP])
GPT = Letters(eos=END)
LLAMA = Letters([CLS], eos=END)
TEXTS = st.lists(st.text("abc", max_size=23), min_size=1, max_size=6)


def ids_of(text):
    return [10 + ord(c) for c in text]


def rows_of(blocks):
    return [blocks.tokens.row(i).tolist() for i in range(blocks.tokens.num_rows)]


@settings(deadline=None)
@given(TEXTS, st.integers(3, 9))
def test_framed_blocks_put_together_are_the_documents(texts, max_length):
    blocks = framed_blocks(BERT, texts, max_length)
    found = [[] for _ in texts]
    for row, source in zip(rows_of(blocks), blocks.sources, strict=True):
        assert len(row) <= max_length
        assert (row[0], row[-1]) == (CLS, SEP)
        found[source] += row[1:-1]
    assert found == [ids_of(text) for text in texts]


@settings(deadline=None)
@given(TEXTS, st.integers(2, 9), st.sampled_from([GPT, LLAMA]))
def test_every_token_after_the_first_is_predicted_exactly_once(texts, max_length, tokenizer):
    blocks = running_blocks(tokenizer, texts, max_length)
    predicted = [[] for _ in texts]
    for row, source in zip(rows_of(blocks), blocks.sources, strict=True):
        assert 1 <= len(row) <= max_length
        predicted[source] += row[1:]
    before = [CLS] if tokenizer is LLAMA else []
    assert predicted == [[*before, *ids_of(text), END][1:] for text in texts]


def test_a_block_begins_with_the_last_token_of_the_block_before():
    rows = rows_of(running_blocks(GPT, ["abcdef"], 4))
    assert rows == [ids_of("abcd"), [*ids_of("def"), END]]


@settings(deadline=None)
@given(TEXTS, st.integers(3, 9))
def test_blocks_are_counted_as_they_are_cut(texts, max_length):
    framed = np.array([len(text) + 2 for text in texts])
    counted = count_blocks(framed, max_length, num_framing=2)
    assert counted == framed_blocks(BERT, texts, max_length).tokens.num_rows
    running = np.array([len(text) + 1 for text in texts])
    counted = count_blocks(running, max_length, num_framing=None)
    assert counted == running_blocks(GPT, texts, max_length).tokens.num_rows


@pytest.mark.parametrize(
    ("tokenizer", "frame"), [(BERT, ([CLS], [SEP])), (GPT, ([], [])), (LLAMA, ([CLS], []))]
)
def test_the_frame_is_what_the_tokenizer_adds(tokenizer, frame):
    assert frame_of(tokenizer) == frame
