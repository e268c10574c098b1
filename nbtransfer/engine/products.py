"""Whose matrix products a run takes on a CPU in float32: torch's usual ones, or oneDNN's.

torch takes float32 products from MKL, which on AMD's processors with AVX-512 reaches half of what
oneDNN does, which torch carries too. On other processors there is next to no difference, so which
one a run takes is measured once, before its first step, and kept in its plan: sums are rounded
otherwise, and a resumed run is to have the bits of one that never stopped.

The operation has no public name. It is tried before it is used, forwards and backwards; where it is
not there, or gives other numbers, products are the usual ones. (`conv2d` with a kernel of one pixel
is public and oneDNN's too, and as fast forwards. Gradients of weights it computes at half of MKL's
speed for BERT-base's shapes.)
"""

# Shapes: R rows, the tokens of a batch; I features in; O features out.
from __future__ import annotations

import dataclasses
import math
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from nbtransfer.runs.files import write_json
from nbtransfer.runs.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbtransfer.planning import Plan
    from nbtransfer.runs.events import EventWriter
    from nbtransfer.runs.usage import Usage

# 2.1 on an AMD EPYC; on an Intel Xeon single products read 1.25 and whole passes gained nothing.
# Far from both, so that the same machine chooses the same whenever it is asked.
_CLEAR_GAIN = 1.5
_ROUNDS = 5
_MEASURED = (480, 384, 1536)  # R, I, O: a step of 16 short texts through a small model
_TRIED = (48, 384, 320)
# Multiplications below which a call costs more than it saves; also of no rows at all.
_LEAST_WORK = 2**22


def with_products(run: Run) -> Run:
    """Return the run with its products chosen, measured where the plan leaves them open."""
    if run.plan.products != "auto":
        return run
    chosen, reason = _chosen_here()
    plan = dataclasses.replace(run.plan, products=chosen, products_reason=reason)
    write_json(run.paths.plan, plan.to_json())
    return Run(run.dir)


def usable_products(plan: Plan | Usage, precision: str, events: EventWriter) -> str:
    """Return whose products are taken: `onednn` or `torch`.

    Where they are not the planned ones, the log says why.
    """
    if plan.products != "onednn" or precision != "fp32":
        return "torch"
    if (reason := why_not_onednn()) is None:
        return "onednn"
    events.append("plan_changed", field="products", old="onednn", new="torch", reason=reason)
    return "torch"


def take_products(model: nn.Module, products: str) -> None:
    """Let the linear layers of `model` take their products from `products`, or again from torch.

    Only classes of layers change: state, configuration and what is saved stay as they are.
    """
    classes = _QUICK if products == "onednn" else {quick: usual for usual, quick in _QUICK.items()}
    for module in model.modules():
        if type(module) in classes:
            module.__class__ = classes[type(module)]


def products_of(model: nn.Module) -> str:
    """Return whose products `model` takes."""
    return "onednn" if any(type(m) in _QUICK.values() for m in model.modules()) else "torch"


class _Linear(nn.Linear):
    """`nn.Linear` with oneDNN's products; made by changing the class of a model's own."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not _pays(input, self.weight):
            return super().forward(input)
        return linear(input, self.weight, self.bias)


class _Conv1D(Conv1D):
    """GPT-2's linear layer, whose weight is (I, O), likewise."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not _pays(x, self.weight):
            return super().forward(x)
        return linear(x, self.weight.t(), self.bias)


_QUICK: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: _Linear, Conv1D: _Conv1D}


def _pays(input: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether oneDNN's product is right here and worth its call: by kinds and shapes alone."""
    return (
        input.dtype == weight.dtype == torch.float32
        and input.device.type == weight.device.type == "cpu"
        and input.dim() > 1
        and math.prod(input.shape[:-1]) * weight.numel() >= _LEAST_WORK
    )


def linear(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return `input @ weight.T + bias`, as `torch.nn.functional.linear` does.

    Args:
        input: float32 tensor (..., I).
        weight: float32 tensor (O, I).
        bias: float32 tensor (O,), or None.

    Returns:
        Float32 tensor (..., O).
    """
    if not torch.is_grad_enabled():
        return _product(input, weight, bias)
    found: torch.Tensor = _LinearFunction.apply(input, weight, bias)
    return found


class _LinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 -- torch's context
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.save_for_backward(input, weight)
        return _product(input, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401 -- torch's context
        grad: torch.Tensor,
    ) -> tuple[torch.Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        of_input, of_weight, of_bias = ctx.needs_input_grad
        rows = grad.reshape(-1, grad.shape[-1])  # (R, O)
        return (
            _product(rows, weight.t(), None).view(input.shape) if of_input else None,
            _product(rows.t(), input.reshape(-1, input.shape[-1]).t(), None) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def _product(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
    return found


@lru_cache(maxsize=1)
def why_not_onednn() -> str | None:
    """Return why oneDNN's products cannot be taken here, tried once in a process; None if they can.

    The operation is torch's own business and may change with any version.
    """
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return "this build of torch has no such operation"
    try:
        are_same = all(
            torch.allclose(ours, usual, rtol=1e-4, atol=1e-4)
            for ours, usual in zip(_tried(linear), _tried(functional.linear), strict=True)
        )
    except (RuntimeError, TypeError) as error:
        return f"torch's operation failed: {str(error).splitlines()[0][:200]}"
    return None if are_same else "torch's operation gave other numbers"


def _tried(multiply: Callable[..., torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Return a product and its gradients."""
    num_rows, num_in, num_out = _TRIED
    with torch.inference_mode(False), torch.enable_grad():
        parts = _numbers(num_rows, num_in, num_out)
        for part in parts:
            part.requires_grad_()
        found = multiply(*parts)
        return (found, *torch.autograd.grad(found.square().mean(), parts))


def _numbers(num_rows: int, num_in: int, num_out: int) -> tuple[torch.Tensor, ...]:
    """Return input, weight and bias, from a generator of their own: nothing else is drawn from."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((num_rows, num_in), (num_out, num_in), (num_out,))
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


@lru_cache(maxsize=1)
def _chosen_here() -> tuple[str, str]:
    """Return whose products are the faster ones on this machine, and why; once in a process."""
    if (reason := why_not_onednn()) is not None:
        return "torch", reason
    parts = _numbers(*_MEASURED)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # and its own seconds: what else runs here then matters little
    try:
        with torch.inference_mode():
            gain = gain_of(lambda: linear(*parts), over=lambda: functional.linear(*parts))
    finally:
        torch.set_num_threads(num_threads)
    return choose(gain)


def gain_of(
    new: Callable[[], object],
    *,
    over: Callable[[], object],
    clock: Callable[[], float] = time.thread_time,
) -> float:
    """Return how many times as fast as `over` `new` is: each one's best of several, in turns."""
    best = {new: float("inf"), over: float("inf")}
    for _ in range(_ROUNDS):
        for call in best:
            start = clock()
            call()
            best[call] = min(best[call], clock() - start)
    return best[over] / max(best[new], 1e-9)


def choose(gain: float) -> tuple[str, str]:
    """Return whose products to take where oneDNN's are `gain` times as fast, and why."""
    if gain >= _CLEAR_GAIN:
        return "onednn", f"{gain:.1f} times as fast here as torch's usual ones"
    return "torch", f"oneDNN's are {gain:.1f} times as fast here, which is no clear gain"
