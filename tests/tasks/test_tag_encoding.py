"""Each word's tag stands on its first token, whatever the tokenizer and the window."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from nbtransfer.errors import ModelError
from nbtransfer.tasks.tag_encoding import Window, encode_words, place_words, word_tokens
from nbtransfer.tasks.tagged_rows import joined
from nbtransfer.tasks.words import split_words

CORPUS = [
    "Ada Byron moved from Leeds to Zürich in 1843, or so she wrote.",
    "the U.S. Navy's ships aren't in Łódź; e-mail ada@navy.mil!",
    "unbelievably long internationalisation words 東京 tower",
] * 4
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_level(*, add_prefix_space: bool, trim_offsets: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def with_ends(tokenizer: Tokenizer) -> Tokenizer:
    numbers = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    ends = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=numbers
    )
    own = [tokenizer.post_processor] if tokenizer.post_processor is not None else []
    tokenizer.post_processor = processors.Sequence([*own, ends])
    return tokenizer


BUILT = {
    "WordPiece": lambda: with_ends(word_piece()),
    "byte-level BPE, as RoBERTa": lambda: with_ends(
        byte_level(add_prefix_space=False, trim_offsets=True)
    ),
    "byte-level BPE, as GPT-2": lambda: byte_level(add_prefix_space=False, trim_offsets=False),
    "byte-level BPE, prefix space": lambda: byte_level(add_prefix_space=True, trim_offsets=True),
    "Unigram, as SentencePiece": lambda: with_ends(unigram()),
}


class Called:
    """What transformers' fast tokenizers do when called, on a tokenizer of `tokenizers`."""

    is_fast = True

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def num_special_tokens_to_add(self) -> int:
        return self.tokenizer.num_special_tokens_to_add(False)

    def __call__(self, texts, *, max_length, stride, **_):
        self.tokenizer.enable_truncation(max_length, stride=stride)
        found = {
            "input_ids": [],
            "offset_mapping": [],
            "special_tokens_mask": [],
            "overflow_to_sample_mapping": [],
        }
        for sample, first in enumerate(self.tokenizer.encode_batch(list(texts))):
            for window in [first, *first.overflowing]:
                found["input_ids"].append(window.ids)
                found["offset_mapping"].append(window.offsets)
                found["special_tokens_mask"].append(window.special_tokens_mask)
                found["overflow_to_sample_mapping"].append(sample)
        return found


@pytest.fixture(scope="module", params=BUILT)
def tokenizer(request):
    return Called(BUILT[request.param]())


def table_of(rows: list[tuple[str, list[str], list[int]]]) -> pa.Table:
    """Texts, words and places; the tag of a word is its number."""
    return pa.table(
        {
            "text": [text for text, _, _ in rows],
            "tokens": pa.array([words for _, words, _ in rows], pa.list_(pa.string())),
            "starts": pa.array([starts for _, _, starts in rows], pa.list_(pa.int32())),
            "tags": pa.array([list(range(len(w))) for _, w, _ in rows], pa.list_(pa.int32())),
            "row": range(3, 3 + len(rows)),
        }
    )


def raw(text: str) -> tuple[str, list[str], list[int]]:
    words = split_words(text)
    return text, [text[a:b] for a, b in words], [a for a, _ in words]


def given_as(words: list[str]) -> tuple[str, list[str], list[int]]:
    text, starts = joined(words)
    return text, words, starts


def tokens_of(encoding, rows):
    return word_tokens(encoding, np.array([len(words) for _, words, _ in rows]))


LETTERS = st.text(alphabet="abcdeiostuvyzAEZ'.,-!@#é東ßŁ👩\u200d½ﬁ", min_size=1, max_size=9)
ROWS = st.lists(
    st.one_of(
        st.lists(LETTERS, min_size=1, max_size=12).map(lambda words: raw(" ".join(words))),
        st.lists(LETTERS, min_size=1, max_size=12).map(given_as),
    ).filter(lambda row: row[1]),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, max_length=st.sampled_from([8, 13, 32, 256]))
def test_every_word_has_one_target_on_a_token_of_its_own_text(tokenizer, rows, max_length):
    encoding = encode_words(tokenizer, table_of(rows), max_length)
    token, is_first = tokens_of(encoding, rows), encoding.details["is_first"]
    targets = encoding.targets.values
    assert max(encoding.tokens.lengths) <= max_length
    # Each word that has a token of its own is a target once, and nothing else is.
    assert (targets >= 0).sum() == is_first.sum()
    tags = [tag for _, words, _ in rows for tag in range(len(words))]
    spans = _characters(tokenizer, rows, max_length)
    word = 0
    for row, (_, words, starts) in enumerate(rows):
        for tag, (text, start) in enumerate(zip(words, starts, strict=True)):
            place = token[word]
            if place >= 0:
                sample, first, after = spans[place]
                assert sample == row
                # It covers the word's first character, or what is left of it after normalising.
                assert first < start + len(text) and after > start
                if is_first[word]:
                    assert targets[place] == tag == tags[word]
            word += 1


def _characters(tokenizer, rows, max_length):
    """Row and characters of every token, asked of the tokenizer anew."""
    room = max_length - tokenizer.num_special_tokens_to_add()
    found = tokenizer([r[0] for r in rows], max_length=max_length, stride=max(0, room // 4))
    return [
        (sample, a, b)
        for sample, offsets in zip(
            found["overflow_to_sample_mapping"], found["offset_mapping"], strict=True
        )
        for a, b in offsets
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS)
def test_windows_ask_about_the_same_words_as_one_long_row(tokenizer, rows):
    whole = encode_words(tokenizer, table_of(rows), 512)
    parts = encode_words(tokenizer, table_of(rows), 8)
    token = [tokens_of(encoding, rows) for encoding in (whole, parts)]
    assert (token[0] >= 0).tolist() == (token[1] >= 0).tolist()
    assert whole.details["is_first"].tolist() == parts.details["is_first"].tolist()
    asked, ids = [], []
    for encoding, places in zip((whole, parts), token, strict=True):
        asked.append(encoding.targets.values[places][encoding.details["is_first"]].tolist())
        ids.append(encoding.tokens.values[places[places >= 0]].tolist())
    assert asked[0] == asked[1]
    assert ids[0] == ids[1]


def test_ordinary_words_all_have_a_token_of_their_own(tokenizer):
    encoding = encode_words(tokenizer, table_of([raw(text) for text in CORPUS[:2]]), 256)
    assert encoding.details["is_first"].all()


def test_word_piece_labels_are_those_of_word_ids():
    tokenizer = word_piece()
    words = [["unbelievably", "Ada", "'s", "Zürich", "."], ["internationalisation"]]
    ours = encode_words(Called(tokenizer), table_of([given_as(row) for row in words]), 64)
    tokenizer.no_truncation()
    theirs = []
    for row in words:
        found, before = tokenizer.encode(row, is_pretokenized=True), None
        for word in found.word_ids:
            theirs.append(-100 if word is None or word == before else word)
            before = word
    assert ours.targets.values.tolist() == theirs


def test_words_that_the_tokenizer_makes_nothing_of_are_counted():
    table = table_of([given_as(["Ada", "lives"]), given_as(["\u200d", "Ada", "\ufeff"])])
    lost = encode_words(Called(word_piece()), table, 16).lost
    said = "the tokenizer makes no token of 2 words of 5 (40.0 %), first in row 4."
    assert lost.headline == said
    assert encode_words(Called(word_piece()), table.slice(0, 1), 16).lost[:3] == (0, 2, -1)
    assert encode_words(Called(word_piece()), table.drop_columns("tags"), 16).lost is None


def test_a_window_is_asked_about_its_own_words_alone():
    class Counted(list):
        asked = 0

        def __getitem__(self, place):
            self.asked += not isinstance(place, slice)
            return super().__getitem__(place)

    starts = Counted(range(0, 50_000, 5))
    stretches = [starts[i : i + 100] for i in range(0, len(starts), 75)]
    windows = [Window(0, [(i, i + 4) for i in part], [0] * len(part)) for part in stretches]
    found = place_words(starts, [start + 4 for start in starts], windows)
    assert min(found) >= 0
    assert starts.asked < 3 * len(starts)


def test_without_tags_there_are_no_targets():
    table = table_of([raw("Ada lives here.")]).drop_columns("tags")
    assert encode_words(Called(word_piece()), table, 16).targets is None


def test_a_tokenizer_without_places_is_refused_in_words():
    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match=r"Take a model with a tokenizer\.json"):
        encode_words(Slow(), table_of([raw("Ada")]), 16)
