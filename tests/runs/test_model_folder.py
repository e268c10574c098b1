"""A model without its run: what it knows, what it refuses, and what is kept with it."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

import nbtransfer as nt
from nbtransfer.data.card import ColumnInfo
from nbtransfer.errors import RunError
from nbtransfer.runs import store
from nbtransfer.runs.files import write_json
from nbtransfer.runs.model_folder import ModelFolder
from nbtransfer.runs.usage import Usage
from tests.runs.folders import make_run


def save(run):
    """Give the run a model, as its worker would."""
    run.paths.model_dir.mkdir()
    (run.paths.model_dir / "config.json").write_text("{}")
    write_json(run.paths.usage, run.usage.to_json())
    return run.paths.model_dir


@pytest.fixture
def folder(runs_dir, tmp_path):
    """The copied model of a run that is gone."""
    run = make_run(runs_dir)
    copy = shutil.copytree(save(run), tmp_path / "kept model")
    shutil.rmtree(run.dir)
    return copy


@pytest.fixture
def model(folder, runs_dir):
    return store.open_run(str(folder), runs_dir)


def test_a_model_folder_is_opened_by_its_path_and_knows_how_it_is_asked(model, folder):
    assert isinstance(model, ModelFolder)
    assert (model.dir, model.id, model.status) == (folder, "kept model", "completed")
    assert model.data_card.label_names == ("bad", "good")
    assert (model.usage.max_length, model.usage.num_threads) == (16, 1)
    assert repr(model).endswith("kept model', without its run: text-classification")


def test_it_has_no_record_and_says_so(model):
    assert (model.metrics(), list(model.events()), model.log()) == ({}, [], "")
    assert model.wait() is model and model.state().step == 0


@pytest.mark.parametrize(
    ("do", "what"),
    [
        (lambda model: model.show(), "its record"),
        (lambda model: model.resume(), "its checkpoints"),
        (lambda model: model.stop(), "its worker"),
        (lambda model: model.set(learning_rate=1.0), "its worker"),
        (lambda model: model.pause(), "its worker"),
        (lambda model: model.plan, "plan.json"),
        (lambda model: model.spec, "spec.json"),
        (lambda model: model.model_card, "model_card.json"),
        (lambda model: nt.finetune(resume=model), "spec.json"),
        (lambda model: nt.embeddings(model), "model_card.json"),
        (lambda model: nt.forgetting(model), "model_card.json"),
    ],
)
def test_what_needs_the_run_is_refused_with_what_can_be_done(model, do, what):
    with pytest.raises(RunError) as caught:
        do(model)
    assert f"is a model without its run: {what} is not there. It can be asked" in str(caught.value)
    assert "copy the whole run folder" in str(caught.value)


def test_it_is_no_run_of_the_runs_folder_and_is_never_removed(folder, runs_dir):
    inside = shutil.copytree(folder, runs_dir / "exported")
    assert store.list_runs(runs_dir) == []
    model = store.open_run("exported", runs_dir)
    assert isinstance(model, ModelFolder)
    with pytest.raises(RunError, match="not a run's own folder"):
        store.remove_run(model, runs_dir)
    assert inside.is_dir()


def test_reports_lie_in_the_runs_folder_apart_for_each_place(folder, runs_dir, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other" / "kept model")
    places = {
        store.open_run(str(each), runs_dir).paths.evaluation("films").dir
        for each in (folder, other)
    }
    assert len(places) == 2
    assert all(place.is_relative_to(runs_dir) for place in places)


def test_a_model_of_an_earlier_version_says_to_copy_the_run(folder, runs_dir):
    (folder / "nbtransfer.json").unlink()
    with pytest.raises(RunError, match=r"holds a model, but not how it is asked .*whole run"):
        store.open_run(str(folder), runs_dir)


def test_a_copied_run_is_opened_whole(runs_dir, tmp_path):
    run = make_run(runs_dir)
    save(run)
    copy = shutil.copytree(run.dir, tmp_path / "copy")
    assert not isinstance(store.open_run(str(copy), runs_dir), ModelFolder)


def test_what_is_kept_with_a_model_tells_nothing_of_its_rows_or_places(runs_dir):
    run = make_run(runs_dir)
    example = ColumnInfo(
        name="text", type="string", num_missing=0, num_distinct=4, example="SECRET"
    )
    run.__dict__["data_card"] = dataclasses.replace(
        run.data_card,
        columns=(example,),
        origin="file /home/SECRET/films.csv",
        notes=("SECRET",),
        warnings=("SECRET",),
    )
    record = run.usage.to_json()
    assert "SECRET" not in json.dumps(record) and str(runs_dir) not in json.dumps(record)
    assert Usage.from_json(json.loads(json.dumps(record))).to_json() == record


@pytest.mark.parametrize(
    "change",
    [
        lambda record: "text",
        lambda record: [],
        lambda record: record.pop("card") and record,
        lambda record: record | {"card": []},
        lambda record: record | {"card": record["card"] | {"task": "cooking"}},
        lambda record: record | {"card": record["card"] | {"label_names": [1, 2]}},
        lambda record: record | {"max_length": "many"},
        lambda record: record | {"max_length": True},
        lambda record: record | {"num_threads": 0},
        lambda record: {},
    ],
)
def test_a_damaged_record_is_named(folder, runs_dir, change):
    path = folder / "nbtransfer.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(RunError, match=r"damaged: nbtransfer\.json"):
        _ = store.open_run(str(folder), runs_dir).data_card


def test_fields_of_a_newer_version_are_left_out(folder, runs_dir):
    path = folder / "nbtransfer.json"
    record = json.loads(path.read_text())
    record |= {"more": 1, "card": record["card"] | {"more": 2}}
    path.write_text(json.dumps(record))
    assert store.open_run(str(folder), runs_dir).usage.max_length == 16
