"""Tests of nbtransfer.data.encode: ragged rows, batches padded and masked, cut at max_length."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtransfer.data import encoding
from nbtransfer.data.encode import EncodedFeatures, EncodedFrozen, EncodedTexts, batches_of
from nbtransfer.data.encoding import Encoding, encode_texts


def encoded(rows, **changes):
    tokens = np.array([t for row in rows for t in row], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return EncodedTexts(tokens=tokens, offsets=offsets, **{"pad_token_id": 0, **changes})


ROWS = [[1, 2, 3], [4], [5, 6], [7, 8, 9, 10]]


class FakeTokenizer:
    """As a tokenizer of transformers is called: a token a word, between 1 and 2."""

    pad_token_id = 9

    def __init__(self):
        self.calls = []

    def __call__(
        self, texts, *, truncation, max_length, return_attention_mask, return_token_type_ids
    ):
        assert truncation
        assert not return_attention_mask
        assert not return_token_type_ids
        assert isinstance(texts, list)
        self.calls.append(len(texts))
        bodies = [[10 + len(word) for word in text.split()] for text in texts]
        return {"input_ids": [[1, *body[: max_length - 2], 2] for body in bodies]}


def test_a_batch_is_padded_to_its_longest_row():
    batch = encoded(ROWS).batch(np.array([1, 0]))
    assert batch["input_ids"].tolist() == [[4, 0, 0], [1, 2, 3]]
    assert batch["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == torch.int64


def test_the_padding_is_the_models_own_token():
    batch = encoded(ROWS, pad_token_id=77).batch(np.array([3, 2, 1]))
    assert batch["input_ids"].tolist() == [[7, 8, 9, 10], [5, 6, 77, 77], [4, 77, 77, 77]]


def test_a_pad_token_inside_a_text_is_not_masked():
    batch = encoded([[5, 0, 6], [5]]).batch(np.array([0, 1]))
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(("multiple", "width"), [(1, 3), (2, 4), (3, 3), (8, 8)])
def test_widths_are_rounded_up_to_the_multiple(multiple, width):
    batch = encoded(ROWS, pad_multiple=multiple).batch(np.array([0, 1]))
    assert batch["input_ids"].shape == (2, width)
    assert batch["attention_mask"].sum() == 4


def test_a_row_may_come_twice_in_a_batch():
    batch = encoded(ROWS).batch(np.array([2, 2]))
    assert batch["input_ids"].tolist() == [[5, 6], [5, 6]]


def test_an_empty_row_is_all_padding():
    batch = encoded([[], [3]]).batch(np.array([0, 1]))
    assert batch["input_ids"].tolist() == [[0], [3]]
    assert batch["attention_mask"].tolist() == [[0], [1]]


def test_lengths_are_tokens_of_each_row():
    assert encoded(ROWS).lengths.tolist() == [3, 1, 2, 4]


def test_lengths_are_counted_once():
    rows = encoded(ROWS)
    frozen = EncodedFrozen(texts=rows, vectors=np.zeros((4, 2), np.float32), first_only=True)
    assert rows.lengths is rows.lengths is frozen.lengths


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(st.integers(1, 30000), max_size=9), min_size=1, max_size=12),
    st.sampled_from([1, 8]),
    st.randoms(use_true_random=False),
)
def test_taking_the_masked_tokens_gives_the_rows_back(rows, multiple, draw):
    chosen = np.array([draw.randrange(len(rows)) for _ in range(draw.randint(1, 8))])
    batch = encoded(rows, pad_multiple=multiple).batch(chosen)
    ids, mask = batch["input_ids"], batch["attention_mask"].bool()
    assert [i[m].tolist() for i, m in zip(ids, mask, strict=True)] == [rows[i] for i in chosen]
    assert ids.shape[1] % multiple == 0
    assert (ids[~mask] == 0).all()


def test_texts_are_tokenized_and_kept_ragged():
    found, segments = encode_texts(FakeTokenizer(), ["a bb", "", "ccc"], 16)
    assert found.values.tolist() == [1, 11, 12, 2, 1, 2, 1, 13, 2]
    assert found.offsets.tolist() == [0, 4, 6, 9]
    assert found.values.dtype == np.int32
    assert found.offsets.dtype == np.int64
    assert segments is None


def test_texts_are_cut_at_max_length_special_tokens_included():
    found, _ = encode_texts(FakeTokenizer(), ["a bb ccc dddd", "a"], 4)
    assert found.lengths.tolist() == [4, 3]
    assert found.values[:4].tolist() == [1, 11, 12, 2]
    rows = batches_of(Encoding(tokens=found, sources=np.arange(2)), FakeTokenizer(), pad_multiple=8)
    assert rows.pad_token_id == 9
    assert rows.batch(np.array([0, 1]))["input_ids"].shape == (2, 8)


def test_texts_are_handed_over_in_chunks(monkeypatch):
    monkeypatch.setattr(encoding, "_CHUNK", 3)
    tokenizer = FakeTokenizer()
    texts = [" ".join("x" * n) for n in range(8)]
    chunked, _ = encode_texts(tokenizer, texts, 16)
    assert tokenizer.calls == [3, 3, 2]
    monkeypatch.setattr(encoding, "_CHUNK", 100)
    whole, _ = encode_texts(FakeTokenizer(), texts, 16)
    assert chunked.values.tolist() == whole.values.tolist()
    assert chunked.offsets.tolist() == whole.offsets.tolist()


def test_no_texts_are_no_rows():
    found, _ = encode_texts(FakeTokenizer(), [], 16)
    assert found.num_rows == 0
    assert found.values.dtype == np.int32


def test_a_tuple_or_an_array_of_texts_will_do():
    for texts in (("a", "bb"), np.array(["a", "bb"])):
        assert encode_texts(FakeTokenizer(), texts, 8)[0].lengths.tolist() == [3, 3]


def test_features_are_taken_by_row():
    features = np.arange(8, dtype=np.float32).reshape(4, 2)
    rows = EncodedFeatures(features=features, lengths=np.array([3, 4, 5, 6]))
    assert rows.batch(np.array([3, 0]))["input"].tolist() == [[6.0, 7.0], [0.0, 1.0]]


def test_an_end_token_that_is_a_piece_of_text_too_is_read_as_unknown():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -2.0), ("▁", -3.0)]
    inner = Tokenizer(models.Unigram(pieces, unk_id=2))  # T5's kind: the end token is a piece
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    texts = ["a </s> a", "a </s>", "a a"]
    asked, _ = encode_texts(tokenizer, texts, 8)
    assert [asked.row(i).tolist().count(1) for i in range(3)] == [2, 2, 1]
    tokenizer.split_special_tokens = True
    asked, _ = encode_texts(tokenizer, texts, 8)
    assert [asked.row(i).tolist().count(1) for i in range(3)] == [1, 1, 1]
    assert asked.row(1).tolist() == [3, 4, 2, 1]
