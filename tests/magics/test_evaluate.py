from __future__ import annotations

from types import SimpleNamespace

import pytest

from nbtransfer.errors import DataError, RunError, SpecError
from nbtransfer.runs.representations import EmbeddingMap, Stage
from tests.plans import changed
from tests.runs.folders import DATA_CARD, completed, make_run, write_events


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


@pytest.fixture
def maps(monkeypatch, calls):
    """What `api.embeddings` is asked for; it answers with a map of four texts."""
    asked = []
    points = ((0.0, 1.0), (1.0, 0.0), (2.0, 1.0), (3.0, 0.0))

    def embeddings(run, data, **options):
        asked.append((run.id, data, {k: v for k, v in options.items() if v is not None}))
        return EmbeddingMap(
            run_id=run.id,
            split="test",
            labels=("bad", "good"),
            classes=(0, 0, 1, 1),
            texts=("dull", "<b>cold</b>", "warm", "fine"),
            before=Stage(points, (0.5, 0.3), 0.02, (0.5, 0.75)),
            after=Stage(points[::-1], (0.9, 0.1), 0.81, (0.5, 1.0)),
            majority_share=0.5,
        )

    monkeypatch.setattr("nbtransfer.api.embeddings", embeddings)
    return asked


def test_embeddings_are_shown_as_one_figure_with_its_numbers_in_words(cells, calls, maps):
    ran = cells.ok("found = %evaluate done --embeddings")
    assert maps == [("done", None, {})] and not calls.asked
    assert cells.names["found"].after.silhouette == 0.81
    assert "silhouette" in ran.shown and "probe on layer 1" in ran.shown
    (figure,) = [o for o in ran.outputs if "image/png" in o.data]
    assert "application/vnd.plotly.v1+json" in figure.data
    assert "<b>cold" not in str(figure.data["application/vnd.plotly.v1+json"])


def test_embeddings_of_data_take_its_columns_as_an_evaluation_does(cells, maps, rows):
    cells.names["films"] = rows
    cells.ok("%evaluate done films --embeddings --text review --label sentiment --split train")
    ((run, data, options),) = maps
    assert (run, data is rows) == ("done", True)
    assert options == {
        "text": "review",
        "label": "sentiment",
        "split": "train",
        "data_name": "films",
    }


def test_embeddings_of_a_task_without_classes_are_refused(cells, runs_dir, monkeypatch):
    card = changed(DATA_CARD, task="question-answering")
    monkeypatch.setattr("tests.runs.folders.DATA_CARD", card)
    monkeypatch.setattr("nbtransfer.runs.scoring.require_model", lambda run: None)
    write_events(make_run(runs_dir, "found"), completed(6))
    error = cells.run("%evaluate found --embeddings").error
    assert isinstance(error, SpecError) and "Take a run of text-classification" in str(error)
