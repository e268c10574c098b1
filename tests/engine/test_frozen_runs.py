"""Whole runs whose frozen layers are computed once, beside the same runs without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nbtransfer.engine import frozen, loading
from nbtransfer.engine.train import Training
from nbtransfer.engine.worker import StopSignal
from nbtransfer.runs.events import EventWriter
from tests.engine.jobs import make_run, work

if TYPE_CHECKING:
    import torch

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("technique", ["head", "top:1"])
def test_losses_and_weights_agree_with_the_run_without(runs_dir, monkeypatch, technique):
    def train(name: str) -> tuple[list[float], dict[str, torch.Tensor], list[dict]]:
        frozen._kept.clear()
        run = make_run(runs_dir, num_rows=40, technique=technique, name=name, num_train_epochs=2)
        training = Training(run.paths, EventWriter(run.paths.events), StopSignal(), restart=False)
        training.resume()
        training.loop()
        events = list(run.events())
        losses = [e["loss"] for e in events if e["type"] == "step_completed"]
        losses += [e["metrics"]["eval_loss"] for e in events if e["type"] == "evaluation_completed"]
        said = [e for e in events if e["type"] == "frozen_layers_computed"]
        return losses, training.plain_learner().state_dict(), said

    losses, weights, said = train("once")
    assert [e["cache"] for e in said] == ["miss", "miss"]
    monkeypatch.setattr(loading, "cut_of", lambda *_: None)
    plain_losses, plain_weights, said = train("plain")
    assert said == []
    assert losses == pytest.approx(plain_losses, rel=1e-6)
    for name, weight in plain_weights.items():
        # AdamW divides by the gradient's size: where that is near 0, rounding decides the step.
        apart = (weights[name] - weight).abs()
        # A key's bias moves all scores of a softmax alike: its gradient is rounding and no more.
        assert float(apart.max()) < 0.1 * 1e-3, name
        assert float(apart.mean()) < 1e-7 or name.endswith("key.bias"), name


def test_a_run_with_top_layers_ends_with_an_ordinary_model(runs_dir):
    from transformers import AutoModelForSequenceClassification

    run = make_run(runs_dir, num_rows=40, technique="top:1", num_train_epochs=1)
    assert work(str(run.dir))
    assert run.status == "completed"
    model = AutoModelForSequenceClassification.from_pretrained(run.paths.model_dir)
    assert len(model.bert.encoder.layer) == 2
