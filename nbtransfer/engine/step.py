"""One optimizer step, taken eagerly: forward, loss, backward, clip, update."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import nn

from nbtransfer.engine.batching import by_length
from nbtransfer.engine.dropout import cheapen_dropout
from nbtransfer.engine.memory import MemoryFull, is_out_of_memory, release_memory
from nbtransfer.engine.optim import make_moments
from nbtransfer.models.first_token import only_first_token
from nbtransfer.runs.faults import reach

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from accelerate import Accelerator

    from nbtransfer.data.encode import Encoded
    from nbtransfer.engine.objectives import Objective
    from nbtransfer.models.packing import PackedModel

Result = TypeVar("Result")

_MIX = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio: neighbours get unlike seeds


class StepResult(NamedTuple):
    """What a step gave, still on the device: reading it waits for the device (a sync point)."""

    loss: torch.Tensor
    grad_norm: torch.Tensor


class EagerStep:
    """Take optimizer steps on any device, in micro-batches padded to their longest row, or packed.

    Dropout's random numbers depend on (seed, step, micro-batch) alone, so an interrupted run needs
    no generator state to go on with the same bits.

    Where memory runs out, the step is taken again in micro-batches of half the size, and so are all
    steps after it: the rows of a step, and so what it learns from, stay the same. Where one row is
    too much, layers are computed again in the backward pass instead of being kept (`recomputes`).

    Args:
        accelerator: places tensors and chooses the arithmetic.
        model: maps a batch to what the objective reads.
        optimizer: holds what learns.
        encoded: the training rows, with their targets.
        objective: judges what the model says.
        micro_batch_size: rows a forward pass, to begin with.
        max_grad_norm: 0 turns clipping off.
        seed: seeds dropout.
        packed: the same model for batches without padding; None pads them.
    """

    def __init__(
        self,
        *,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        encoded: Encoded,
        objective: Objective,
        micro_batch_size: int,
        max_grad_norm: float,
        seed: int,
        packed: PackedModel | None = None,
    ) -> None:
        self._accelerator = accelerator
        self._model = model
        self._plain = accelerator.unwrap_model(model)
        self._optimizer = optimizer
        self._encoded = encoded
        self._objective = objective
        self.micro_batch_size = micro_batch_size
        self._max_grad_norm = max_grad_norm
        self._seed = seed
        self._packed = packed
        self.recomputes = False
        self._noise = cheapen_dropout(model) if accelerator.device.type == "cpu" else None
        self._learning = [p for p in model.parameters() if p.requires_grad]

    def __call__(self, rows: np.ndarray, step: int) -> StepResult:
        """Update the weights on `rows`.

        The loss is the weighted mean over all rows of the step, so accumulation changes memory and
        nothing else.

        Args:
            rows: row numbers of the whole step, int array.
            step: completed steps before this one.

        Returns:
            The mean loss in nats and the gradient's norm before clipping.

        Raises:
            MemoryFull: if one row at a time is too much.
        """
        return self._in_memory(f"training step {step + 1}", lambda: self._take(rows, step))

    def probe(self) -> None:
        """Try a pass over the longest rows: what memory does not hold shows before the first step.

        Weights and moments stay as they were, and so do all later random numbers.

        Raises:
            MemoryFull: if one row at a time is too much.
        """

        def attempt() -> None:
            make_moments(self._optimizer)
            rows = by_length(self._encoded.lengths)[: self.micro_batch_size]
            self._learn(rows, self._objective.weight(self._encoded, rows), step=0)

        self._in_memory("trying the longest rows", attempt)
        self._forget_gradients()
        release_memory()

    def _in_memory(self, doing: str, attempt: Callable[[], Result]) -> Result:
        """Return what `attempt` gives, tried with less memory each time until it fits."""
        while True:
            try:
                return attempt()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.micro_batch_size == 1 and (self.recomputes or not self._can_recompute()):
                    raise MemoryFull(doing) from error
            # Not in the except block: the error holds the tensors of the pass that was too large.
            if self.micro_batch_size > 1:
                self.micro_batch_size //= 2
            else:
                self.recompute_layers()
            self._forget_gradients()
            release_memory()

    def _can_recompute(self) -> bool:
        """Whether layers can be computed again in the backward pass instead of being kept.

        On a CPU they cannot: the second pass would draw other words for dropout (`DropoutNoise`).
        """
        able = getattr(self._plain, "supports_gradient_checkpointing", False)
        return self._noise is None and able

    def recompute_layers(self) -> None:
        """Keep the activations between layers alone (Chen et al., 2016), where that is possible.

        Batches are padded then: a packed pass is not there any more when its layers come again.
        """
        if not self._can_recompute():
            return
        self._packed = None
        self._plain.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False}
        )
        self.recomputes = True

    def _forget_gradients(self) -> None:
        """Undo a half-taken step, of which only gradients are there."""
        scaler = self._accelerator.scaler
        if scaler is not None and any(p.grad is not None for p in self._learning):
            scaler.update(scaler.get_scale())  # fp16: it may know these gradients as unscaled
        self._optimizer.zero_grad(set_to_none=True)

    def _take(self, rows: np.ndarray, step: int) -> StepResult:
        # Before the activations are there, and so that the update itself allocates nothing: out of
        # memory, it would have changed some weights and not others.
        make_moments(self._optimizer)
        total = self._learn(rows, self._objective.weight(self._encoded, rows), step)
        if self._max_grad_norm > 0:
            norm = self._accelerator.clip_grad_norm_(self._learning, self._max_grad_norm)
        else:
            self._accelerator.unscale_gradients(self._optimizer)  # of fp16; others have no scale
            norm = torch.nn.utils.get_total_norm(
                [p.grad for p in self._learning if p.grad is not None]
            )
        reach("step.optimizer")
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return StepResult(total, norm)

    def _learn(self, rows: np.ndarray, total_weight: float, step: int) -> torch.Tensor:
        """Add up the gradients of `rows`, a micro-batch at a time; return their mean loss."""
        device = self._accelerator.device
        total = torch.zeros((), device=device)
        size = self.micro_batch_size
        for start in range(0, len(rows), size):
            torch.manual_seed(dropout_seed(self._seed, step, start))
            if self._noise is not None:
                self._noise.seed((self._seed, step, start))
            batch = self._encoded.batch(rows[start : start + size], (self._seed, step))
            if self._packed is not None:
                batch = self._packed.pack(batch)
            batch = {name: sent(tensor, device) for name, tensor in batch.items()}
            labels = batch.pop("labels")
            reach("step.forward")
            # A packed model leaves out what no head reads itself.
            cut = only_first_token(self._plain) if self._packed is None else nullcontext()
            with cut:  # and backwards: layers may be computed again there
                with self._accelerator.autocast():
                    output = self._objective.forward(self._packed or self._model, batch, labels)
                loss = self._objective.loss(output, labels) / total_weight
                reach("step.backward")
                self._accelerator.backward(loss)
            total += loss.detach()
        return total


def pinned(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a host's tensor where `device` can fetch it while the host goes on.

    A GPU fetches from pinned memory alone; for other memory the host stands by and hands it over.
    """
    return tensor.pin_memory() if device.type == "cuda" else tensor


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a host's tensor on `device`, without waiting for it to get there."""
    return pinned(tensor, device).to(device, non_blocking=True)


def dropout_seed(seed: int, step: int, start: int) -> int:
    """Return what dropout is seeded with for the micro-batch that begins at row `start`."""
    return (seed * _MIX + step * 1_000_003 + start) % 2**63
