"""Tests of nbtransfer.tasks.documents: which texts are learnt from, and which are held out."""

from __future__ import annotations

import pandas as pd
import pytest

from nbtransfer.data.corpus import load_corpus
from nbtransfer.errors import DataError
from nbtransfer.tasks.documents import prepare_documents

TEXTS = [f"document number {i}" for i in range(40)]


def prepare(data, **options):
    tables = load_corpus(data, name="corpus")
    return prepare_documents(tables, "masked-language-modeling", **options)


def problem(data, **options):
    with pytest.raises(DataError) as caught:
        prepare(data, **options)
    return str(caught.value)


def test_a_tenth_of_the_documents_is_held_out_the_same_each_time():
    first, again = prepare(TEXTS), prepare(TEXTS)
    held = first.splits["validation"]["text"].to_pylist()
    assert len(held) == 4
    assert held == again.splits["validation"]["text"].to_pylist()
    assert not set(held) & set(first.splits["train"]["text"].to_pylist())
    assert "validation: 10 % of train, seed 42: 4 rows" in first.card.notes
    assert first.splits["train"].column_names == ["text", "row"]


def test_another_seed_holds_out_other_documents():
    held = [prepare(TEXTS, split_seed=s).splits["validation"]["row"].to_pylist() for s in (1, 2)]
    assert held[0] != held[1]


def test_the_end_of_a_single_document_is_held_out():
    text = " ".join(f"word{i}" for i in range(100))
    prepared = prepare([text])
    halves = [prepared.splits[split]["text"][0].as_py() for split in ("train", "validation")]
    assert " ".join(halves) == text
    assert 0.05 < len(halves[1]) / len(text) < 0.15
    assert "validation: the last 10 % of the one document there is" in prepared.card.notes


def test_a_single_word_cannot_be_split():
    prepared = prepare(["word"])
    assert list(prepared.splits) == ["train"]
    assert "nothing is held out" in prepared.card.warnings[0]


def test_there_is_no_validation_where_none_is_wanted():
    assert list(prepare(TEXTS, validation=False).splits) == ["train"]


def test_held_out_texts_may_be_given_apart(tmp_path):
    (tmp_path / "held.txt").write_text("one held out\n\ntwo held out\n")
    prepared = prepare(TEXTS, validation=str(tmp_path / "held.txt"))
    assert prepared.splits["validation"]["text"].to_pylist() == ["one held out", "two held out"]
    assert prepared.card.num_rows == {"train": 40, "validation": 2}


def test_the_card_has_a_text_and_no_classes():
    card = prepare(pd.DataFrame({"id": range(40), "body": TEXTS})).card
    assert card.roles == {"text": "body"}
    assert card.label_names == () and card.majority_share is None
    assert "text column: 'body' (by its name)" in card.notes


def test_repeated_and_shared_texts_are_counted():
    splits = {
        "train": pd.DataFrame({"text": ["a b", "a b", "c d"]}),
        "validation": pd.DataFrame({"text": ["c d", "e f"]}),
    }
    card = prepare(splits).card
    assert card.num_duplicates == 1
    assert card.num_overlap == {"validation": 1}
    assert "1 validation text is also in train." in card.warnings


def test_rows_without_a_text_are_left_out_with_a_note():
    prepared = prepare([*TEXTS, None, "  "])
    assert sum(prepared.card.num_rows.values()) == 40
    assert "2 rows are left out of corpus: no text (first: row 40)" in prepared.card.notes


def test_other_texts_have_another_fingerprint():
    assert prepare(TEXTS).card.fingerprint != prepare([*TEXTS[:-1], "x"]).card.fingerprint
    assert prepare(TEXTS).card.fingerprint == prepare(TEXTS).card.fingerprint


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (["same"] * 9, {}, "every text of corpus is the same, 'same'"),
        (["", None], {}, "every text of corpus is missing or empty"),
        ([], {}, "corpus holds no texts. Give at least one."),
        (["a", 3], {}, "text 1 of corpus is 3, an int. Give texts"),
        (pd.DataFrame({"n": [1, 2]}), {}, "no text column in corpus"),
        (
            pd.DataFrame({"body": ["a", "b"]}),
            {"text": "bdy"},
            "no column 'bdy' in corpus. Columns: body. Did you mean --text body?",
        ),
        (pd.DataFrame({"a": ["x y", "z"], "b": ["p q", "r"]}), {}, "has 2 columns that could be"),
        (TEXTS, {"validation": 1.5}, "validation=1.5 is not understood"),
    ],
)
def test_what_cannot_be_learnt_from_is_said_in_words(data, options, message):
    assert message in problem(data, **options)
