from types import SimpleNamespace

import pytest

from nbtransfer.errors import DataError, RunError, SpecError
from tests.runs.folders import completed, make_run, write_events


@pytest.fixture
def calls(monkeypatch, runs_dir):
    write_events(make_run(runs_dir, "done"), completed(6))
    seen = SimpleNamespace(asked=[], shown=[])

    def evaluate(run, data, **options):
        seen.asked.append((run.id, data, {k: v for k, v in options.items() if v is not None}))
        return "the report"

    monkeypatch.setattr("nbtransfer.api.evaluate", evaluate)
    monkeypatch.setattr("nbtransfer.panels.report_panel.show_report", seen.shown.append)
    return seen


def test_without_words_the_newest_finished_run_is_taken_and_named(cells, calls):
    ran = cells.ok("report = %evaluate")
    assert calls.asked == [("done", None, {})]
    assert cells.names["report"] == "the report" and calls.shown == ["the report"]
    assert "done, the newest finished run" in ran.shown


def test_run_data_and_options_are_handed_on(cells, calls, rows):
    cells.names["films"] = rows
    ran = cells.ok("%evaluate done films --text review --label sentiment --split test")
    ((run, data, options),) = calls.asked
    assert (run, data is rows) == ("done", True)
    assert options == {
        "text": "review",
        "label": "sentiment",
        "split": "test",
        "data_name": "films",
    }
    assert "newest" not in ran.shown


def test_a_single_word_that_is_no_run_is_data(cells, calls):
    cells.ok("%evaluate held_out.csv")
    assert calls.asked == [("done", "held_out.csv", {})]


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("dnoe", RunError, "Did you mean done?"),
        ("nothing test.csv", RunError, "no run 'nothing'. Runs: done."),
        ("dff", DataError, "no variable or file named 'dff'"),
        ("done --text review", SpecError, "--text name columns of DATA"),
        ("done --splt test", SpecError, "no option '--splt'. Did you mean --split?"),
        ("done a.csv b.csv", SpecError, "'b.csv' is one word too many: %evaluate takes RUN and"),
    ],
)
def test_a_mistake_is_named(cells, calls, line, kind, message):
    error = cells.run(f"%evaluate {line}").error
    assert isinstance(error, kind) and message in str(error)
    assert not calls.asked
