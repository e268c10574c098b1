"""Prediction jobs in a worker say how far they are."""

from __future__ import annotations

import pytest

from nbtransfer import api
from nbtransfer.engine import jobs
from nbtransfer.runs.scoring import progress_told
from tests.engine.asking import answer_here
from tests.engine.jobs import make_run, reviews, work


@pytest.mark.slow
def test_rows_read_are_counted_to_the_last(runs_dir, monkeypatch):
    run = make_run(runs_dir, num_train_epochs=1)
    assert work(str(run.dir))
    told = []
    with progress_told(lambda done, total: told.append((done, total))):
        found = api.answers.predict(run, [row["text"] for row in reviews(300)])
    assert len(found) == 300
    assert told[-1] == (300, 300)
    assert told == sorted(told)


@pytest.mark.slow
def test_a_streaming_dataset_is_answered_in_parts_as_a_list_is(runs_dir, monkeypatch):
    from datasets import Dataset

    run = make_run(runs_dir, num_train_epochs=1)
    assert work(str(run.dir))
    answer_here(monkeypatch)
    rows = reviews(25)
    whole = api.predict(run, rows)
    monkeypatch.setattr(api.answers, "PART_ROWS", 10)
    parts = api.predict(run, Dataset.from_list(rows).to_iterable_dataset())
    assert [p.label for p in parts] == [p.label for p in whole]
    assert [p.score for p in parts] == pytest.approx([p.score for p in whole], abs=1e-6)


def test_long_texts_that_are_read_in_parts_count_once_and_not_too_often(tmp_path, monkeypatch):
    from nbtransfer.runs.events import EventWriter, read_events

    now = [0.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now[0])
    events = EventWriter(tmp_path / "events.jsonl")
    count = jobs._Count(events, num_rows=10, num_passed=40)
    for _ in range(40):
        now[0] += 0.1
        count(1)
    said = [(e["done"], e["total"]) for e in read_events(tmp_path / "events.jsonl")]
    assert said[0] == (1, 10) and said[-1] == (10, 10)
    assert len(said) == 8
