"""Tests of nbtransfer.tasks.prompts, and of what translation decides for decoders."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nbtransfer.data.encoding import IGNORED
from nbtransfer.errors import DataError
from nbtransfer.tasks.prompts import encode_prompts, usual_prompt
from tests.tasks.word_tokenizer import WordTokenizer

SETTINGS = {"prompt": "say {source} as", "max_target_length": 4, "max_positions": 64}


def encode(sources, targets=None, *, tokenizer=None, max_length=32, **settings):
    tokenizer = tokenizer or WordTokenizer()
    found = encode_prompts(
        tokenizer, sources, targets, max_length=max_length, settings={**SETTINGS, **settings}
    )
    return found, tokenizer


def words(tokenizer, ragged, row=0):
    return tokenizer.words(ragged.row(row))


def test_the_target_stands_behind_the_prompt_and_ends():
    found, tokenizer = encode(["good day", "hello"], ["bonjour", "salut toi"])
    assert words(tokenizer, found.tokens) == "say good day as bonjour <end>"
    assert words(tokenizer, found.tokens, 1) == "say hello as salut toi <end>"
    assert list(found.targets.row(0)[:4]) == [IGNORED] * 4
    assert np.array_equal(found.targets.row(0)[4:], found.tokens.row(0)[4:])
    assert np.array_equal(found.targets.offsets, found.tokens.offsets)


def test_without_targets_there_is_the_prompt_alone():
    found, tokenizer = encode(["good day"])
    assert words(tokenizer, found.tokens) == "say good day as"
    assert found.targets is None


def test_a_long_target_is_cut_and_ends_all_the_same():
    found, tokenizer = encode(["a"], ["one two three four five"])
    assert words(tokenizer, found.tokens) == "say a as one two three <end>"


def test_a_long_source_is_cut_at_its_end_and_the_prompt_stays_whole():
    found, tokenizer = encode(["one two three four five"], ["x"], max_length=5)
    assert words(tokenizer, found.tokens) == "say one two three as x <end>"


def test_what_a_model_reads_at_most_bounds_prompt_and_target_together():
    found, tokenizer = encode(["one two three four five"], ["x"], max_positions=8)
    assert words(tokenizer, found.tokens) == "say one two as x <end>"


def test_a_prompt_that_is_too_long_by_itself_is_told():
    with pytest.raises(DataError, match=r"takes 2 tokens without a source, and 1 fit"):
        encode(["a"], ["b"], max_length=1)


def test_a_tokenizer_that_ends_nothing_is_told():
    tokenizer = WordTokenizer()
    tokenizer.eos_token_id = None
    with pytest.raises(DataError, match="no end-of-text token"):
        encode(["a"], ["b"], tokenizer=tokenizer)


def test_a_chat_template_frames_the_prompt_and_counts_for_nothing():
    tokenizer = WordTokenizer(chat=True)
    found, _ = encode(["one two three"], ["x"], tokenizer=tokenizer, max_length=5)
    assert words(tokenizer, found.tokens) == "<user> say one two three as </user> <bot> x <end>"
    cut, _ = encode(["one two three four"], ["x"], tokenizer=tokenizer, max_length=5)
    assert words(tokenizer, cut.tokens) == "<user> say one two three as </user> <bot> x <end>"


def test_a_source_with_the_place_in_it_is_text_like_any_other():
    found, tokenizer = encode(["{source}"], ["x"])
    assert words(tokenizer, found.tokens) == "say {source} as x <end>"


def test_usual_prompts_name_what_is_wanted():
    assert usual_prompt("translation", ("English", "French")) == (
        "Translate from English to French.\nEnglish: {source}\nFrench:"
    )
    assert "{source}" in usual_prompt("translation", None)
    assert usual_prompt("summarization", None).endswith("Summary:")


def test_a_decoder_is_asked_in_a_prompt_and_an_encoder_decoder_is_not(asked):
    decided = asked("gpt2")
    assert decided.card.settings["prompt"].startswith("Translate from English to French.")
    assert decided.card.settings["prefix"] == ""
    assert decided.in_one_sequence and decided.problems == ()
    assert any("chat template" in note for note in decided.notes)
    assert "prompt" not in {k for k, v in asked("t5").card.settings.items() if v}


@pytest.mark.parametrize(
    ("family", "options", "said"),
    [
        ("t5", {"prompt": "x {source}"}, "reads its sources by an encoder"),
        ("gpt2", {"prefix": "fr: "}, "is asked in a prompt. Take prompt='fr: {source}'"),
        ("bert", {}, "writes no texts: it has no decoder"),
        ("gpt2", {"max_target_length": 60}, "leave no room for a prompt among the 64 positions"),
    ],
)
def test_what_does_not_go_together_is_told(asked, family, options, said):
    (problem,) = asked(family, **options).problems
    assert said in problem


def test_an_own_prompt_is_taken_as_it_is(asked):
    decided = asked("llama", prompt="En: {source}\nFr:")
    assert decided.card.settings["prompt"] == "En: {source}\nFr:"
    assert decided.texts[0].to_pylist()[0].startswith("En: ")


@pytest.fixture
def asked():
    from nbtransfer.data.sources import load_tables
    from nbtransfer.spec import RunSpec
    from nbtransfer.tasks.translation import Translation
    from tests.test_planning import MODEL

    def make(family, **options):
        rows = [{"en": f"word {i}", "fr": f"mot {i}"} for i in range(30)]
        prepared = Translation().prepare(load_tables(rows, name="df"), {}, validation=0.2)
        model = dataclasses.replace(MODEL, model_type=family, max_positions=64)
        return Translation().decide(RunSpec(model="m", data="d", **options), prepared, model)

    return make
