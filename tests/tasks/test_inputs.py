"""Every task is asked about every kind of rows: what it gets is the same table."""

from __future__ import annotations

import dataclasses

import datasets
import pandas as pd
import pyarrow as pa
import pytest

from nbtransfer.data.inputs import open_inputs
from nbtransfer.errors import DataError
from nbtransfer.tasks.catalog import TASKS, task_named
from nbtransfer.tasks.inputs import wanted_of
from tests.runs.folders import DATA_CARD

# By task: the columns of training, and a text for each that the model reads.
_GAP = {"text": "the [MASK] is raised"}
ASKED = {
    "text-classification": ({"text": "review", "label": "stars"}, {"text": "a film"}),
    "multi-label-classification": ({"text": "review", "label": "topics"}, {"text": "a film"}),
    "text-regression": (
        {"text": "premise", "text_pair": "other", "label": "score"},
        {"text": "a film", "text_pair": "a book"},
    ),
    "token-classification": ({"tokens": "words", "tags": "ner"}, {"tokens": ["Ada", "met", "Al"]}),
    "question-answering": (
        {"question": "asked", "context": "story", "answers": "said"},
        {"question": "who?", "context": "Ann."},
    ),
    "translation": ({"source": "en", "target": "fr"}, {"source": "a film"}),
    "summarization": ({"source": "article", "target": "abstract"}, {"source": "a film"}),
    "masked-language-modeling": ({"text": "body"}, _GAP),
    "causal-language-modeling": ({"text": "body"}, {"text": "a film"}),
    "span-corruption": ({"text": "body"}, _GAP),
}
KINDS = {
    "list of dicts": lambda rows: rows,
    "generator of dicts": iter,
    "DataFrame": pd.DataFrame,
    "Arrow": pa.Table.from_pylist,
    "Dataset": datasets.Dataset.from_list,
}


def asked(name, data, *, first=0):
    roles, _ = ASKED[name]
    card = dataclasses.replace(DATA_CARD, task=name, roles=roles)
    task = task_named(name)
    rows = list(open_inputs(data, wanted_of(task, card)).begin())
    return task.inputs(rows, card, first)


def test_every_task_is_tried():
    assert set(ASKED) == set(TASKS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ASKED)
def test_columns_are_found_by_their_names_of_training_and_by_role(name, kind):
    roles, row = ASKED[name]
    by_column = [{"id": i} | {roles[role]: text for role, text in row.items()} for i in range(3)]
    by_role = [row] * 3
    wanted = asked(name, by_column)
    assert wanted.num_rows == 3
    assert asked(name, KINDS[kind](by_column)).equals(wanted)
    assert asked(name, KINDS[kind](by_role)).equals(wanted)


@pytest.mark.parametrize("name", [name for name, (_, row) in ASKED.items() if len(row) == 1])
def test_where_one_text_is_read_it_may_stand_by_itself(name):
    (text,) = ASKED[name][1].values()
    wanted = asked(name, [text] * 3)
    assert asked(name, (each for each in [text] * 3)).equals(wanted)
    assert asked(name, pd.Series([text] * 3)).equals(wanted)


def test_words_and_running_text_are_read_alike(tmp_path):
    wanted = asked("token-classification", ["Ada met Al"])
    assert asked("token-classification", pd.DataFrame({"text": ["Ada met Al"]})).equals(wanted)
    words = pd.DataFrame({"words": [["Ada", "met", "Al"]]})
    words.to_parquet(tmp_path / "words.parquet")
    assert asked("token-classification", words).equals(wanted)
    assert asked("token-classification", pd.read_parquet(tmp_path / "words.parquet")).equals(wanted)
    assert asked("token-classification", str(tmp_path / "words.parquet")).equals(wanted)


def test_a_pair_whose_columns_are_called_like_the_other_s_role_is_not_swapped(monkeypatch):
    roles = {"text": "text_pair", "text_pair": "text", "label": "score"}
    monkeypatch.setitem(ASKED, "text-regression", (roles, {}))
    found = asked("text-regression", [{"text_pair": "first", "text": "second"}])
    assert found.to_pylist() == [{"text": "first", "text_pair": "second"}]


@pytest.mark.parametrize("name", ASKED)
def test_what_is_no_text_is_named_by_its_number_among_all(name):
    with pytest.raises(DataError, match="input 70001"):
        roles, row = ASKED[name]
        task, card = task_named(name), dataclasses.replace(DATA_CARD, task=name, roles=roles)
        good = next(iter(row.values())) if len(row) == 1 else row
        task.inputs([good, None], card, 70_000)


def test_a_translation_that_lacks_its_source_language_is_named_by_its_row():
    rows = [{"translation": {"en": "a film", "fr": "un film"}}, {"translation": {"fr": "deux"}}]
    assert asked("translation", rows[:1])["source"].to_pylist() == ["a film"]
    for data in (rows, pd.DataFrame(rows)):
        with pytest.raises(DataError, match="input 1 is None, a NoneType"):
            asked("translation", data)
