import pandas as pd
import pytest

from nbtransfer.api import Prediction
from nbtransfer.errors import DataError, RunError
from tests.runs.folders import completed, make_run, write_events


@pytest.fixture
def asked(monkeypatch, runs_dir):
    write_events(make_run(runs_dir, "done"), completed(6))
    seen = []

    def predict(run, given, output=None):
        texts = list(given.begin())
        seen.append((run.id, texts) if output is None else (run.id, texts, output))
        return output or [Prediction("good", 0.9, {"bad": 0.1, "good": 0.9}) for _ in texts]

    monkeypatch.setattr("nbtransfer.api.predict", predict)
    return seen


@pytest.fixture
def frame(cells):
    cells.names["df"] = pd.DataFrame({"review": ["a", "b"], "my text": ["c", "d"], "n": [1, 2]})
    cells.names["more"] = ["e", "f"]


@pytest.fixture
def files(cells, tmp_path):
    """Files in the working folder, and variables: a file's name, a generator."""
    (tmp_path / "films.csv").write_text("id,text\n1,x\n2,y\n")
    (tmp_path / "notes.jsonl").write_text('{"body": "x"}\n')
    cells.names["place"] = "films.csv"
    cells.names["lines"] = (text for text in "gh")


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ('done "a text" "it\'s another"', ["a text", "it's another"]),
        ("done not a dull minute", ["not a dull minute"]),
        ('done "df"', ["df"]),
        ('done "--text"', ["--text"]),
        ("done more", ["e", "f"]),
        ("done df.review", ["a", "b"]),
        ('done df["my text"]', ["c", "d"]),
        ("done df --column review", ["a", "b"]),
        ('done df.review "one more"', ["a", "b", "one more"]),
        ("done this.is text", ["this.is text"]),
        ("done films.csv", ["x", "y"]),
        ('done "films.csv"', ["x", "y"]),
        ("done notes.jsonl --column body", ["x"]),
        ("done place", ["x", "y"]),
        ("done lines", ["g", "h"]),
    ],
)
def test_texts_of_a_line(cells, asked, frame, files, line, texts):
    cells.ok(f"%predict {line}")
    assert asked == [("done", texts)]


def test_a_series_and_a_text_in_variables_are_read(cells, asked, frame):
    cells.names["one"] = "a single text"
    cells.names["series"] = cells.names["df"]["review"]
    cells.ok("%predict done one series")
    assert asked == [("done", ["a single text", "a", "b"])]


def test_a_table_with_the_runs_own_text_column_needs_no_column(cells, asked):
    cells.names["rows"] = [{"text": "a", "label": 1}]
    cells.ok("%predict done rows")
    assert asked == [("done", ["a"])]


def test_the_table_is_shown_and_the_list_returned(cells, asked):
    ran = cells.ok('found = %predict done "a text"')
    assert cells.names["found"] == [Prediction("good", 0.9, {"bad": 0.1, "good": 0.9})]
    assert "a text  good   90.0 %" in ran.shown


def test_what_is_read_of_a_file_is_said_and_its_first_rows_are_shown(cells, asked, files):
    ran = cells.ok("%predict done films.csv")
    assert "asked about: column 'text' of films.csv" in ran.shown
    assert "x     good   90.0 %" in ran.shown


def test_answers_go_to_a_file_where_one_is_named(cells, asked, files):
    cells.ok("where = %predict done films.csv --output answers.parquet")
    assert asked == [("done", ["x", "y"], "answers.parquet")]
    assert cells.names["where"] == "answers.parquet"


def test_rows_of_a_generator_that_are_shown_are_answered_too(cells, asked, files):
    ran = cells.ok("found = %predict done lines")
    assert len(cells.names["found"]) == 2 and "h     good" in ran.shown


def test_the_lists_own_display_is_one_line(cells, asked):
    value = cells.ok('%predict done "a text"').value
    shown = cells.shell.display_formatter.format(value)[0]["text/plain"]
    assert shown == "1 prediction in a list; keep it: found = %predict ..."


def test_without_a_run_the_newest_finished_one_is_named(cells, asked):
    ran = cells.ok('%predict "a text"')
    assert asked == [("done", ["a text"])]
    assert "done, the newest finished run" in ran.shown


def test_a_copied_model_folder_is_a_run_and_one_of_an_earlier_version_is_refused(
    cells, asked, tmp_path
):
    from nbtransfer.runs.files import write_json
    from nbtransfer.runs.run import Run

    usage = Run(tmp_path / "runs" / "done").usage
    for name in ("kept", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    write_json(tmp_path / "kept" / "nbtransfer.json", usage.to_json())
    cells.ok('%predict kept/ "a text"')
    assert asked == [("kept", ["a text"])]
    assert "Copy the whole run folder" in str(cells.run('%predict old "a text"').error)
    error = cells.run("%runs show kept").error
    assert error is None or "without its run" in str(error)
    assert "without its run" in str(cells.run("%finetune --resume kept").error)


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("done", DataError, "no text is given. Write it in quotes"),
        ("", DataError, "no text is given"),
        ('dnoe "a text"', RunError, "Did you mean done?"),
        ("done df", DataError, "no column 'text' in df. Columns: review, my text, n. Did you mean"),
        ("done df.reveiw", DataError, "no column 'reveiw' in df. Columns: review, my text, n. Did"),
        ("done df --column nothing", DataError, "no column 'nothing' in df"),
        ("done number", DataError, "number is 3, an int, which holds no texts"),
        ("done fims.csv", DataError, "no file 'fims.csv'. Did you mean 'films.csv'? To ask about"),
        ("done films.csv more", DataError, "'films.csv' is data, and stands among other words"),
        ("dnoe films.csv", RunError, "Did you mean done?"),
        ('no/such "a text"', RunError, "no run 'no/such'"),
        ("done demo:tweet", DataError, "Did you mean demo:tweets?"),
        ("done films.csv --column txt", DataError, "Did you mean --column text?"),
        ("done more --column text", DataError, "--column text is given, and more are no table"),
        ("done it's", Exception, "the quotes in the line are not balanced"),
    ],
)
def test_a_mistake_is_named(cells, asked, frame, files, line, kind, message):
    cells.names["number"] = 3
    error = cells.run(f"%predict {line}").error
    assert isinstance(error, kind) and message in str(error)
    assert not asked
