from collections import ChainMap
from pathlib import Path

import pandas as pd
import pytest

from nbtransfer.errors import DataError, ModelError, RunError
from nbtransfer.magics.names import (
    Named,
    find_run,
    newest_finished,
    require_run,
    resolve_data,
    resolve_model,
)
from nbtransfer.magics.words import Word
from tests.runs.folders import begun, completed, make_run, write_events

DF = pd.DataFrame({"text": ["a"], "label": ["b"]})


class Model:
    config = None

    def save_pretrained(self, folder):
        raise AssertionError("only looked at")


def data(text, **names):
    return resolve_data(Word(text), names)


def test_a_bare_name_is_the_variable():
    value, name = data("df", df=DF)
    assert value is DF and name == "df"


def test_locals_come_before_the_notebook():
    names = ChainMap({"df": [1]}, {"df": DF})
    assert resolve_data(Word("df"), names).value == [1]


def test_a_quoted_name_is_text():
    assert resolve_data(Word("df", True), {"df": DF}) == Named("df")


@pytest.mark.parametrize("value", ["reviews.csv", Path("reviews.csv")])
def test_a_variable_with_a_path_stands_for_the_path(value):
    assert data("where", where=value) == Named("reviews.csv")


@pytest.mark.parametrize("text", ["demo:tweets", "reviews.csv", "owner/name", "data/*.csv", "imdb"])
def test_other_words_are_references(text):
    assert data(text, df=DF) == Named(text)


def test_a_file_whose_name_begins_like_a_variable_is_a_file():
    assert data("df.csv", df=DF) == Named("df.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "dff",
            "no variable or file named 'dff'. .*: df .1 rows, 2 columns.. Did you mean df",
        ),
        ("train_df", "no variable or file named 'train_df'. Data in this notebook: df"),
        ("tweets", "no data named 'tweets'. Did you mean demo:tweets.$"),
        ("n", "n is an int, which cannot be read as data. Data in this notebook: df"),
        ("df.head()", r"'df.head\(\)' is code, and .* first: rows = df.head\(\)$"),
        ("df[df.x>1]", "is code"),
        ("df.text", "is code"),
    ],
)
def test_what_is_no_data_is_named_with_what_there_is(text, message):
    with pytest.raises(DataError, match=message):
        data(text, df=DF, n=3, _hidden=DF)


def test_an_empty_notebook_is_said_to_be_empty():
    with pytest.raises(DataError, match="no data in this notebook's variables yet; demo:tweets"):
        data("df")


def test_models_are_variables_or_references():
    model = Model()
    assert resolve_model(Word("m"), {"m": model}) == Named(model, "m")
    assert resolve_model(Word("m"), {"m": (model, "tokenizer")}).name == "m"
    assert resolve_model(Word("m"), {"m": "demo:minilm"}) == Named("demo:minilm")
    assert resolve_model(Word("gpt2"), {"m": model}) == Named("gpt2")


def test_a_run_in_a_variable_is_a_model_by_its_folder(runs_dir):
    run = make_run(runs_dir)
    assert resolve_model(Word("r"), {"r": run}) == Named(str(run.dir))
    assert resolve_model(Word("r"), {"r": run}, runs_dir) == Named("calm-heron-0712")


def test_a_variable_that_is_no_model_is_refused():
    with pytest.raises(ModelError, match="n is an int, not a model"):
        resolve_model(Word("n"), {"n": 3})


def test_a_run_is_found_by_variable_name_and_folder(runs_dir):
    run = make_run(runs_dir)
    found = [
        find_run(Word(text), {"r": run, "s": "calm-heron-0712"}, runs_dir)
        for text in ("r", "s", "calm-heron-0712", str(run.dir))
    ]
    assert [r.id for r in found] == ["calm-heron-0712"] * 4


@pytest.mark.parametrize("text", ["nothing", "x" * 5000, "a\0b", "../..", "n", ""])
def test_what_is_no_run_is_none(text, runs_dir):
    assert find_run(Word(text), {"n": 3}, runs_dir) is None


def test_a_mistyped_run_is_answered_with_the_nearest(runs_dir):
    make_run(runs_dir)
    with pytest.raises(RunError, match=r"Runs: calm-heron-0712\. Did you mean calm-heron-0712"):
        require_run(Word("calm-heron-0721"), {}, runs_dir)
    with pytest.raises(RunError, match="n is an int, not a run"):
        require_run(Word("n"), {"n": 3}, runs_dir)


def test_the_newest_finished_run_passes_over_live_ones(runs_dir):
    with pytest.raises(RunError, match="no finished run in"):
        newest_finished(runs_dir)
    done = make_run(runs_dir, "done")
    write_events(done, completed(6))
    begun(make_run(runs_dir, "live"))
    assert newest_finished(runs_dir).id == "done"
