"""The optimizer and the learning-rate schedule that a slider can bend while it runs."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from nbtransfer.spec import RunSpec, Scheduler


@dataclass
class Schedule:
    """Learning rate as `peak x factor(step)`: linear warm-up, then decay to zero.

    The decay is kept as progress from an anchor, so that a new number of steps re-stretches what is
    left of it from where it stands, without a jump.

    Attributes:
        peak: the learning rate at factor 1.
        num_steps: optimizer steps in all.
        warmup_steps: steps in which the factor rises from 0 to 1.
        kind: `linear`, `cosine` (Loshchilov and Hutter, 2017, without restarts) or `constant`.
        anchor_step: the step at which the decay stood at `anchor_progress`.
        anchor_progress: share of the decay done at the anchor, 0 to 1.
    """

    peak: float
    num_steps: int
    warmup_steps: int
    kind: Scheduler
    anchor_step: int
    anchor_progress: float = 0.0

    @classmethod
    def start(cls, *, peak: float, num_steps: int, warmup_steps: int, kind: Scheduler) -> Schedule:
        """Return the schedule of a run that has not begun."""
        return cls(peak, num_steps, warmup_steps, kind, anchor_step=warmup_steps)

    def progress(self, step: int) -> float:
        """Return the share of the decay done after `step` steps, 0 to 1."""
        left = self.num_steps - self.anchor_step
        if step <= self.anchor_step or left <= 0:
            return self.anchor_progress
        share = (step - self.anchor_step) / left
        return min(1.0, self.anchor_progress + (1 - self.anchor_progress) * share)

    def learning_rate(self, step: int) -> float:
        """Return the rate of the step that follows `step` completed ones."""
        if step < self.warmup_steps:
            return self.peak * step / self.warmup_steps
        if self.kind == "constant":
            return self.peak
        progress = self.progress(step)
        if self.kind == "cosine":
            return self.peak * 0.5 * (1 + math.cos(math.pi * progress))
        return self.peak * (1 - progress)

    def stretch(self, step: int, num_steps: int) -> None:
        """Spread the rest of the decay over the steps from `step` to `num_steps`."""
        if step > self.anchor_step:
            self.anchor_progress = self.progress(step)
            self.anchor_step = step
        self.num_steps = num_steps

    def to_json(self) -> dict[str, float | int | str]:
        """Return the fields; floats survive JSON bit for bit."""
        return dataclasses.asdict(self)


def make_optimizer(model: nn.Module, spec: RunSpec) -> torch.optim.AdamW:
    """Return fused AdamW (Loshchilov and Hutter, 2019) over what learns.

    Biases and normalisation weights, the tensors of fewer than two dimensions, are not decayed.
    """
    learning = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": spec.weight_decay},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=0.0,
        betas=(spec.adam_beta1, spec.adam_beta2),
        eps=spec.adam_epsilon,
        fused=learning[0].device.type in ("cpu", "cuda"),
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` in every parameter group from the next step on."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):  # a captured graph reads it from where it is
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def make_moments(optimizer: torch.optim.Optimizer) -> None:
    """Allocate AdamW's state of every parameter that has none, as its first step would.

    A parameter has all of it or none, however this ends.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter not in optimizer.state:
                like = {"memory_format": torch.preserve_format}
                optimizer.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device if group["fused"] else "cpu"),
                    "exp_avg": torch.zeros_like(parameter, **like),
                    "exp_avg_sq": torch.zeros_like(parameter, **like),
                }
