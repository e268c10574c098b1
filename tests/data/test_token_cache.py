"""Tokens are kept by content; what is damaged or different is tokenized again."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from nbtransfer.data.encoding import encode_texts
from nbtransfer.data.token_cache import tokens_kept
from nbtransfer.runs.cache import CACHE_DIR, Cache

TEXTS = ["a b c", "b", "c a b a", "ab bc"]


def make_tokenizer(words: str = "abc") -> PreTrainedTokenizerFast:
    vocabulary = {"[UNK]": 0, "[PAD]": 1, "[CLS]": 2}
    vocabulary |= {word: 3 + i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", pair="[CLS] $A $B:1", special_tokens=[("[CLS]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def ask(cache, tokenizer, texts, max_length=4, pairs=None):
    with tokens_kept(cache) as kept:
        tokens, types = encode_texts(tokenizer, texts, max_length, pairs)
    return kept.said, tokens, types


@pytest.mark.parametrize("pairs", [None, ["c c", "", "a", "b c a b a"]])
def test_the_second_time_is_a_hit_with_the_same_tokens(runs_dir, pairs):
    cache, tokenizer = Cache(runs_dir), make_tokenizer()
    plain, plain_types = encode_texts(tokenizer, TEXTS, 4, pairs)
    for wanted in ("miss", "hit", "hit"):
        said, tokens, types = ask(cache, make_tokenizer(), TEXTS, pairs=pairs)
        assert said == wanted
        assert np.array_equal(tokens.values, plain.values)
        assert np.array_equal(tokens.offsets, plain.offsets)
        assert (types is None) == (plain_types is None)
        assert types is None or np.array_equal(types, plain_types)


def test_what_was_tokenized_between_makes_no_difference(runs_dir):
    cache, tokenizer = Cache(runs_dir), make_tokenizer()
    assert ask(cache, tokenizer, TEXTS)[0] == "miss"
    tokenizer(["a b"], padding="max_length", max_length=9, truncation=True)
    assert ask(cache, tokenizer, TEXTS)[0] == "hit"


@pytest.mark.parametrize(
    ("words", "texts", "max_length"),
    [
        ("abc", [*TEXTS[:3], "ab bd"], 4),
        ("abc", TEXTS[::-1], 4),
        ("abc", TEXTS[:3], 4),
        ("abc", ["a b c", "bc a b a", "ab bc"], 4),
        ("abc", TEXTS, 5),
        ("acb", TEXTS, 4),
    ],
)
def test_other_texts_order_length_or_vocabulary_is_a_miss(runs_dir, words, texts, max_length):
    cache = Cache(runs_dir)
    assert ask(cache, make_tokenizer(), TEXTS)[0] == "miss"
    assert ask(cache, make_tokenizer(words), texts, max_length)[0] == "miss"


def test_texts_are_not_joined_into_the_same_name(runs_dir):
    cache, tokenizer = Cache(runs_dir), make_tokenizer()
    assert ask(cache, tokenizer, ["ab", "c"])[0] == "miss"
    assert ask(cache, tokenizer, ["a", "bc"])[0] == "miss"


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
def test_a_damaged_entry_is_a_miss_and_written_anew(runs_dir, keep):
    cache, tokenizer = Cache(runs_dir), make_tokenizer()
    _, tokens, _ = ask(cache, tokenizer, TEXTS)
    (entry,) = (runs_dir / CACHE_DIR).iterdir()
    entry.write_bytes(entry.read_bytes()[:keep])
    said, again, _ = ask(cache, tokenizer, TEXTS)
    assert said == "miss" and np.array_equal(again.values, tokens.values)
    assert ask(cache, tokenizer, TEXTS)[0] == "hit"


def test_a_flipped_bit_is_a_miss(runs_dir):
    cache, tokenizer = Cache(runs_dir), make_tokenizer()
    texts = ["a b c"] * 500
    ask(cache, tokenizer, texts)
    (entry,) = (runs_dir / CACHE_DIR).iterdir()
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 4
    entry.write_bytes(content)
    assert ask(cache, tokenizer, texts)[0] == "miss"


def test_outside_nothing_is_kept(runs_dir):
    encode_texts(make_tokenizer(), TEXTS, 4)
    assert not (runs_dir / CACHE_DIR).exists()


def test_lone_surrogates_can_be_named(runs_dir):
    with tokens_kept(Cache(runs_dir)):
        from nbtransfer.data.token_cache import tokens_key

        assert tokens_key(make_tokenizer(), [["\ud800"]], 4)
