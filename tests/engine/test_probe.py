"""Tests of EagerStep.probe, of layers that are computed twice, and of what the user is told."""

from __future__ import annotations

import contextlib
import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from transformers import BertConfig, BertForSequenceClassification

from nbtransfer.data.encode import EncodedTexts
from nbtransfer.engine import step as step_module
from nbtransfer.engine.memory import MemoryFull
from nbtransfer.engine.memory_watch import MemoryWatch, choose_evaluation_batch
from nbtransfer.engine.objectives import Classes, Sequence
from nbtransfer.engine.step import EagerStep
from nbtransfer.runs.faults import plan_faults
from nbtransfer.spec import RunSpec


@pytest.fixture(autouse=True)
def no_faults_left():
    yield
    plan_faults("")


def make_step(dropout=0.1, micro_batch_size=4):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    model = BertForSequenceClassification(config).train()
    draw = np.random.default_rng(0)
    lengths = draw.integers(2, 12, 16)
    encoded = EncodedTexts(
        tokens=draw.integers(1, 50, lengths.sum()).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        pad_token_id=0,
        targets=draw.integers(0, 2, 16),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    taker = EagerStep(
        accelerator=Accelerator(cpu=True),
        model=model,
        optimizer=optimizer,
        encoded=encoded,
        objective=Classes(),
        micro_batch_size=micro_batch_size,
        max_grad_norm=1.0,
        seed=1,
    )
    return model, taker


def train(taker, model, steps=3):
    results = [taker(np.arange(i, i + 8), i) for i in range(steps)]
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    return [r.loss.item() for r in results], weights


def test_a_probe_changes_no_bit_of_what_follows():
    model, taker = make_step()
    plain = train(taker, model)
    model, taker = make_step()
    before = copy.deepcopy(model.state_dict())
    taker.probe()
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    losses, weights = train(taker, model)
    assert losses == plain[0]
    assert all(torch.equal(weights[k], plain[1][k]) for k in weights)


def test_memory_that_does_not_hold_the_longest_rows_shows_before_the_first_step():
    model, taker = make_step(micro_batch_size=8)
    plan_faults("step.forward:1:oom;step.backward:1:oom")
    taker.probe()
    assert taker.micro_batch_size == 2
    assert all(p.grad is None for p in model.parameters())


def test_one_row_that_does_not_fit_is_said_in_words():
    _, taker = make_step(micro_batch_size=1)
    plan_faults("step.forward:1:oom")
    with pytest.raises(MemoryFull, match="while trying the longest rows"):
        taker.probe()


def without_noise(monkeypatch):
    """As on an accelerator, where dropout draws torch's own numbers."""
    monkeypatch.setattr(step_module, "cheapen_dropout", lambda model: None)


def test_layers_computed_twice_learn_the_same(monkeypatch):
    without_noise(monkeypatch)
    model, taker = make_step(micro_batch_size=1)
    plain = train(taker, model)
    model, taker = make_step(micro_batch_size=1)
    plan_faults("step.backward:3:oom")
    losses, weights = train(taker, model)
    assert taker.recomputes and model.is_gradient_checkpointing
    assert losses == pytest.approx(plain[0], rel=1e-6)
    assert all(torch.allclose(weights[k], plain[1][k], atol=1e-6) for k in weights)


def test_when_even_that_does_not_fit_it_is_said_in_words(monkeypatch):
    without_noise(monkeypatch)
    _, taker = make_step(micro_batch_size=2)
    plan_faults("step.forward:1:oom;step.forward:2:oom;step.forward:3:oom")
    with pytest.raises(MemoryFull, match="while training step 1, even with one row"):
        taker(np.arange(8), 0)


def test_the_user_is_told_once_of_each_change(monkeypatch):
    without_noise(monkeypatch)
    _, taker = make_step(micro_batch_size=2)
    told = []
    watch = MemoryWatch(
        taker,
        SimpleNamespace(micro_batch_size=None, step=7),
        SimpleNamespace(flush=lambda: None),
        SimpleNamespace(append=lambda kind, **fields: told.append((kind, fields["headline"]))),
        8,
    )
    assert not watch.ran_out()
    plan_faults("step.forward:1:oom;step.forward:2:oom")
    taker(np.arange(8), 0)
    assert watch.ran_out()
    assert not watch.ran_out()
    assert [headline for _, headline in told] == [
        "Memory ran out at step 7: micro-batch 2 -> 1 rows, the effective batch stays 8.",
        "Memory ran out at step 7 with one row at a time: layers are now computed twice "
        "instead of being kept.",
    ]


def test_a_cpu_is_not_probed_for_its_memory_is_never_refused(monkeypatch):
    _, taker = make_step()
    monkeypatch.setattr(EagerStep, "probe", lambda self: pytest.fail("probed"))
    watch = MemoryWatch(taker, None, None, None, 8)
    watch.probe(torch.device("cpu"))


@pytest.mark.parametrize(("device", "asked"), [("cuda", ["pin", "copy"]), ("cpu", ["copy"])])
def test_a_gpu_fetches_batches_from_pinned_memory(device, asked):
    done = []

    class Tensor:
        def pin_memory(self):
            done.append("pin")
            return self

        def to(self, where, *, non_blocking):
            done.append("copy")
            assert where.type == device and non_blocking

    step_module.sent(Tensor(), torch.device(device))
    assert done == asked


class Accelerated(str):
    """A device that takes tensors as the CPU does, and is none."""

    type = "xpu"


def training_of(encoded, *, asked=None, objective=None, known=None):
    """Return what `choose_evaluation_batch` reads of a run, and its log."""
    log = []
    model, taker = make_step()
    return log, SimpleNamespace(
        accelerator=SimpleNamespace(device=Accelerated("cpu"), autocast=contextlib.nullcontext),
        learner=model,
        optimizer=taker._optimizer,
        validation=None if encoded is None else SimpleNamespace(encoded=encoded),
        objective=objective or Classes(),
        progress=SimpleNamespace(eval_batch_size=known),
        spec=RunSpec(model="m", data="d", per_device_eval_batch_size=asked),
        events=SimpleNamespace(append=lambda kind, **fields: log.append((kind, fields))),
    )


def rows_of(count):
    return EncodedTexts(
        tokens=np.ones(3 * count, np.int32),
        offsets=np.arange(0, 3 * count + 1, 3),
        pad_token_id=0,
        targets=np.zeros(count, np.int64),
    )


@pytest.mark.parametrize(
    ("count", "asked", "faults", "held"),
    [
        (2000, None, "", 1024),
        (300, None, "", 300),
        (300, None, "evaluate.batch:1:oom", 150),
        (20, None, "", 64),
        (300, 64, "", 64),  # what would be taken otherwise too is respected when it is asked for
        (300, 64, "evaluate.batch:1:oom", 32),
        (300, 8, "", 8),
        (300, 8, "evaluate.batch:1:oom", 4),
    ],
)
def test_before_the_first_step_an_evaluation_s_rows_a_pass_are_chosen(count, asked, faults, held):
    plan_faults(faults)
    log, training = training_of(rows_of(count), asked=asked)
    choose_evaluation_batch(training)
    assert training.progress.eval_batch_size == held
    assert [(kind, f["old"], f["new"]) for kind, f in log] == (
        [] if held == (asked or 64) else [("plan_changed", asked or 64, held)]
    )
    assert all(training.optimizer.state[p] for p in training.learner.parameters())


def test_the_rows_a_pass_are_not_chosen_where_they_are_known_or_bounded_otherwise():
    for log, training in (
        training_of(None),
        training_of(rows_of(300), known=16),
        training_of(rows_of(300)),
    ):
        if training.validation is not None and training.progress.eval_batch_size is None:
            training.accelerator.device = torch.device("cpu")
        before = training.progress.eval_batch_size
        choose_evaluation_batch(training)
        assert training.progress.eval_batch_size == before and not log
    log, training = training_of(rows_of(300), objective=Sequence(1, 4))
    training.objective.answers = lambda *_: {}
    choose_evaluation_batch(training)
    assert training.progress.eval_batch_size == 64 and not log  # texts to be written take more
