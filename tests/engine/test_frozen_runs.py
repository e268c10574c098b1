"""Whole runs whose frozen layers are computed once, beside the same runs without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nbtransfer.engine import frozen
from nbtransfer.engine.train import Training
from nbtransfer.engine.worker import StopSignal
from nbtransfer.runs.events import EventWriter
from nbtransfer.runs.faults import plan_faults
from tests.engine.jobs import make_run, work
from tests.faults.comparing import rows, same_bits

if TYPE_CHECKING:
    import torch

    from nbtransfer.runs.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def nothing_kept():
    frozen._kept.clear()
    yield
    frozen._kept.clear()
    plan_faults("")


def _said(run: Run) -> list[tuple[str, str]]:
    """Return whether frozen layers were found, and where, as each split was loaded."""
    events = [e for e in run.events() if e["type"] == "frozen_layers_computed"]
    return [(e["cache"], e["place"]) for e in events]


@pytest.mark.parametrize("technique", ["head", "top:1", "features"])
def test_losses_and_weights_agree_with_the_run_without(runs_dir, monkeypatch, technique):
    def train(name: str) -> tuple[list[float], dict[str, torch.Tensor], list[tuple[str, str]]]:
        run = make_run(runs_dir, num_rows=40, technique=technique, name=name, num_train_epochs=2)
        training = Training(run.paths, EventWriter(run.paths.events), StopSignal(), restart=False)
        training.resume()
        training.loop()
        events = list(run.events())
        losses = [e["loss"] for e in events if e["type"] == "step_completed"]
        losses += [e["metrics"]["eval_loss"] for e in events if e["type"] == "evaluation_completed"]
        return losses, training.plain_learner().state_dict(), _said(run)

    losses, weights, said = train("once")
    assert said == [("miss", "memory")] * 2
    frozen._kept.clear()
    monkeypatch.setattr(frozen, "_MEMORY_BYTES", 0)
    monkeypatch.setattr(frozen, "_DISK_BYTES", 0)
    plain_losses, plain_weights, said = train("plain")
    assert said == [("no room", None)] * 2
    assert losses == pytest.approx(plain_losses, rel=1e-6)
    for name, weight in plain_weights.items():
        # AdamW divides by the gradient's size: where that is near 0, rounding decides the step.
        apart = (weights[name] - weight).abs()
        # A key's bias moves all scores of a softmax alike: its gradient is rounding and no more.
        assert float(apart.max()) < 0.1 * 1e-3, name
        assert float(apart.mean()) < 1e-7 or name.endswith("key.bias"), name


@pytest.mark.parametrize("technique", ["head", "top:1", "features"])
def test_resumed_on_what_was_kept_on_the_disk_it_ends_with_the_same_bits(
    runs_dir, monkeypatch, technique
):
    def make(name: str) -> Run:
        return make_run(runs_dir, num_rows=40, technique=technique, name=name)

    clean = make("clean")
    assert work(str(clean.dir)), clean.log()
    assert _said(clean) == [("miss", "memory")] * 2
    again = make("again")
    assert work(str(again.dir)), again.log()
    assert _said(again) == [("hit", "memory")] * 2
    frozen._kept.clear()  # as in a new worker, which has less memory
    monkeypatch.setattr(frozen, "_MEMORY_BYTES", 0)
    run = make("disturbed")
    plan_faults("step.forward:6:raise")
    assert not work(str(run.dir))
    assert run.state().checkpoints
    plan_faults("")
    assert work(str(run.dir)), run.log()
    assert _said(run) == [*[("miss", "disk")] * 2, *[("hit", "disk")] * 2]
    assert same_bits(run, clean) and same_bits(again, clean)
    assert rows(run) == rows(clean)


def test_a_run_with_top_layers_ends_with_an_ordinary_model(runs_dir):
    from transformers import AutoModelForSequenceClassification

    run = make_run(runs_dir, num_rows=40, technique="top:1", num_train_epochs=1)
    assert work(str(run.dir))
    assert run.status == "completed"
    model = AutoModelForSequenceClassification.from_pretrained(run.paths.model_dir)
    assert len(model.bert.encoder.layer) == 2
