"""The arithmetic of the passes: as planned, or float32 with the reason; and fp16's scaled loss."""

from __future__ import annotations

import math
import signal
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.state import AcceleratorState

from nbtransfer.data.encode import EncodedTexts
from nbtransfer.engine import precision
from nbtransfer.engine.objectives import Classes
from nbtransfer.engine.precision import (
    load_scaler_state,
    scaler_state,
    set_determinism,
    set_precision,
    usable_precision,
)
from nbtransfer.engine.step import EagerStep
from nbtransfer.runs.events import EventWriter, read_events
from tests.models.families import tiny_model


@pytest.fixture
def events(tmp_path):
    return EventWriter(tmp_path / "events.jsonl")


def changes(tmp_path):
    return [(e["old"], e["new"], e["reason"]) for e in read_events(tmp_path / "events.jsonl")]


def plan(device, wanted):
    return SimpleNamespace(device=device, precision=wanted)


def gpu(monkeypatch, *, bf16):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)


@pytest.mark.parametrize("wanted", ["fp32", "tf32", "bf16", "fp16"])
def test_a_gpu_that_has_the_units_computes_as_planned(monkeypatch, events, tmp_path, wanted):
    gpu(monkeypatch, bf16=True)
    assert usable_precision(plan("cuda", wanted), events) == wanted
    assert changes(tmp_path) == []


@pytest.mark.parametrize("wanted", ["bf16", "tf32"])
def test_a_gpu_without_the_units_computes_in_full_and_says_so(
    monkeypatch, events, tmp_path, wanted
):
    gpu(monkeypatch, bf16=False)
    assert usable_precision(plan("cuda", wanted), events) == "fp32"
    assert changes(tmp_path) == [(wanted, "fp32", f"this device has no {wanted} units")]


def test_without_the_gpu_of_the_plan_the_cpu_computes_in_full(monkeypatch, events, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert usable_precision(plan("cuda", "fp16"), events) == "fp32"
    assert changes(tmp_path) == [("cuda", "cpu", "this build of torch sees no CUDA device")]


@pytest.mark.parametrize(
    ("returncode", "out", "said"),
    [
        (0, "262144.0\n", None),
        (-signal.SIGILL, "", "ends a process on this processor (signal 4)"),
        (1, "", "give no products in bf16"),
        (0, "nan\n", "give no products in bf16"),
    ],
)
def test_bf16_on_a_cpu_is_tried_in_a_process_of_its_own(
    monkeypatch, events, tmp_path, returncode, out, said
):
    done = subprocess.CompletedProcess([], returncode, out, "")
    monkeypatch.setattr(precision.subprocess, "run", lambda *_, **__: done)
    assert usable_precision(plan("cpu", "bf16"), events) == ("bf16" if said is None else "fp32")
    assert [reason for *_, reason in changes(tmp_path) if said not in reason] == []
    assert len(changes(tmp_path)) == (said is not None)


@pytest.mark.slow
def test_the_trial_gives_what_is_expected_of_it_or_ends_without_harm(events):
    assert usable_precision(plan("cpu", "bf16"), events) in ("bf16", "fp32")


@pytest.mark.parametrize(
    ("name", "for_accelerate", "products"),
    [
        ("tf32", "no", "high"),
        ("fp32", "no", "highest"),
        ("bf16", "bf16", "highest"),
        ("fp16", "fp16", "highest"),
    ],
)
def test_torch_is_told_and_told_again(name, for_accelerate, products):
    torch.set_float32_matmul_precision("high")  # of the run before
    assert set_precision(name) == for_accelerate
    assert torch.get_float32_matmul_precision() == products
    torch.set_float32_matmul_precision("highest")


@pytest.fixture
def scaling():
    """An accelerator that scales losses as on a GPU; autocast to float16 works on a CPU too."""
    AcceleratorState._reset_state(reset_partial_state=True)
    found = Accelerator(cpu=True)
    found.state._mixed_precision = "fp16"
    found.native_amp = True
    found.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
    yield found
    AcceleratorState._reset_state(reset_partial_state=True)


ROWS = EncodedTexts(
    tokens=np.random.default_rng(0).integers(4, 50, 80).astype(np.int32),
    offsets=np.arange(0, 81, 10),
    pad_token_id=1,
    targets=np.array([0, 1] * 4),
)


def make_step(accelerator, max_grad_norm=1.0):
    model = tiny_model("bert", num_labels=2)
    optimizer = AcceleratedOptimizer(
        torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True), scaler=accelerator.scaler
    )
    accelerator._optimizers.append(optimizer)  # as `prepare` does
    return model, EagerStep(
        accelerator=accelerator,
        model=model,
        optimizer=optimizer,
        encoded=ROWS,
        objective=Classes(None),
        micro_batch_size=4,
        max_grad_norm=max_grad_norm,
        seed=0,
    )


@pytest.mark.parametrize("max_grad_norm", [1.0, 0.0])
def test_losses_and_norms_are_told_without_their_scale(scaling, max_grad_norm):
    plain = Accelerator(cpu=True)
    _, step = make_step(scaling, max_grad_norm)
    _, reference = make_step(plain, max_grad_norm)
    ours, theirs = step(np.arange(8), 0), reference(np.arange(8), 0)
    assert float(ours.loss) == pytest.approx(float(theirs.loss), rel=0.02)
    assert float(ours.grad_norm) == pytest.approx(float(theirs.grad_norm), rel=0.05)


def test_a_gradient_beyond_fp16_costs_the_step_and_halves_the_scale(scaling):
    scaling.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    model, step = make_step(scaling)
    before = model.classifier.weight.detach().clone()
    result = step(np.arange(8), 0)
    assert not math.isfinite(float(result.grad_norm)) and math.isfinite(float(result.loss))
    assert torch.equal(model.classifier.weight, before)
    assert scaling.scaler.get_scale() == 2.0**39


def test_a_checkpoint_keeps_the_scale_and_the_steps_since_it_grew(scaling):
    _, step = make_step(scaling)
    for number in range(3):
        step(np.arange(8), number)
    kept = scaler_state(scaling)
    assert kept["scaler"]["scale"] == 2.0**11
    assert kept["scaler"]["_growth_tracker"] == 1
    scaling.scaler = torch.amp.GradScaler("cpu")
    load_scaler_state(scaling, kept)
    assert scaler_state(scaling) == kept


def test_other_precisions_keep_no_scale():
    accelerator = Accelerator(cpu=True)
    assert scaler_state(accelerator) == {}
    load_scaler_state(accelerator, {"scaler": None})


def test_operations_that_give_other_bits_are_refused_for_one_run_and_taken_in_the_next():
    fills = torch.utils.deterministic.fill_uninitialized_memory
    try:
        set_determinism(True)
        assert torch.get_deterministic_debug_mode() == 2  # fails, for warnings leave attention be
        assert not torch.utils.deterministic.fill_uninitialized_memory
    finally:
        set_determinism(False)
    assert torch.get_deterministic_debug_mode() == 0
    assert torch.utils.deterministic.fill_uninitialized_memory is fills
