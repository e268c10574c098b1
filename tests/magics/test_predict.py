import pandas as pd
import pytest

from nbtransfer.api import Prediction
from nbtransfer.errors import DataError, RunError
from tests.runs.folders import completed, make_run, write_events


@pytest.fixture
def asked(monkeypatch, runs_dir):
    write_events(make_run(runs_dir, "done"), completed(6))
    seen = []

    def predict(run, texts, **_):
        seen.append((run.id, texts))
        return [Prediction("good", 0.9, {"bad": 0.1, "good": 0.9}) for _ in texts]

    monkeypatch.setattr("nbtransfer.api.predict", predict)
    return seen


@pytest.fixture
def frame(cells):
    cells.names["df"] = pd.DataFrame({"review": ["a", "b"], "my text": ["c", "d"], "n": [1, 2]})
    cells.names["more"] = ["e", "f"]


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
    ],
)
def test_texts_of_a_line(cells, asked, frame, line, texts):
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


def test_the_lists_own_display_is_one_line(cells, asked):
    value = cells.ok('%predict done "a text"').value
    shown = cells.shell.display_formatter.format(value)[0]["text/plain"]
    assert shown == "1 prediction in a list; keep it: found = %predict ..."


def test_without_a_run_the_newest_finished_one_is_named(cells, asked):
    ran = cells.ok('%predict "a text"')
    assert asked == [("done", ["a text"])]
    assert "done, the newest finished run" in ran.shown


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("done", DataError, "no text is given. Write it in quotes"),
        ("", DataError, "no text is given"),
        ('dnoe "a text"', RunError, "Did you mean done?"),
        ("done df", DataError, "df is a table. Name its column of texts: %predict df.review"),
        ("done df.reveiw", DataError, "no column 'reveiw' in df. Columns: review, my text, n. Did"),
        ("done df --column nothing", DataError, "no column 'nothing' in df"),
        ("done number", DataError, "number is 3, which holds no texts"),
        ("done it's", Exception, "the quotes in the line are not balanced"),
    ],
)
def test_a_mistake_is_named(cells, asked, frame, line, kind, message):
    cells.names["number"] = 3
    error = cells.run(f"%predict {line}").error
    assert isinstance(error, kind) and message in str(error)
    assert not asked
