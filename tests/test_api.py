"""The Python calls, as far as they go without a worker."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

import nbtransfer as nt
from nbtransfer import api, jobs
from nbtransfer.errors import DataError, RunError, SpecError
from nbtransfer.runs import store
from nbtransfer.runs.events import EventWriter
from tests.engine.jobs import make_run, reviews


def _finish(run, event="run_completed"):
    """Give a run a model and an ending, as a worker would."""
    run.paths.model_dir.mkdir()
    events = EventWriter(run.paths.events)
    events.append(event, step=3, reason="finished", train_runtime_s=1.0)
    events.close()


def test_the_plan_is_made_without_writing_or_starting_anything(runs_dir):
    plan = nt.plan("demo:bert-tiny", reviews(50), runs_dir=runs_dir, num_train_epochs=2)
    assert plan.num_train_rows == 45
    assert plan.num_validation_rows == 5
    assert plan.num_steps == 2 * 3
    assert list(runs_dir.iterdir()) == []


def test_every_problem_of_a_job_is_told_at_once(runs_dir):
    with pytest.raises(SpecError) as caught:
        nt.plan(
            "demo:bert-tiny", reviews(50), runs_dir=runs_dir, learning_rate=-1, technique="heads"
        )
    text = str(caught.value)
    assert "learning_rate=-1" in text
    assert "Did you mean 'head'?" in text


def test_an_unknown_keyword_is_named_with_the_nearest(runs_dir):
    with pytest.raises(SpecError, match=r"no option 'num_epoch'.*Did you mean"):
        nt.plan("demo:bert-tiny", reviews(50), runs_dir=runs_dir, num_epoch=3)


def test_the_well_known_trainer_recipe_is_taken_and_what_is_dropped_is_named(runs_dir):
    job = api.prepare_job(
        "demo:bert-tiny",
        reviews(300),
        keywords={
            "output_dir": "./results",
            "num_train_epochs": 3,
            "per_device_train_batch_size": 16,
            "per_device_eval_batch_size": 64,
            "warmup_steps": 500,
            "weight_decay": 0.01,
            "logging_dir": "./logs",
        },
        runs_dir=runs_dir,
    )
    notes = " ".join(job.notes)
    assert "output_dir is not used" in notes
    assert "logging_dir is not used" in notes
    assert job.spec.per_device_eval_batch_size == 64
    assert any("500" in warning for warning in job.plan.warnings), job.plan.warnings


@pytest.mark.parametrize(("model", "data"), [(None, None), ("demo:bert-tiny", None)])
def test_finetune_without_data_says_what_is_missing(model, data):
    with pytest.raises(SpecError, match="finetune needs"):
        nt.finetune(model, data)


def test_lengths_of_very_many_texts_are_sampled(runs_dir, monkeypatch):
    from nbtransfer.data import lengths

    monkeypatch.setattr(lengths, "MAX_MEASURED_TEXTS", 10)
    job = api.prepare_job("demo:bert-tiny", reviews(100), keywords={}, runs_dir=runs_dir)
    assert len(job.lengths.tokens) == 10


def test_a_run_keeps_the_rows_it_was_given(runs_dir):
    from nbtransfer.runs.files import read_table

    rows = reviews(50)
    run = make_run(runs_dir, num_rows=50)
    tables = [read_table(run.paths.split(s)) for s in ("train", "validation")]
    kept = {r["row"]: r["text"] for table in tables for r in table.to_pylist()}
    assert kept == {i: row["text"] for i, row in enumerate(rows)}


def test_resuming_a_finished_run_is_refused_with_what_to_do(runs_dir):
    run = make_run(runs_dir)
    _finish(run)
    with pytest.raises(RunError, match=r"finished\. To train its model further"):
        nt.finetune(resume=run.id, runs_dir=runs_dir, show=False)


def test_evaluating_a_run_without_a_model_says_what_to_do(runs_dir):
    run = make_run(runs_dir)
    with pytest.raises(RunError, match="still running"):
        nt.evaluate(run)


def test_evaluating_a_split_the_run_does_not_have_lists_the_splits(runs_dir):
    run = make_run(runs_dir)
    _finish(run)
    with pytest.raises(RunError, match=r"no split 'test'. Splits: train, validation"):
        nt.evaluate(run, split="test")


def test_evaluating_on_rows_of_an_unknown_class_is_refused(runs_dir):
    run = make_run(runs_dir)
    _finish(run)
    with pytest.raises(DataError, match="'so-so'"):
        nt.evaluate(run, [{"text": "a film", "label": "so-so"}])


def test_predicting_what_is_no_text_names_the_input(runs_dir):
    run = make_run(runs_dir)
    _finish(run)
    with pytest.raises(DataError, match="input 1 is 7, a int"):
        nt.predict(run, ["a film", 7])


def test_predicting_nothing_is_nothing(runs_dir):
    run = make_run(runs_dir)
    _finish(run)
    assert nt.predict(run, []) == []


def test_without_a_name_the_newest_run_is_opened(runs_dir):
    import os

    old, new = (make_run(runs_dir, name=name) for name in ("old", "new"))
    os.utime(old.paths.spec, (1, 1))
    assert nt.open_run(runs_dir=runs_dir).id == new.id
    assert [run.id for run in nt.list_runs(runs_dir=runs_dir)] == ["new", "old"]


def test_a_model_that_is_no_model_is_refused(runs_dir):
    with pytest.raises(nt.ModelError, match="not a model"):
        nt.plan(3.5, reviews(50), runs_dir=runs_dir)


def test_a_run_and_a_folder_serve_as_models(runs_dir, tmp_path):
    from nbtransfer.models.catalog import open_model

    folder = Path(open_model("demo:bert-tiny", runs_dir=runs_dir).location)
    run = make_run(runs_dir, name="before")
    shutil.copytree(folder, run.paths.model_dir)
    chained = api.prepare_job(run, reviews(40), keywords={}, runs_dir=runs_dir)
    assert (chained.spec.model, chained.model_card.source) == ("before", "run")
    elsewhere = api.prepare_job(run, reviews(40), keywords={}, runs_dir=tmp_path / "other")
    assert elsewhere.model_card.location == str(run.paths.model_dir)
    by_path = api.prepare_job(folder, reviews(40), keywords={}, runs_dir=runs_dir)
    assert by_path.spec.model == str(folder)


def test_a_job_is_not_started_where_its_name_is_taken(runs_dir):
    make_run(runs_dir, name="taken")
    job = jobs.prepare_job(
        "demo:bert-tiny", reviews(50), keywords={"name": "taken"}, runs_dir=runs_dir
    )
    with pytest.raises(SpecError, match="'taken' is already there"):
        store.create_run(
            runs_dir,
            spec=job.spec,
            plan=job.plan,
            data_card=job.prepared.card,
            model_card=job.model_card,
            splits=job.prepared.splits,
        )


@pytest.mark.slow
def test_a_model_in_a_variable_is_trained(runs_dir):
    from transformers import AutoModel, AutoTokenizer

    from nbtransfer.models.catalog import open_model

    location = open_model("demo:bert-tiny", runs_dir=runs_dir).location
    pair = (AutoModel.from_pretrained(location), AutoTokenizer.from_pretrained(location))
    run = nt.finetune(
        pair, reviews(40), max_steps=2, runs_dir=runs_dir, show=False, learning_rate=1e-3
    )
    assert run.status == "completed"
    assert run.model_card.source == "variable"
    assert run.model_card.location == str(run.paths.base_model_dir)


def test_an_interrupt_stops_the_run_and_returns_it(runs_dir, monkeypatch):
    started = []

    def start_job(job):
        run = jobs.store.create_run(
            runs_dir,
            spec=job.spec,
            plan=job.plan,
            data_card=job.prepared.card,
            model_card=job.model_card,
            splits=job.prepared.splits,
        )
        started.append(run)
        signal.raise_signal(signal.SIGINT)
        return run

    def stop(run, *, reason):
        assert reason == "interrupt"
        _finish(run, "run_stopped")

    monkeypatch.setattr(api, "start_job", start_job)
    monkeypatch.setattr("nbtransfer.runs.run.Run.stop", stop)
    run = nt.finetune("demo:bert-tiny", reviews(50), runs_dir=runs_dir, show=False)
    assert run is started[0] and run.status == "stopped"


def test_a_second_interrupt_goes_through(runs_dir, monkeypatch):
    run = make_run(runs_dir)
    monkeypatch.setattr(
        api, "resume_run", lambda *_, **__: signal.raise_signal(signal.SIGINT) or run
    )
    monkeypatch.setattr(
        "nbtransfer.runs.run.Run.stop", lambda *_, **__: signal.raise_signal(signal.SIGINT)
    )
    with pytest.raises(KeyboardInterrupt):
        nt.finetune(resume=run, runs_dir=runs_dir, show=False)


def test_what_was_not_given_on_resuming_is_no_wish_to_change_it(runs_dir, monkeypatch):
    run = make_run(runs_dir, num_train_epochs=7, learning_rate=0.5)
    asked = []
    monkeypatch.setattr(
        api, "resume_job", lambda run, changes, *, allow: asked.append((changes, allow)) or run
    )
    nt.finetune(resume=run, runs_dir=runs_dir, wait=False, show=False)
    nt.finetune(resume=run, max_steps=9, eval_steps=2, allow=True, wait=False, show=False)
    assert asked == [({}, False), ({"max_steps": 9, "eval_steps": 2}, True)]
