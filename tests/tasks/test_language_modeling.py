"""Tests of nbtransfer.tasks.language_modeling: encoding, figures, gaps filled, texts continued."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from nbtransfer.data.encoding import IGNORED, Ragged
from nbtransfer.errors import DataError
from nbtransfer.tasks.catalog import TASKS, task_named
from nbtransfer.tasks.language_metrics import document_columns, language_metrics, perplexity
from nbtransfer.tasks.language_modeling import Continued, Filled, continuing_tokens
from tests.tasks.test_blocks import Letters

CARD = SimpleNamespace(
    roles={"text": "text"}, settings={"mlm_probability": 0.3, "whole_word_mask": True}
)
MASKED = task_named("masked-language-modeling")
CAUSAL = task_named("causal-language-modeling")
WORDS = ["[PAD]", "[MASK]", "the", "##s", "cat", "Ġdog"]


class Words(Letters):
    """Letters with what masking needs besides."""

    mask_token, mask_token_id = "\0", 10
    all_special_ids = (1, 2)
    bos_token_id = None

    def __len__(self):
        return len(WORDS)

    def convert_ids_to_tokens(self, ids):
        return [WORDS[i] for i in ids]

    def decode(self, ids, skip_special_tokens=False):
        if not skip_special_tokens:  # a candidate for a gap, alone
            return "".join(WORDS[i] for i in ids)
        return "".join(chr(i - 10) for i in ids)


def table(*texts, rows=True):
    columns = {"text": pa.array(texts, pa.string())}
    return pa.table(columns | ({"row": np.arange(len(texts))} if rows else {}))


@pytest.mark.parametrize("name", TASKS)
def test_a_language_model_is_never_guessed_from_a_table(name):
    task = task_named(name)
    if not name.endswith("language-modeling"):
        return
    assert not task.recognises(SimpleNamespace(), {"text": "text"})
    assert task.roles == ("text",)


def test_documents_are_hidden_as_the_options_say():
    found = MASKED.encode(Words([1], [2]), table("abcdef", "ab"), 5, CARD)
    assert found.sources.tolist() == [0, 0, 1]
    assert found.targets is None
    assert (found.masking.share, found.masking.mask_id) == (0.3, 10)
    assert found.masking.continues.tolist() == [word.startswith("##") for word in WORDS]


def test_gaps_of_a_text_are_what_is_to_be_guessed():
    found = MASKED.encode(Words([1], [2]), table("a[MASK]b<mask>", rows=False), 9, CARD)
    assert found.masking is None
    hidden = found.targets.values != IGNORED
    assert hidden.tolist() == [False, False, True, False, True, False]


def test_a_tokenizer_without_a_mask_cannot_hide():
    with pytest.raises(DataError, match=r"no mask token.*causal-language-modeling"):
        MASKED.encode(SimpleNamespace(mask_token_id=None), table("a"), 9, CARD)


def test_each_token_but_the_first_of_a_block_is_a_target():
    found = CAUSAL.encode(Words(eos=3), table("abc", "d"), 9, CARD)
    assert [found.targets.row(i).tolist() for i in range(2)] == [
        [IGNORED, *(10 + ord(c) for c in "bc"), 3],
        [IGNORED, 3],
    ]


def test_a_text_to_be_continued_does_not_end():
    found = CAUSAL.encode(Letters([1], [3], eos=3), table("ab", rows=False), 9, CARD)
    assert found.tokens.row(0).tolist() == [1, 10 + ord("a"), 10 + ord("b")]
    assert found.targets is None


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["the", "##s"], [False, True]),
        (["Ġthe", "s", "Ċ"], [False, True, False]),
        (["▁the", "s"], [False, True]),
    ],
)
def test_tokens_that_continue_a_word_are_known_by_their_marks(words, wanted):
    class Vocabulary(list):
        def convert_ids_to_tokens(self, ids):
            return [self[i] for i in ids]

    assert continuing_tokens(Vocabulary(words)).tolist() == wanted
    with pytest.raises(DataError, match="whole_word_mask needs"):
        continuing_tokens(Vocabulary(["a", "b"]))


def test_perplexity_is_e_to_the_mean_loss_whatever_the_blocks():
    loss = np.array([2.0, 4.0, 1.0])
    guessed, right = np.array([2, 3, 1]), np.array([1, 0, 1])
    answers = {"loss": loss, "guessed": guessed, "right": right}
    found = language_metrics(answers, float(loss.sum() / guessed.sum()))
    assert found["eval_perplexity"] == pytest.approx(math.exp(7 / 6), abs=1e-12)
    assert found["eval_accuracy"] == pytest.approx(2 / 6, abs=1e-12)
    each = document_columns(answers, np.array([0, 0, 1]), table("a", "b"))
    assert each["loss"].to_pylist() == pytest.approx([6 / 5, 1.0])
    assert each["num_tokens"].to_pylist() == [5, 1]
    assert each["num_right"].to_pylist() == [1, 1]


def test_a_loss_beyond_all_measure_is_no_error():
    assert perplexity(1e4) == math.inf
    assert math.isnan(perplexity(math.nan))
    assert math.isnan(language_metrics({}, math.nan)["eval_accuracy"])


def test_gaps_are_filled_with_the_likeliest_token():
    tokens = np.array([[4, 2], [3, 4]])
    answers = {
        "guesses": Ragged(tokens, np.array([0, 2])),
        "shares": Ragged(np.array([[0.5, 0.25], [0.75, 0.125]]), np.array([0, 2])),
    }
    encoding = SimpleNamespace(sources=np.array([0]))
    rows = table("a [MASK] [MASK] b", rows=False)
    decoded = MASKED.decode(answers, encoding, rows, CARD, Words())
    (found,) = MASKED.results(decoded, CARD)
    assert found == Filled(
        "a cats b", [[("cat", 0.5), ("the", 0.25)], [("s", 0.75), ("cat", 0.125)]]
    )
    assert found.cells() == {
        "filled": "a cats b",
        "candidates": "cat 50 %, the 25 %; s 75 %, cat 12 %",
    }


def test_a_candidate_is_shown_as_it_is_read_however_its_vocabulary_spells_it():
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate(["?", "ĠcafÃ©", "Ã©", "Ġthe", "Ã"])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?")
    answers = {
        "guesses": Ragged(np.array([[1, 2, 3, 4]]), np.array([0, 1])),
        "shares": Ragged(np.array([[0.4, 0.3, 0.2, 0.1]]), np.array([0, 1])),
    }
    encoding = SimpleNamespace(sources=np.array([0]))
    rows = table("a [MASK] b", rows=False)
    (found,) = MASKED.results(MASKED.decode(answers, encoding, rows, CARD, tokenizer), CARD)
    assert found.text == "a café b"
    assert [word for word, _ in found.candidates[0]] == ["café", "é", "the", "�"]


def test_a_text_without_a_gap_is_refused():
    with pytest.raises(DataError, match="input 1 is 'no gap', which has no gap to fill"):
        MASKED.inputs(["a [MASK]", "no gap"], CARD)
    with pytest.raises(DataError, match="input 0 is 3, a int"):
        CAUSAL.inputs([3], CARD)


def test_a_continued_text_is_the_prompt_and_what_follows():
    answers = {"continuation": Ragged(np.array([108, 109]), np.array([0, 2]))}
    decoded = CAUSAL.decode(answers, None, table("ab", rows=False), CARD, Words())
    assert CAUSAL.results(decoded, CARD) == [Continued("abbc", "ab", "bc")]


def test_a_report_shows_the_surest_wrong_guess_of_each_document():
    table_of = table("abcdef", "gh", "ij")
    encoding = MASKED.encode(Words([1], [2]), table_of, 20, CARD)
    answers = {
        "loss": np.zeros(3),
        "guessed": np.ones(3),
        "right": np.zeros(3),
        "wrong_place": np.array([3, 1, 0]),
        "wrong_token": np.array([10 + ord("x"), 10 + ord("y"), 0]),
        "wrong_share": np.array([0.5, 0.75, 0.0], np.float32),
    }
    predictions = MASKED.decode(answers, encoding, table_of, CARD, Readable([1], [2]))
    assert predictions["wrong_probability"].to_pylist() == [0.5, 0.75, None]
    first, second = MASKED.findings(answers, table_of, predictions, CARD).mistakes
    assert first == ("[?] h", "g", "y", 0.75, 1)
    assert second == ("ab [?] def", "c", "x", 0.5, 0)


class Readable(Words):
    def decode(self, ids, skip_special_tokens=False):
        return "".join(chr(i - 10) for i in ids if i > 10)
