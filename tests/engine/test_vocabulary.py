"""Whole runs that train the word vectors their data uses, and no others."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from nbtransfer.models.catalog import open_model
from nbtransfer.runs.files import read_json, write_json
from tests.engine.jobs import make_run, work

pytestmark = pytest.mark.slow

NAME = "bert.embeddings.word_embeddings.weight"


def pretrained(runs_dir):
    location = open_model("demo:bert-tiny", runs_dir=runs_dir).location
    tensors = load_file(f"{location}/model.safetensors")
    return next(v for k, v in tensors.items() if k.endswith("word_embeddings.weight"))


def test_the_saved_model_has_its_whole_vocabulary_and_unused_words_as_they_were(runs_dir):
    run = make_run(runs_dir, num_train_epochs=1)
    assert work(str(run.dir))
    before, after = pretrained(runs_dir), load_file(run.paths.model_dir / "model.safetensors")[NAME]
    changed = (before != after).any(dim=1)
    used = next(e["words"] for e in run.events() if e["type"] == "data_encoded")
    assert used[1] == len(before) == len(after)
    assert 10 < int(changed.sum()) <= used[0] < 100
    newest = sorted(run.paths.checkpoints_dir.glob("step-*"))[-1]
    assert load_file(newest / "model.safetensors")[NAME].shape[0] == used[0]
    assert any("word vectors learn" in note for note in run.state().notes)


def test_a_plan_that_does_not_know_it_trains_the_whole_vocabulary(runs_dir):
    """Checkpoints of earlier versions hold it, so their runs go on with it."""
    run = make_run(runs_dir, num_train_epochs=1)
    plan = read_json(run.paths.plan)
    assert plan.pop("trains_used_words") is True
    write_json(run.paths.plan, plan)
    assert work(str(run.dir))
    newest = sorted(run.paths.checkpoints_dir.glob("step-*"))[-1]
    weights = load_file(newest / "model.safetensors")[NAME]
    assert weights.shape == pretrained(runs_dir).shape
    assert not torch.equal(weights[-1], pretrained(runs_dir)[-1])  # decayed, though never used


@pytest.mark.parametrize("technique", ["head", "top:1"])
def test_frozen_words_are_left_alone(runs_dir, technique):
    run = make_run(runs_dir, num_train_epochs=1, technique=technique)
    assert work(str(run.dir))
    assert all(e["words"] is None for e in run.events() if e["type"] == "data_encoded")
    assert torch.equal(
        load_file(run.paths.model_dir / "model.safetensors")[NAME], pretrained(runs_dir)
    )
