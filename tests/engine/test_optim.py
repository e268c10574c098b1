"""Tests of nbtransfer.engine.optim: the schedule against its formulas, the groups of AdamW."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from nbtransfer.engine.optim import Schedule, make_optimizer, set_learning_rate
from nbtransfer.spec import RunSpec

KINDS = ("linear", "cosine", "constant")
quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
spec = RunSpec(
    model="m", data="d", weight_decay=0.25, adam_beta1=0.8, adam_beta2=0.95, adam_epsilon=1e-6
)


def start(kind="linear", *, peak=1.0, num_steps=100, warmup_steps=10):
    return Schedule.start(peak=peak, num_steps=num_steps, warmup_steps=warmup_steps, kind=kind)


def expected_factor(kind, step, num_steps, warmup_steps):
    """The factors of transformers' get_*_schedule_with_warmup, as its documentation gives them."""
    if step < warmup_steps:
        return step / max(1, warmup_steps)
    progress = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    return {
        "linear": max(0.0, 1 - progress),
        "cosine": max(0.0, 0.5 * (1 + math.cos(math.pi * progress))),
        "constant": 1.0,
    }[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("num_steps", "warmup_steps"), [(100, 10), (7, 0), (50, 49), (1, 0)])
def test_the_course_is_that_of_transformers(kind, num_steps, warmup_steps):
    schedule = start(kind, peak=3e-4, num_steps=num_steps, warmup_steps=warmup_steps)
    for step in range(num_steps + 1):
        wanted = 3e-4 * expected_factor(kind, step, num_steps, warmup_steps)
        assert schedule.learning_rate(step) == pytest.approx(wanted, rel=1e-12, abs=1e-18)


def test_a_linear_course_worked_out_by_hand():
    schedule = start(peak=1.0, num_steps=6, warmup_steps=2)
    rates = [schedule.learning_rate(step) for step in range(7)]
    assert rates == [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_cosine_course_worked_out_by_hand():
    schedule = start("cosine", peak=2.0, num_steps=4, warmup_steps=0)
    half = math.sqrt(0.5)
    wanted = [2.0, 1 + half, 1.0, 1 - half, 0.0]
    assert [schedule.learning_rate(s) for s in range(5)] == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize("warmup_steps", [100, 500])
def test_a_warm_up_longer_than_the_run_only_rises(warmup_steps):
    schedule = start(num_steps=100, warmup_steps=warmup_steps)
    rates = [schedule.learning_rate(step) for step in range(100)]
    assert rates == [step / warmup_steps for step in range(100)]


def test_a_new_peak_scales_the_course_from_then_on():
    schedule, other = start(peak=1.0), start(peak=0.5)
    schedule.peak = 0.5
    assert [schedule.learning_rate(s) for s in range(101)] == [
        other.learning_rate(s) for s in range(101)
    ]


changes = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 200)), min_size=1, max_size=4)


@quick
@given(st.sampled_from(["linear", "cosine"]), st.integers(0, 40), changes)
def test_stretching_is_continuous_falls_and_ends_at_zero(kind, warmup_steps, stretches):
    schedule = start(kind, num_steps=100, warmup_steps=warmup_steps)
    step = 0
    for ahead, left in stretches:
        step = min(step + ahead, schedule.num_steps)
        before = schedule.learning_rate(step)
        schedule.stretch(step, step + left)
        assert schedule.learning_rate(step) == pytest.approx(before, abs=1e-12)
    end = schedule.num_steps
    rates = [schedule.learning_rate(s) for s in range(max(step, warmup_steps), end + 1)]
    assert all(0.0 <= rate <= 1.0 for rate in rates)
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(rates))
    if end > warmup_steps:
        assert rates[-1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
@pytest.mark.parametrize("new", [60, 100, 300])
def test_a_stretch_half_way_runs_out_at_the_new_end(kind, new):
    schedule = start(kind, num_steps=100, warmup_steps=0)
    half = schedule.learning_rate(50)
    schedule.stretch(50, new)
    assert schedule.learning_rate(50) == half == pytest.approx(0.5)
    middle = schedule.learning_rate(50 + (new - 50) // 2)
    quarter = 0.25 if kind == "linear" else 0.5 * (1 + math.cos(math.pi * 0.75))
    assert middle == pytest.approx(quarter)
    assert schedule.learning_rate(new) == pytest.approx(0.0, abs=1e-15)


def test_a_stretch_during_warm_up_is_a_course_planned_so_from_the_start():
    schedule = start(num_steps=100, warmup_steps=20)
    schedule.stretch(5, 200)
    planned = start(num_steps=200, warmup_steps=20)
    assert [schedule.learning_rate(s) for s in range(201)] == [
        planned.learning_rate(s) for s in range(201)
    ]


def test_there_and_back_again_is_the_first_course():
    schedule = start(num_steps=100, warmup_steps=0)
    schedule.stretch(40, 250)
    schedule.stretch(40, 100)
    assert [schedule.learning_rate(s) for s in range(40, 101)] == pytest.approx(
        [start(num_steps=100, warmup_steps=0).learning_rate(s) for s in range(40, 101)], abs=1e-15
    )


@quick
@given(st.floats(1e-9, 1, allow_subnormal=False), st.integers(0, 99), st.integers(1, 1000))
def test_a_schedule_survives_json_bit_for_bit(peak, at, left):
    schedule = start("cosine", peak=peak)
    schedule.stretch(at, at + left)
    again = Schedule(**json.loads(json.dumps(schedule.to_json())))
    assert again == schedule
    assert all(
        again.learning_rate(s) == schedule.learning_rate(s) for s in range(at, at + left + 1)
    )


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.norm = nn.LayerNorm(4)
        self.linear = nn.Linear(4, 2)


def test_matrices_are_decayed_and_biases_and_norms_are_not():
    model = Small()
    decayed, plain = make_optimizer(model, spec).param_groups
    assert decayed["weight_decay"] == 0.25
    assert plain["weight_decay"] == 0.0
    assert {id(p) for p in decayed["params"]} == {
        id(model.embedding.weight),
        id(model.linear.weight),
    }
    assert {id(p) for p in plain["params"]} == {
        id(model.norm.weight),
        id(model.norm.bias),
        id(model.linear.bias),
    }


def test_frozen_weights_are_not_given_to_the_optimizer():
    model = Small()
    model.embedding.requires_grad_(False)
    model.norm.requires_grad_(False)
    groups = make_optimizer(model, spec).param_groups
    assert sum(len(group["params"]) for group in groups) == 2


def test_a_group_that_would_be_empty_is_left_out():
    (group,) = make_optimizer(nn.Linear(3, 2, bias=False), spec).param_groups
    assert group["weight_decay"] == 0.25


def test_the_specs_constants_are_adamws():
    for group in make_optimizer(Small(), spec).param_groups:
        assert group["betas"] == (0.8, 0.95)
        assert group["eps"] == 1e-6
        assert group["lr"] == 0.0
        assert group["fused"]


def test_the_learning_rate_is_set_in_every_group():
    optimizer = make_optimizer(Small(), spec)
    set_learning_rate(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]


def test_a_step_is_adamws_step_worked_out_by_hand():
    weight = nn.Linear(1, 1, bias=False)
    nn.init.constant_(weight.weight, 2.0)
    optimizer = make_optimizer(weight, spec)
    set_learning_rate(optimizer, 0.5)
    weight.weight.grad = torch.tensor([[3.0]])
    optimizer.step()
    # The first step's moments, corrected, are the gradient and its square: decay, then lr x sign.
    wanted = 2.0 * (1 - 0.5 * 0.25) - 0.5 * 3.0 / (3.0 + 1e-6)
    assert weight.weight.item() == pytest.approx(wanted, rel=1e-6)
