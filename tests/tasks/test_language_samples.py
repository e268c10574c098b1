"""Tests of nbtransfer.tasks.language_samples: which texts are shown, and what stands in them."""

from __future__ import annotations

import numpy as np

from nbtransfer.data.encoding import Encoding, Ragged
from nbtransfer.data.masking import FIXED_DRAW, Masking, hide_tokens
from nbtransfer.tasks.language_samples import (
    continued_samples,
    guessed_samples,
    prompts_of,
)

MASK = 4


class Numbers:
    """A tokenizer whose tokens are their numbers, and above 100 long words."""

    def decode(self, ids, skip_special_tokens=False):
        ids = [i for i in ids if not (skip_special_tokens and i < 5)]
        return " ".join("word" + chr(97 + i % 26) * 4 if i > 100 else str(i) for i in ids)


def encoding(rows, sources, **more):
    return Encoding(tokens=Ragged.of(rows, "int32"), sources=np.array(sources), **more)


def test_prompts_are_the_beginnings_of_documents_spread_over_all():
    rows = [list(range(10 * i, 10 * i + 10)) for i in range(12)]
    found = prompts_of(encoding(rows, [i // 2 for i in range(12)]))  # two blocks a document
    assert [prompt.tokens.tolist() for prompt in found] == [
        list(range(start, start + 5)) for start in (0, 40, 80)
    ]
    assert found[1].rest.tolist() == list(range(45, 50))


def test_long_documents_give_short_prompts_and_a_bounded_rest():
    (prompt,) = prompts_of(encoding([list(range(500))], [0]))
    assert (len(prompt.tokens), len(prompt.rest)) == (16, 32)


def test_texts_of_a_token_or_two_give_no_prompt():
    assert prompts_of(encoding([[7], [7, 8]], [0, 1])) == []
    assert prompts_of(encoding([], [])) == []


def test_a_continuation_stands_beside_what_was_written():
    prompts = prompts_of(encoding([[10, 11, 12, 13]], [0]))
    (sample,) = continued_samples(prompts, [np.array([77, 3])], Numbers())
    assert sample == ("10 11", "12 13", "77")


def hidden_rows():
    rows = [[2, *range(20, 30), 101 + i, *range(30, 40), 3] for i in range(3)]
    masking = Masking(0.5, MASK, 90, (2, 3))
    found = encoding(rows, [0, 1, 2], masking=masking)
    guesses, shares = [], []
    for i, row in enumerate(rows):
        ids = np.array([row])
        labels = hide_tokens(ids, np.ones_like(ids, bool), np.array([i]), masking, FIXED_DRAW)[0]
        hidden = labels[labels != -100]
        guesses.append(np.stack([hidden + 1000, hidden]).T)  # wrong first, right second
        shares.append(np.tile([0.75, 0.25], (len(hidden), 1)))
    answers = {"guesses": Ragged.of(guesses, "int32"), "shares": Ragged.of(shares, "float32")}
    return answers, found, rows


def test_the_guess_shown_is_that_of_the_hidden_token_shown():
    answers, found, rows = hidden_rows()
    samples = guessed_samples(answers, found, Numbers())
    assert len(samples) == 3
    for sample, row in zip(samples, rows, strict=True):
        said = Numbers().decode(
            [next(t for t in row if Numbers().decode([t]) == sample.right) + 1000]
        )
        assert sample.said == f"{said} 75 %"
        assert sample.text.count("[?]") == 1
        assert sample.right not in sample.text.split()


def test_a_whole_word_behind_the_mask_is_shown_before_a_number():
    answers, found, rows = hidden_rows()
    samples = guessed_samples(answers, found, Numbers())
    words = [Numbers().decode([101 + i]) for i in range(len(rows))]
    asked = [sample.right == word for sample, word in zip(samples, words, strict=True)]
    shown = [word in sample.text for sample, word in zip(samples, words, strict=True)]
    # A word that was not hidden stands in the text; one that was is what is asked for.
    assert any(asked) and all(a != s for a, s in zip(asked, shown, strict=True))


def test_long_documents_are_shown_where_there_are_enough_of_them():
    rows = [[7, 8, 9, 10], *([i] * 40 for i in range(20, 23)), [1, 2, 3, 4]]
    found = prompts_of(encoding(rows, range(5)))
    assert [prompt.tokens[0] for prompt in found] == [20, 21, 22]
    fewer = prompts_of(encoding(rows[:3], range(3)))
    assert [prompt.tokens[0] for prompt in fewer] == [7, 20, 21]


def test_nothing_is_shown_where_nothing_was_guessed():
    _, found, _ = hidden_rows()
    assert guessed_samples({}, found, Numbers()) == ()
