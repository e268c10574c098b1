"""Predictions part by part: how much is read ahead, what is counted, what an interrupt leaves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nbtransfer as nt
from nbtransfer import answers
from nbtransfer.errors import DataError, RunError, SpecError
from nbtransfer.runs import scoring
from tests.engine.jobs import make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("runs"), name="films")
    run.paths.model_dir.mkdir()
    return run


@pytest.fixture
def asked(monkeypatch):
    """Parts of 10 rows, answered at once by how long a text is; returns the parts' texts."""
    seen = []

    def predict_rows(run, rows):
        texts = rows["text"].to_pylist()
        seen.append(texts)
        share = np.array([1 / (1 + len(text)) for text in texts])
        scoring.tell_rows_read(len(texts), len(texts))
        columns = {"text": texts, "predicted": ["good"] * len(texts), "probability": 1 - share}
        return pa.table({**columns, "p_bad": share, "p_good": 1 - share})

    monkeypatch.setattr(scoring, "predict_rows", predict_rows)
    monkeypatch.setattr(answers, "PART_ROWS", 10)
    return seen


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


TEXTS = [f"film {'x' * i}" for i in range(25)]


def files_here():
    """The names of all files in the working folder, hidden ones too."""
    return sorted(path.name for path in Path().iterdir())


@pytest.mark.parametrize(
    "make", [list, iter, pd.Series, lambda texts: pd.DataFrame({"text": texts})]
)
def test_many_rows_are_answered_in_parts_and_in_order(made, asked, make):
    found = nt.predict(made, make(TEXTS))
    assert [len(part) for part in asked] == [10, 10, 5]
    assert [round(1 / p.probabilities["bad"]) - 1 for p in found] == list(map(len, TEXTS))


def test_no_row_is_drawn_before_the_part_ahead_of_it_is_answered(made, asked):
    """What bounds the memory: however many rows come, only one part of them is held."""
    drawn = []

    def stream():
        for text in TEXTS:
            drawn.append((len(drawn) // 10, len(asked)))
            yield text

    nt.predict(made, stream(), output="answers.parquet")
    assert all(part == answered for part, answered in drawn)


def test_a_file_is_drawn_part_by_part_too(made, asked, monkeypatch):
    from nbtransfer.data import file_rows

    pd.DataFrame({"text": TEXTS}).to_csv("films.csv", index=False)
    drawn = []
    read = file_rows.csv_rows

    def counted(*arguments):
        for fields in read(*arguments):
            drawn.append(len(asked))
            yield fields

    monkeypatch.setattr(file_rows, "csv_rows", counted)
    assert nt.predict(made, "films.csv", output="answers.csv").name == "answers.csv"
    # Once to check and count all, then as they are asked about; each time behind the header.
    assert drawn == [0] * 26 + [0] * 11 + [1] * 10 + [2] * 5


def test_progress_counts_over_the_whole(made, asked):
    told = []
    with scoring.progress_told(lambda *counts: told.append(counts)):
        answers.predict(made, TEXTS)
        answers.predict(made, iter(TEXTS))
    assert told[:3] == [(10, 25), (20, 25), (25, 25)]
    assert told[3:] == [(10, None), (20, None), (25, None), (25, 25)]


def test_a_mistake_in_the_last_row_is_found_before_the_model_is_asked(made, asked):
    with pytest.raises(DataError, match="input 25 is 7, a int"):
        nt.predict(made, [*TEXTS, 7])
    assert asked == []
    with pytest.raises(DataError, match="input 25 is None"):
        nt.predict(made, iter([*TEXTS, None]))
    assert len(asked) == 2  # a stream can only be looked at as it comes


@pytest.mark.parametrize("name", ["answers.parquet", "answers.csv"])
def test_answers_are_written_with_the_number_of_each_row(made, asked, name):
    path = nt.predict(made, (text for text in TEXTS), output=name)
    read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
    table = read(path)
    assert list(table) == ["row", "text", "predicted", "probability", "p_bad", "p_good"]
    assert table["row"].tolist() == list(range(25)) and table["text"].tolist() == TEXTS
    assert files_here() == [name]


@pytest.mark.parametrize("name", ["answers.parquet", "answers.csv"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RunError("failed"), MemoryError])
def test_an_interrupt_or_error_leaves_no_file_and_the_old_one_whole(
    made, asked, monkeypatch, name, error
):
    Path(name).write_text("old")
    predict_rows = scoring.predict_rows

    def broken(run, rows):
        if len(asked) == 2:
            raise error
        return predict_rows(run, rows)

    monkeypatch.setattr(scoring, "predict_rows", broken)
    with pytest.raises(error if isinstance(error, type) else type(error)):
        nt.predict(made, TEXTS, output=name)
    assert files_here() == [name] and Path(name).read_text() == "old"


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("answers.txt", "must end in .parquet or .csv"),
        ("answers", "must end in .parquet or .csv"),
        ("no/such/answers.csv", "there is no folder 'no/such'"),
        ("folder.csv", "is a folder"),
        ("films.csv", "is the file that is asked about"),
        ("./films.csv", "is the file that is asked about"),
        ("link.csv", "is the file that is asked about"),
    ],
)
def test_where_answers_cannot_go_is_told_before_the_model_is_asked(made, asked, output, says):
    pd.DataFrame({"text": TEXTS}).to_csv("films.csv", index=False)
    Path("folder.csv").mkdir()
    Path("link.csv").symlink_to("films.csv")
    with pytest.raises(SpecError) as caught:
        nt.predict(made, "films.csv", output=output)
    assert says in str(caught.value) and asked == []
    assert len(pd.read_csv("films.csv")) == 25


def test_an_output_that_takes_no_more_says_so_and_leaves_nothing(made, asked, monkeypatch):
    from nbtransfer.data import answer_files

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(answer_files, "sync", full)
    with pytest.raises(SpecError, match=r"written \(No space left on device\); nothing"):
        nt.predict(made, TEXTS, output="answers.parquet")
    assert files_here() == []


def test_nothing_to_write_is_said(made, asked):
    with pytest.raises(DataError, match="hold no rows"):
        nt.predict(made, [], output="answers.csv")
    pd.DataFrame({"text": []}).to_csv("films.csv", index=False)
    for output in (None, "answers.csv"):
        with pytest.raises(DataError, match=r"films\.csv has no rows"):
            nt.predict(made, "films.csv", output=output)
    assert files_here() == ["films.csv"]


def test_lists_in_answers_are_json_in_a_csv_file():
    from nbtransfer.data.answer_files import AnswerFile

    table = pa.table({"tokens": [["Käse", "a"], []], "shares": [[0.5, 1.0], []]})
    with AnswerFile("answers.csv") as file:
        file.write(table)
    written = pd.read_csv("answers.csv")
    assert [json.loads(cell) for cell in written["tokens"]] == [["Käse", "a"], []]
    with AnswerFile("answers.parquet") as file:
        file.write(table)
    assert pq.read_table("answers.parquet").drop_columns("row").equals(table)


def test_what_is_read_of_a_file_is_said_once_and_of_texts_nothing(made, asked, capsys):
    pd.DataFrame({"text": TEXTS}).to_csv("films.csv", index=False)
    nt.predict(made, "films.csv")
    assert capsys.readouterr().err == "asked about: column 'text' of films.csv\n"
    nt.predict(made, TEXTS)
    nt.predict(made, pd.DataFrame({"text": TEXTS}))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (5, "the inputs is 5, an int, which holds no texts"),
        (None, "the inputs is None, which holds no texts"),
        ([None], "input 0 is None, a NoneType. Give texts"),
        ([float("nan")], "input 0 is nan, a float. Give texts"),
        (np.array([["a", "b"], ["c", "d"]]), "an array of shape (2, 2)"),
        ([["a", "b"]], "input 0 is ['a', 'b'], a list. Give texts"),
        (
            [{"txt": "a"}],
            "no column 'text' in the inputs. Columns: txt. Did you mean --column txt?",
        ),
        (pd.DataFrame({"review": ["a"]}), "no column 'text' in the inputs. Columns: review."),
        ("films.csv", "no file 'films.csv'"),
        ("demo:tweet", "Did you mean demo:tweets?"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused_in_words(made, asked, inputs, says):
    with pytest.raises(DataError) as caught:
        nt.predict(made, inputs)
    assert says in str(caught.value) and asked == []


def test_an_empty_text_is_a_text_and_no_texts_are_no_answers(made, asked):
    assert len(nt.predict(made, [""])) == 1
    assert nt.predict(made, []) == nt.predict(made, iter([])) == []
