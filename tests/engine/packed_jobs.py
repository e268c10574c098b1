"""Two ways of taking the same steps on a tiny model, side by side."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from nbtransfer.data.encode import EncodedTexts
from nbtransfer.data.encoding import Ragged
from nbtransfer.data.masking import Masking
from nbtransfer.engine.batching import StepRows
from nbtransfer.engine.graphed import GraphedStep
from nbtransfer.engine.objectives import objective_of
from nbtransfer.engine.optim import make_optimizer, set_learning_rate
from nbtransfer.engine.step import EagerStep
from nbtransfer.models.packing import PackedModel
from nbtransfer.spec import RunSpec
from tests.models.families import (
    LONGEST,
    NEXT,
    PADDING,
    ROWS,
    SPANS,
    TOKENS,
    give_adapters,
    let_adapters_speak,
    tiny_model,
)

if TYPE_CHECKING:
    from nbtransfer.engine.recording import Recorder

HEADS = {"classes": ROWS, "score": ROWS, "several classes": ROWS, "tokens": TOKENS}
HEADS |= {"next tokens": NEXT, "hidden tokens": "MaskedLM", "spans": SPANS}


def accelerator_of(device: str, precision: str | None = None) -> Accelerator:
    """A fresh accelerator, whatever a test before asked for; bf16 on CUDA, as graphs want it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    usual = "no" if device == "cpu" else "bf16"
    return Accelerator(cpu=device == "cpu", mixed_precision=precision or usual)


def encoded_rows(kind: str = "classes", num_rows: int = 50) -> EncodedTexts:
    """Return random rows of 1 to `LONGEST` tokens with the targets of a kind of objective."""
    draw = np.random.default_rng(7)
    lengths = draw.integers(1, LONGEST + 1, num_rows)
    lengths[3], lengths[4] = 1, LONGEST
    offsets = np.concatenate([[0], lengths.cumsum()])
    tokens = draw.integers(4, 50, offsets[-1]).astype(np.int32)
    targets = {
        "classes": draw.integers(0, 3, num_rows),
        "score": draw.normal(size=num_rows).astype(np.float32),
        "several classes": draw.integers(0, 2, (num_rows, 3)).astype(np.float32),
        "tokens": Ragged(draw.integers(0, 3, offsets[-1]), offsets),
        "next tokens": Ragged(tokens.astype(np.int64), offsets),
        "spans": draw.integers(0, np.stack([lengths, lengths], 1)),
    }
    return EncodedTexts(
        tokens=tokens,
        offsets=offsets,
        pad_token_id=PADDING,
        targets=targets.get(kind),
        masking=Masking(0.3, 49, 50, (0, 1, 2, 3)) if kind == "hidden tokens" else None,
    )


class Played:
    """Recordings that hold the work instead of its kernels: replaying one runs it.

    As with CUDA, recording runs nothing, and a replay sees what lies in the recorded inputs.

    Attributes:
        recorded: how often something was recorded.
        replayed: how often something recorded was run.
        fails: errors that the next recordings end with.
    """

    def __init__(self) -> None:
        self.recorded = self.replayed = 0
        self.fails: list[Exception] = []

    @contextmanager
    def beside(self):
        yield

    def record(self, work):
        if self.fails:
            raise self.fails.pop(0)
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            work()

        return replay

    def forget(self) -> None:
        pass


class Side:
    """A model with its optimizer and one way of taking steps.

    Args:
        kind: `eager`, `packed` (eager without padding) or `graphed`.
        family: of the model.
        objective: kind of the objective.
        batch: rows a step.
        micro: rows a forward pass.
        frozen: whether only the head learns.
        adapters: whether LoRA's adapters learn, and with a head for whole rows that head.
        weights: of the classes.
        dropout: of every dropout layer.
        recorder: of graphed steps; None takes them without recordings.
        compiles: whether graphed steps compile the layers.
        shape: entries of the model's configuration.
        encoded: the rows; by default random ones.
        device: `cpu` or `cuda`.
        precision: as accelerate names it; by default the device's usual one.
        prepares: whether steps can be taken at once; otherwise `prepare` comes first.
    """

    def __init__(
        self,
        kind: str,
        *,
        family: str = "bert",
        objective: str = "classes",
        batch: int = 8,
        micro: int | None = None,
        frozen: bool = False,
        adapters: bool = False,
        weights: list[float] | None = None,
        dropout: float = 0.0,
        recorder: Played | Recorder | None = None,
        compiles: bool = False,
        shape: dict[str, int] | None = None,
        encoded: EncodedTexts | None = None,
        device: str = "cpu",
        precision: str | None = None,
        prepares: bool = True,
    ) -> None:
        labels = {"score": {"num_labels": 1}, "spans": {"num_labels": 2}}.get(objective, {})
        own = {"initializer_range": 0.05, **labels, **(shape or {})}
        self.model = tiny_model(family, HEADS[objective], **own)
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
        if adapters:
            give_adapters(self.model, whole_head=HEADS[objective] == ROWS, lora_dropout=dropout)
            let_adapters_speak(self.model)
        if frozen:
            self.model.base_model.requires_grad_(False)
        self.model.to(device)
        self.accelerator = accelerator_of(device, precision)
        self.encoded = encoded or encoded_rows(objective)
        spec = RunSpec(model="m", data="d", per_device_train_batch_size=batch)
        self.optimizer = make_optimizer(self.model, spec)
        self.step_rows = StepRows(
            np.zeros_like(self.encoded.lengths), batch, seed=3, grouped_steps=8
        )
        class_weights = None if weights is None else torch.tensor(weights)
        common = {
            "accelerator": self.accelerator,
            "model": self.model,
            "optimizer": self.optimizer,
            "encoded": self.encoded,
            "objective": objective_of(objective, class_weights),
            "micro_batch_size": micro or batch,
            "max_grad_norm": 1.0,
            "seed": 5,
        }
        if kind == "graphed":
            common |= {"step_rows": self.step_rows, "rows_per_step": batch}
            common |= {"recorder": recorder, "compiles": compiles}
        if kind == "packed":
            longest = int(self.encoded.lengths.max())
            common |= {"packed": PackedModel(self.model, longest)}
        self._make = lambda: (GraphedStep if kind == "graphed" else EagerStep)(**common)
        if prepares:
            self.prepare()

    def prepare(self) -> None:
        """Make what takes the steps; moments of a checkpoint are there by then."""
        self.take = self._make()

    def set_rate(self, rate: float) -> None:
        """Use a learning rate from the next step on."""
        set_learning_rate(self.optimizer, rate)

    def run(self, num_steps: int, start: int = 0) -> list[tuple[float, float]]:
        """Take steps with a rate that changes at each; return losses and gradient norms."""
        found = []
        for step in range(start, start + num_steps):
            self.set_rate(1e-3 / (1 + step))
            result = self.take(self.step_rows(step), step)
            found.append((float(result.loss), float(result.grad_norm)))
        return found

    def weights(self) -> torch.Tensor:
        """All weights, end to end."""
        return torch.cat([p.detach().flatten() for p in self.model.parameters()])

    def moments(self) -> list[torch.Tensor]:
        """A copy of the optimizer's state."""
        return [v.clone() for state in self.optimizer.state.values() for v in state.values()]
