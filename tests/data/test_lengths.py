"""Token counts, and what a maximum length cuts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from nbtransfer.data.lengths import Lengths, spread_rows, token_lengths
from nbtransfer.errors import ModelError


@pytest.fixture
def tokenizer_file(tmp_path):
    """A tokenizer of words between [CLS] and [SEP], which cuts and pads unless told not to."""
    words = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "[PAD]": 3, "good": 4, "film": 5}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return str(path)


def test_tokens_are_counted_uncut_unpadded_and_with_special_tokens(tokenizer_file):
    texts = ["", "good", "good film " * 10]
    expected = [2, 3, 22]
    assert token_lengths(texts, tokenizer_file).tokens.tolist() == expected
    chunked = pa.chunked_array([texts[:1], texts[1:]], type=pa.string())
    found = token_lengths(chunked, tokenizer_file).tokens
    assert found.tolist() == expected and found.dtype == np.int32


def test_very_long_text_is_estimated(tokenizer_file):
    (tokens,) = token_lengths(["good " * 100_000], tokenizer_file).tokens
    assert tokens == pytest.approx(100_000, rel=0.01)


def test_share_cut_is_of_texts_and_of_tokens():
    lengths = Lengths(np.array([10, 10, 10, 30], dtype=np.int32))
    assert lengths.cut(20) == (0.25, 10 / 60)
    assert lengths.cut(30) == (0.0, 0.0)
    assert Lengths(np.zeros(0, np.int32)).cut(8) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("tokens", "limit", "expected"),
    [([10] * 100, 512, 16), ([10] * 99 + [400], 512, 16), ([600] * 5, 512, 512), ([16], 512, 16)],
)
def test_suggested_length_keeps_99_of_100_whole(tokens, limit, expected):
    lengths = Lengths(np.array(tokens, dtype=np.int32))
    assert lengths.suggested(limit) == expected
    if expected < limit:
        assert lengths.cut(expected)[0] <= 0.01


def test_suggested_length_of_no_texts_is_the_limit():
    assert Lengths(np.zeros(0, np.int32)).suggested(128) == 128


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b"{}", b"\xff\xfe"])
def test_what_is_no_tokenizer_is_named(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot be read: it .*Save the tokenizer anew"):
        token_lengths(["a"], str(path))


def test_missing_tokenizer_is_named(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        token_lengths(["a"], str(tmp_path / "none.json"))


def test_spread_rows_reach_over_the_whole_data_without_repeating():
    rows = spread_rows(1_000_000, 20_000)
    assert len(set(rows)) == 20_000
    assert rows[0] == 0 and rows[-1] > 999_000
    assert spread_rows(3, 10) == [0, 1, 2]
