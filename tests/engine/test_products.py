from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from nbtransfer.engine import products
from nbtransfer.engine.products import (
    choose,
    gain_of,
    linear,
    products_of,
    take_products,
    usable_products,
    why_not_onednn,
    with_products,
)
from nbtransfer.runs.files import read_json
from nbtransfer.runs.run import Run
from tests.engine.jobs import make_run

needs_onednn = pytest.mark.skipif(
    why_not_onednn() is not None, reason="this build of torch has no products of oneDNN"
)


@pytest.fixture
def asked_again():
    """Let what was found once in this process be found again, and leave nothing of it."""
    remembered = (products.why_not_onednn, products._chosen_here)
    for found in remembered:
        found.cache_clear()
    yield
    for found in remembered:
        found.cache_clear()


class _Log(list):
    def append(self, kind: str, **fields: object) -> None:
        super().append((kind, fields))


def _both(multiply, *parts):
    """Return a product of copies of `parts`, and the gradients of those that need one."""
    found = multiply(*parts)
    learning = [part for part in parts if part is not None and part.requires_grad]
    return found, torch.autograd.grad(found.sin().sum(), learning)


@needs_onednn
@pytest.mark.parametrize("shape", [(40, 96), (3, 20, 96), (2, 2, 10, 96), (1, 96)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_product_and_gradients_are_those_of_torch(shape, with_bias):
    torch.manual_seed(0)
    parts = (
        torch.randn(shape, requires_grad=True),
        torch.randn(64, 96, requires_grad=True),
        torch.randn(64, requires_grad=True) if with_bias else None,
    )
    ours, gradients = _both(linear, *parts)
    usual, wanted = _both(functional.linear, *parts)
    assert ours.shape == usual.shape
    torch.testing.assert_close(ours, usual, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients, wanted, rtol=1e-4, atol=1e-4)
    assert all(gradient.is_contiguous() for gradient in gradients)


@needs_onednn
def test_transposed_and_expanded_tensors_are_multiplied_as_they_are_seen():
    torch.manual_seed(0)
    turned = torch.randn(96, 40, requires_grad=True)
    same = torch.randn(1, 96, requires_grad=True)
    weight = torch.randn(96, 64, requires_grad=True)

    def multiplied(multiply):
        found = multiply(turned.t(), weight.t(), None) + multiply(
            same.expand(40, 96)[::2], weight.t(), None
        ).repeat(2, 1)
        return found, torch.autograd.grad(found.sum(), (turned, same, weight))  # grad is expanded

    ours, gradients = multiplied(linear)
    usual, wanted = multiplied(functional.linear)
    torch.testing.assert_close(ours, usual, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradients, wanted, rtol=1e-4, atol=1e-4)


@needs_onednn
@pytest.mark.parametrize("learns", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1)])
def test_no_gradient_is_computed_that_nobody_asked_for(learns, monkeypatch):
    computed = []
    product = products._product
    monkeypatch.setattr(
        products, "_product", lambda *parts: computed.append(parts) or product(*parts)
    )
    shapes = ((40, 96), (64, 96), (64,))
    parts = [
        torch.randn(shape).requires_grad_(bool(learn))
        for shape, learn in zip(shapes, learns, strict=True)
    ]
    linear(*parts).sum().backward()
    assert len(computed) == 1 + learns[0] + learns[1]
    assert [part.grad is not None for part in parts] == [bool(learn) for learn in learns]


@needs_onednn
@pytest.mark.parametrize("make", [lambda: nn.Linear(256, 256), lambda: Conv1D(256, 256)])
def test_layer_of_a_model_changes_its_products_and_nothing_that_is_saved(make):
    torch.manual_seed(0)
    model = nn.Sequential(make(), nn.ReLU(), nn.Sequential(make()))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows = torch.randn(80, 256)
    usual = model(rows)
    usual.sum().backward()
    wanted = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()

    take_products(model, "onednn")
    assert products_of(model) == "onednn"
    assert isinstance(model[0], nn.Linear | Conv1D)
    ours = model(rows)
    ours.sum().backward()

    torch.testing.assert_close(ours, usual, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close([p.grad for p in model.parameters()], wanted, rtol=1e-4, atol=1e-4)
    assert list(model.state_dict()) == list(before)
    take_products(model, "torch")
    assert products_of(model) == "torch"
    assert torch.equal(model(rows), usual)
    assert type(model[0]) in (nn.Linear, Conv1D)


@needs_onednn
@pytest.mark.parametrize("rows", [torch.ones(0, 256), torch.ones(3, 0, 256), torch.ones(256)])
def test_no_rows_and_few_rows_are_multiplied_as_usual(rows):
    layer = nn.Linear(256, 256)
    usual = layer(rows)
    take_products(layer, "onednn")
    assert torch.equal(layer(rows), usual)


@needs_onednn
def test_layer_in_another_precision_is_multiplied_as_usual():
    layer = nn.Linear(256, 256).double()
    rows = torch.randn(80, 256).double()
    usual = layer(rows)
    take_products(layer, "onednn")
    assert torch.equal(layer(rows), usual)


def test_layers_of_other_classes_are_left_alone():
    class Own(nn.Linear):
        pass

    model = nn.Sequential(Own(4, 4), nn.MultiheadAttention(4, 2))
    classes = [type(module) for module in model.modules()]
    take_products(model, "onednn")
    assert [type(module) for module in model.modules()] == classes


def test_best_of_several_turns_decides():
    now = 0.0
    costs = iter([9.0, 6.0, 2.0, 50.0, 3.0, 7.0, 2.5, 8.0, 2.0, 9.0])  # new, over, new, ...

    def spend() -> None:
        nonlocal now
        now += next(costs)

    assert gain_of(lambda: spend(), over=lambda: spend(), clock=lambda: now) == 3.0


@pytest.mark.parametrize(("gain", "chosen"), [(2.1, "onednn"), (1.25, "torch"), (0.4, "torch")])
def test_only_a_clear_gain_is_taken(gain, chosen):
    assert choose(gain)[0] == chosen


def test_build_without_the_operation_has_the_usual_products(monkeypatch, asked_again):
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    log = _Log()
    plan = dataclasses.replace(_plan(), products="onednn")
    assert usable_products(plan, "fp32", log) == "torch"
    assert products._chosen_here()[0] == "torch"
    ((kind, fields),) = log
    assert kind == "plan_changed"
    assert (fields["old"], fields["new"]) == ("onednn", "torch")
    assert "no such operation" in fields["reason"]


@pytest.mark.parametrize(
    ("product", "said"),
    [
        (lambda *parts: functional.linear(*parts) * 1.01, "gave other numbers"),
        (lambda *parts: functional.linear(*parts)[:1], "failed"),
        (lambda *parts: (_ for _ in ()).throw(NotImplementedError("no\nkernel")), "failed: no"),
        (lambda *parts: (_ for _ in ()).throw(TypeError("6 arguments")), "failed: 6 arg"),
    ],
    ids=["wrong", "another shape", "not implemented", "other arguments"],
)
def test_operation_that_fails_or_is_wrong_is_not_taken(product, said, monkeypatch, asked_again):
    monkeypatch.setattr(products, "_product", product)
    assert said in (why_not_onednn() or "")
    assert products._chosen_here()[0] == "torch"


def test_trial_and_measurement_draw_no_random_number_and_leave_the_threads(asked_again):
    before, num_threads = torch.get_rng_state(), torch.get_num_threads()
    products._chosen_here()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == num_threads


def test_half_precision_has_the_usual_products():
    plan = dataclasses.replace(_plan(), products="onednn")
    assert usable_products(plan, "bf16", _Log()) == "torch"


def test_what_was_measured_is_kept_in_the_plan(tmp_path, monkeypatch):
    run = make_run(tmp_path, products="auto")
    assert run.usage.products == "torch"  # not decided: nothing was trained
    monkeypatch.setattr(products, "_chosen_here", lambda: ("onednn", "twice as fast"))
    run = with_products(run)
    assert (run.plan.products, run.plan.products_reason) == ("onednn", "twice as fast")
    assert run.usage.products == "onednn"
    monkeypatch.setattr(products, "_chosen_here", lambda: ("torch", "no gain"))
    assert with_products(Run(run.dir)).plan.products == "onednn"


def test_plan_of_an_earlier_version_has_the_usual_products(tmp_path):
    run = make_run(tmp_path, products="auto")
    record = read_json(run.paths.plan)
    del record["products"], record["products_reason"]
    assert type(run.plan).from_json(record).products == "torch"


def _plan():
    from tests.plans import plan

    return plan()
