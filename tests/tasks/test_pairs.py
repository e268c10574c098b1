"""Tests of pairs of texts: recognised by name, read together, asked for together."""

from __future__ import annotations

import pandas as pd
import pytest

from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError, SpecError
from nbtransfer.tasks.catalog import choose_task
from nbtransfer.tasks.text_classification import TextClassification

TASK = TextClassification()


def tables(first="premise", second="hypothesis", rows=20):
    return load_tables(
        pd.DataFrame(
            {
                first: [f"it rained on day {i // 2}" for i in range(rows)],
                second: [f"the street is wet {i}" for i in range(rows)],
                "label": ["yes", "no"] * (rows // 2),
            }
        ),
        name="df",
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [("premise", "hypothesis"), ("sentence1", "sentence2"), ("Text_A", "text_b")],
)
def test_columns_named_like_a_pair_are_read_together(first, second):
    found = TASK.prepare(tables(first, second), {}, validation=False)
    assert found.card.roles == {"text": first, "text_pair": second, "label": "label"}
    assert found.splits["train"].column_names == ["text", "text_pair", "label", "row"]
    assert any("read as a pair" in note for note in found.card.notes)


def test_one_named_text_alone_is_read_alone():
    found = TASK.prepare(tables(), {"text": "premise"}, validation=False)
    assert found.card.roles == {"text": "premise", "label": "label"}
    assert "text_pair" not in found.splits["train"].column_names


def test_a_column_that_was_named_as_the_label_is_no_text_of_a_pair():
    found = TASK.prepare(tables(), {"label": "premise"}, validation=False)
    assert found.card.roles == {"text": "hypothesis", "label": "premise"}


def test_other_columns_are_a_pair_where_both_are_named():
    found = TASK.prepare(
        tables("post", "reply"), {"text": "post", "text_pair": "reply"}, validation=False
    )
    assert found.card.roles["text_pair"] == "reply"


def test_a_column_named_twice_is_refused():
    with pytest.raises(DataError, match="--text-pair names 'premise' a second time"):
        TASK.prepare(tables(), {"text": "premise", "text_pair": "premise"})


def test_a_pair_column_that_is_missing_is_named_with_the_nearest():
    with pytest.raises(DataError, match="Did you mean --text-pair hypothesis"):
        TASK.prepare(tables(), {"text": "premise", "text_pair": "hypothsis"})


def test_equal_first_texts_are_no_duplicates_while_the_second_differ():
    assert TASK.prepare(tables(), {}, validation=False).card.num_duplicates == 0


def test_the_second_texts_are_part_of_what_the_data_is():
    one = TASK.prepare(tables(), {}, validation=False).card.fingerprint
    frame = tables().splits["train"].to_pandas()
    frame.loc[3, "hypothesis"] = "the street is dry"
    other = TASK.prepare(load_tables(frame, name="df"), {}, validation=False).card.fingerprint
    assert one != other


def test_both_texts_are_tokenized_together_with_their_types():
    found = TASK.prepare(tables(rows=4), {}, validation=False)

    class Tokenizer:
        model_input_names = ("input_ids", "token_type_ids", "attention_mask")

        def __call__(self, texts, pairs, **options):
            assert options["return_token_type_ids"]
            return {
                "input_ids": [[len(a), len(b)] for a, b in zip(texts, pairs, strict=True)],
                "token_type_ids": [[0, 1] for _ in texts],
            }

    encoding = TASK.encode(Tokenizer(), found.splits["train"], 16, found.card)
    assert encoding.segments.tolist() == [0, 1] * 4
    assert encoding.tokens.row(0).tolist() == [18, 19]


@pytest.mark.parametrize(
    "given",
    [("a", "b"), ["a", "b"], {"premise": "a", "hypothesis": "b"}, {"text": "a", "text_pair": "b"}],
)
def test_a_pair_to_predict_is_two_texts_in_any_form(given):
    card = TASK.prepare(tables(), {}).card
    assert TASK.inputs([given], card).to_pylist() == [{"text": "a", "text_pair": "b"}]


@pytest.mark.parametrize("given", ["only one", ("a",), ("a", 3), {"premise": "a"}, None])
def test_half_a_pair_is_refused_with_how_to_give_one(given):
    card = TASK.prepare(tables(), {}).card
    with pytest.raises(DataError, match=r"reads pairs of texts \('premise' and 'hypothesis'\)"):
        TASK.inputs([given], card)


def test_a_column_that_the_task_does_not_read_is_named():
    with pytest.raises(SpecError, match="has no column 'spans'; it reads text, text_pair, label"):
        choose_task("text-classification", tables(), {"spans": "x"})
