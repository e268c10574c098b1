"""Windows over long contexts: complete, overlapping, and their targets give the answer back."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtransfer.data.windows import overlap_of
from nbtransfer.errors import DataError
from nbtransfer.tasks.answer_windows import encode_windows

pytestmark = pytest.mark.slow  # transformers' tokenizers load torch

_WORDS = ["river", "Lund", "1987", "naïve", "(old)", "quarry", "x-ray", "ÿ", "the", "€5", "zebra"]


def _tokenizers():
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = sorted({c for word in _WORDS for c in word} | set("abcdefghijklmnopqrstuvwxyz?"))
    word_piece = Tokenizer(
        models.WordPiece(
            {
                name: i
                for i, name in enumerate(
                    [
                        *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
                        *(x for c in letters for x in (c, f"##{c}")),
                        *("river", "the", "quarry"),
                    ]
                )
            },
            unk_token="[UNK]",
        )
    )
    word_piece.normalizer = normalizers.BertNormalizer(lowercase=False)
    word_piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    word_piece.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    yield PreTrainedTokenizerFast(
        tokenizer_object=word_piece, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    byte_level = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    yield PreTrainedTokenizerFast(tokenizer_object=byte_level, pad_token="!")
    pieces = [("<unk>", 0.0), ("▁", -2.0), *((c, -3.0) for c in letters), ("▁river", -1.0)]
    unigram = Tokenizer(models.Unigram(pieces, unk_id=0))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    yield PreTrainedTokenizerFast(tokenizer_object=unigram, pad_token="<unk>", unk_token="<unk>")


@pytest.fixture(scope="module", params=[0, 1, 2], ids=["WordPiece", "byte-level BPE", "Unigram"])
def tokenizer(request):
    return list(_tokenizers())[request.param]


def table_of(question, context, answer=None, start=None):
    columns = {"question": [question], "context": [context], "row": [7]}
    if answer is not None:
        columns |= {"answers": [[answer]], "starts": [[start]]}
    return pa.table(columns)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_target_s_characters_are_the_answer(tokenizer, data):
    words = data.draw(st.lists(st.sampled_from(_WORDS), min_size=3, max_size=40))
    context = data.draw(st.sampled_from([" ", "  ", "\n"])).join(words)
    place = data.draw(st.integers(0, len(words) - 1))
    size = data.draw(st.integers(1, min(3, len(words) - place)))
    gap = len(context) - sum(map(len, words))
    gap //= len(words) - 1
    start = sum(len(word) + gap for word in words[:place])
    answer = context[start:][: sum(map(len, words[place : place + size])) + gap * (size - 1)]
    found = encode_windows(tokenizer, table_of("the x?", context, answer, start), 48)
    lengths = found.tokens.lengths
    assert lengths.max() <= 48
    null = found.details["null"]
    held = [w for w, target in enumerate(found.targets) if target[0] != null[w]]
    for window in held:
        begin = found.tokens.offsets[window]
        first, last = begin + found.targets[window]
        text = context[found.details["starts"][first] : found.details["ends"][last]]
        assert text.strip() == answer
    if not held:
        said = "no window holds 1 answer of 1 (100.0 %) whole, first in row 7."
        assert found.lost.headline == said
        assert len(lengths) > 1  # a context in one window loses nothing


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 120), st.integers(36, 80))
def test_windows_hold_every_token_and_overlap(tokenizer, num_words, max_length):
    context = " ".join(_WORDS[i % len(_WORDS)] for i in range(num_words))
    found = encode_windows(tokenizer, table_of("the x?", context), max_length)
    parts = []
    for window in range(found.tokens.num_rows):
        here = slice(*found.tokens.offsets[window : window + 2])
        begins, ends = found.details["starts"][here], found.details["ends"][here]
        parts.append(
            list(zip(begins[begins >= 0].tolist(), ends[begins >= 0].tolist(), strict=True))
        )
        assert (found.tokens.values[here][: found.details["null"][window]] >= 0).all()
    covered = {c for part in parts for a, b in part for c in range(a, b)}
    assert covered >= {i for i, c in enumerate(context) if not c.isspace()}
    for before, after in itertools.pairwise(parts):
        assert before[-overlap_of(max_length) :] == after[: overlap_of(max_length)]
    assert (found.sources == 0).all()


def test_a_question_is_never_cut_but_refused(tokenizer):
    question = " ".join(["zebra"] * 30)
    with pytest.raises(DataError, match=r"tokens, and at most \d+ leave its context half of"):
        encode_windows(tokenizer, table_of(question, "a river"), 32)


def test_every_question_token_is_in_every_window(tokenizer):
    context = " ".join(_WORDS * 8)
    found = encode_windows(tokenizer, table_of("the old river?", context), 64)
    assert found.tokens.num_rows > 2
    ids = tokenizer("the old river?", add_special_tokens=False)["input_ids"]
    for window in range(found.tokens.num_rows):
        row = found.tokens.row(window).tolist()
        assert any(row[i : i + len(ids)] == ids for i in range(3))


def test_a_tokenizer_that_knows_no_characters_is_refused():
    class Slow:
        is_fast = False

    with pytest.raises(DataError, match="does not say which characters"):
        encode_windows(Slow(), table_of("q", "c"), 32)
