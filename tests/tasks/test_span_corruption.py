"""Tests of nbtransfer.tasks.span_corruption: encoding, gaps filled, what is shown of documents."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from nbtransfer.data.encoding import Ragged
from nbtransfer.data.masking import FIXED_DRAW
from nbtransfer.errors import DataError
from nbtransfer.tasks.catalog import task_named
from nbtransfer.tasks.span_corruption import sentinels_of
from tests.tasks.test_blocks import Letters

TASK = task_named("span-corruption")
CARD = SimpleNamespace(roles={"text": "text"}, settings={"mlm_probability": 0.3})
END, FIRST = 3, 500


class T5(Letters):
    """Letters that end in a token of their own, and three sentinels, numbered downwards."""

    def __init__(self):
        super().__init__([], [END])

    def get_vocab(self):
        return {f"<extra_id_{i}>": FIRST - i for i in range(3)}

    def convert_ids_to_tokens(self, ids):
        return [f"<extra_id_{FIRST - i}>" for i in ids]

    def decode(self, ids, skip_special_tokens=False):
        return "".join(chr(i - 10) for i in ids if i not in (END, FIRST, FIRST - 1, FIRST - 2))


def table(*texts, rows=True):
    columns = {"text": pa.array(texts, pa.string())}
    return pa.table(columns | ({"row": np.arange(len(texts))} if rows else {}))


def test_sentinels_are_found_in_their_order():
    assert sentinels_of(T5()) == (FIRST, FIRST - 1, FIRST - 2)


def test_a_tokenizer_without_sentinels_is_refused():
    with pytest.raises(DataError, match=r"no tokens <extra_id_0>.*t5-small"):
        sentinels_of(SimpleNamespace(get_vocab=dict))


def test_documents_become_blocks_that_hide_as_the_options_say():
    found = TASK.encode(T5(), table("abcdefgh", "ab"), 5, CARD)
    assert found.sources.tolist() == [0, 0, 1]
    assert found.masking == (0.3, (FIRST, FIRST - 1, FIRST - 2), 0, (END,))


def test_gaps_of_a_text_become_sentinels_and_what_is_written_fills_them():
    asked = TASK.inputs(["a [MASK] b <mask> c"], CARD)
    found = TASK.encode(T5(), asked, 99, CARD)
    text = "".join(chr(i - 10) for i in found.tokens.row(0).tolist()[:-1])
    assert text == "a <extra_id_0> b <extra_id_1> c"
    said = np.array([FIRST, 10 + ord("x"), 10 + ord("y"), FIRST - 1, 10 + ord("z"), END])
    told = TASK.decode({"written": Ragged.of([said], "int32")}, found, asked, CARD, T5())
    (result,) = TASK.results(told, CARD)
    assert result == ("a xy b z c", ["xy", "z"])
    assert result.cells() == {"filled": "a xy b z c", "written": "xy; z"}


def test_a_gap_that_nothing_was_written_for_stays_open():
    asked = TASK.inputs(["a [MASK] b [MASK]"], CARD)
    said = Ragged.of([np.array([FIRST, 10 + ord("x"), END])], "int32")
    found = TASK.encode(T5(), asked, 99, CARD)
    (result,) = TASK.results(TASK.decode({"written": said}, found, asked, CARD, T5()), CARD)
    assert result.text == "a x b …"


def test_a_text_without_a_gap_is_refused_with_its_number():
    with pytest.raises(DataError, match=r"input 1 is 'no gap'.*\[MASK\]"):
        TASK.inputs(["a [MASK]", "no gap"], CARD)


def answers_of(encoding):
    """Answers of a model that writes the right thing, but for an X at each stretch's first."""
    said, places, tokens, shares = [], [], [], []
    for i in range(encoding.tokens.num_rows):
        hidden = encoding.masking.corrupt(encoding.tokens.row(i), i, FIXED_DRAW)
        own = hidden.targets.copy()
        first = int(np.flatnonzero(hidden.places >= 0)[0])
        own[first] = 10 + ord("X")
        said.append(own)
        places.append(first)
        tokens.append(own[first])
        shares.append(0.5 + i / 10)
    return {
        "said": Ragged.of(said, "int32"),
        "wrong_place": np.array(places),
        "wrong_token": np.array(tokens),
        "wrong_share": np.array(shares),
        "loss": np.ones(len(said)),
        "right": np.ones(len(said), int),
        "guessed": np.full(len(said), 2),
    }


TEXTS = ("abcdefghijklmnop", "qrstuvwxyzabcdef", "ghijklmnopqrstuv")


def test_a_wrong_guess_stands_at_its_place_in_the_document():
    rows = table(*TEXTS)
    found = TASK.encode(T5(), rows, 99, CARD)
    told = TASK.decode(answers_of(found), found, rows, CARD, T5())
    for i, text in enumerate(TEXTS):
        before, after = told["wrong_context"][i].as_py().split(" [?] ")
        right = told["right_token"][i].as_py()
        assert before + right + after in text and told["wrong_token"][i].as_py() == "X"
    (surest, *_) = TASK.findings({}, rows, told, CARD).mistakes
    assert surest.row == 2


def test_a_wrong_sentinel_is_not_shown_as_a_mistake():
    rows = table(*TEXTS)
    found = TASK.encode(T5(), rows, 99, CARD)
    answers = answers_of(found) | {"wrong_place": np.zeros(3, int)}
    told = TASK.decode(answers, found, rows, CARD, T5())
    assert told["wrong_context"].to_pylist() == [None] * 3


def test_a_hidden_stretch_is_shown_beside_the_models_own():
    found = TASK.encode(T5(), table(*TEXTS), 99, CARD)
    samples = TASK.samples(answers_of(found), found, [], T5())
    assert len(samples) == 3
    for sample, text in zip(samples, TEXTS, strict=True):
        start, _, end = sample.text.partition(" [?]")
        assert start.split(" ")[-1] + sample.right in text
        assert end.strip().split(" ")[0].strip("_") in text
        assert len(sample.said) == len(sample.right)
