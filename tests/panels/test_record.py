"""Tests of nbtransfer.panels.record."""

import json

import pytest

from nbtransfer.panels import record
from nbtransfer.panels.figure_bundle import Bundle
from tests.panels.live_runs import LiveRun


@pytest.fixture
def run(runs_dir):
    run = LiveRun(runs_dir / "calm-heron").start(10)
    run.evaluation(10)
    run.complete(10)
    return run


def test_the_card_comes_before_any_figure_is_drawn(run, monkeypatch):
    monkeypatch.setattr(record, "_curves_bundle", lambda *_: 1 / 0)
    bundles = record.record_bundles(run, "completed")
    assert "%evaluate calm-heron" in next(bundles).data["text/plain"]
    with pytest.raises(ZeroDivisionError):
        next(bundles)


def test_a_run_without_steps_or_report_is_the_card_alone(runs_dir):
    run = LiveRun(runs_dir / "short").start(0)
    run.fail(0)
    assert len(list(record.record_bundles(run, "failed"))) == 1


def test_the_report_follows_the_curves_where_there_is_one(run, monkeypatch):
    monkeypatch.setattr(record, "_curves_bundle", lambda *_: Bundle({"text/plain": "curves"}, {}))
    report = [Bundle({"text/plain": "report"}, {}), Bundle({"text/plain": "matrix"}, {})]
    monkeypatch.setattr(record, "_report_bundles", lambda _: iter(report))
    path = run.paths.evaluation(record.REPORT).report
    assert len(list(record.record_bundles(run, "completed"))) == 2
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    texts = [bundle.data["text/plain"] for bundle in record.record_bundles(run, "completed")]
    assert texts[1:] == ["curves", "report", "matrix"]
    assert len(texts) == record.MAX_OUTPUTS


def test_the_curves_are_one_output_with_figure_picture_and_text(run):
    _, curves = record.record_bundles(run, "completed")
    assert set(curves.data) == {"application/vnd.plotly.v1+json", "image/png", "text/plain"}
    assert curves.data["text/plain"]
    assert len(json.dumps(curves.data)) < 150_000
