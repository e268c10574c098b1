"""One optimizer step as a captured CUDA graph over a packed batch: no padding, no launches.

Small steps wait for the host, which launches a thousand kernels for each. Here the host launches
one graph, recorded once for each of a few totals of tokens. Everything but the recording itself
(`recording.Recorder`) runs on a CPU too, which is how it is tested.
"""

# Shapes: B rows of a micro-batch, T tokens of a packed batch.
from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from nbtransfer.engine.language import NextTokens
from nbtransfer.engine.memory import is_out_of_memory, release_memory
from nbtransfer.engine.optim import make_moments
from nbtransfer.engine.step import EagerStep, StepResult, dropout_seed, pinned, sent
from nbtransfer.models.buckets import Bucket, choose_bucket, make_buckets
from nbtransfer.models.packing import PackedModel
from nbtransfer.runs.faults import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from accelerate import Accelerator
    from transformers import PreTrainedModel

    from nbtransfer.data.encode import EncodedTexts
    from nbtransfer.engine.batching import StepRows
    from nbtransfer.engine.objectives import Objective
    from nbtransfer.engine.recording import Recorder

Inputs = dict[str, torch.Tensor]

_SAMPLE = 2000  # steps whose totals decide the buckets
_SHORTEST = 4  # fillers of one token each could never fill a bucket


class _Graph(NamedTuple):
    """A recording, and the tensors it reads; its results go where `GraphedStep` keeps them."""

    replay: Callable[[], None]
    inputs: Inputs


class GraphedStep:
    """Take optimizer steps over packed batches, each a graph replayed; `EagerStep`'s interface.

    A step of one micro-batch is one graph: forward, backward, clip and update, with gradients that
    live inside it. With accumulation there is a graph for each bucket that adds to gradients kept
    outside, and one more that clips and updates. Batches smaller than the rest (the last of an
    epoch) are not worth a recording and run the same code without one.

    The learning rate is a tensor, which the schedule and the live slider fill. Dropout is seeded by
    (seed, step, micro-batch) as in `EagerStep`: a graph draws from the generator's seed at replay.

    Where memory runs out, all graphs are dropped and the step is taken again in micro-batches of
    half the size: until the update nothing but gradients has changed. Where one row is too much,
    steps of the same rows are taken eagerly from then on, with layers computed twice.

    Args:
        accelerator: places tensors and chooses the arithmetic, bf16 or float32.
        model: one that can be packed, without accelerate's wrapping.
        optimizer: fused AdamW over what learns.
        encoded: the training rows, with their targets.
        objective: judges what the model says.
        step_rows: which rows make up which step; a sample of them decides the buckets.
        rows_per_step: rows of a step, but for the last of an epoch.
        micro_batch_size: rows a forward pass, to begin with.
        max_grad_norm: 0 turns clipping off.
        seed: seeds dropout.
        recorder: records steps; None takes them without.
        compiles: whether each layer is compiled, which takes 4 to 19 s at the first step.
    """

    def __init__(
        self,
        *,
        accelerator: Accelerator,
        model: PreTrainedModel,
        optimizer: torch.optim.Optimizer,
        encoded: EncodedTexts,
        objective: Objective,
        step_rows: StepRows,
        rows_per_step: int,
        micro_batch_size: int,
        max_grad_norm: float,
        seed: int,
        recorder: Recorder | None,
        compiles: bool = False,
    ) -> None:
        self._accelerator = accelerator
        self._device = accelerator.device
        self._optimizer: torch.optim.Optimizer = getattr(optimizer, "optimizer", optimizer)
        self._encoded = encoded
        self._objective = objective
        self._step_rows = step_rows
        self._rows_per_step = rows_per_step
        self.micro_batch_size = micro_batch_size
        self._max_grad_norm = max_grad_norm
        self._seed = seed
        self._recorder = recorder
        self._model = model
        self._eager: EagerStep | None = None
        self._learning = [p for p in model.parameters() if p.requires_grad]
        self._max_length = max(_SHORTEST, int(encoded.lengths.max()))
        self._packed = PackedModel(model, self._max_length)
        if compiles:
            self._packed.compile_layers()
        for group in self._optimizer.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), device=self._device)
            group["capturable"] = self._device.type == "cuda"
        self._loss = torch.zeros((), device=self._device)
        self._norm = torch.zeros((), device=self._device)
        self._graphs: dict[object, _Graph] = {}
        self._buckets = self._choose_buckets()

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The totals of tokens that batches are filled up to."""
        return self._buckets

    @property
    def num_graphs(self) -> int:
        """How many graphs were recorded."""
        return len(self._graphs)

    def _choose_buckets(self) -> tuple[Bucket, ...]:
        lengths, size = self._encoded.lengths, self.micro_batch_size
        steps = map(self._step_rows, range(min(_SAMPLE, self._step_rows.steps_per_epoch)))
        totals = [
            int(lengths[rows[start : start + size]].sum())
            for rows in steps
            for start in range(0, len(rows), size)
        ]
        largest = int(np.partition(lengths, -size)[-size:].sum()) if len(lengths) > size else 0
        # One token of filler at least; a micro-batch may be the last rows together with the rest.
        return make_buckets(np.array(totals) + 1, max(largest, *totals) + 1, self._max_length)

    @property
    def _shares_gradients(self) -> bool:
        """Whether graphs add to gradients that lie outside of them."""
        return self._accumulates and self._recorder is not None

    @property
    def _accumulates(self) -> bool:
        return self._rows_per_step > self.micro_batch_size

    def __call__(self, rows: np.ndarray, step: int) -> StepResult:
        """Update the weights on `rows`; see `EagerStep`."""
        while self._eager is None:
            try:
                return self._take(rows, step)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Not in the except block: the error holds the tensors of the pass that was too large.
            self._graphs.clear()
            if self._recorder is not None:
                self._recorder.forget()
            self._optimizer.zero_grad(set_to_none=True)
            if self.micro_batch_size > 1:
                self.micro_batch_size //= 2
                self._buckets = self._choose_buckets()
            else:
                self._eager = self._make_eager()
            release_memory()
        return self._eager(rows, step)

    @property
    def recomputes(self) -> bool:
        """Whether layers are computed again in the backward pass; see `EagerStep`."""
        return self._eager is not None and self._eager.recomputes

    def _make_eager(self) -> EagerStep:
        eager = EagerStep(
            accelerator=self._accelerator,
            model=self._model,
            optimizer=self._optimizer,
            encoded=self._encoded,
            objective=self._objective,
            micro_batch_size=1,
            max_grad_norm=self._max_grad_norm,
            seed=self._seed,
        )
        eager.recompute_layers()
        return eager

    def _take(self, rows: np.ndarray, step: int) -> StepResult:
        # Before the activations are there, and so that the update itself allocates nothing.
        make_moments(self._optimizer)
        # So are the results: out of memory after the update, it would be made twice.
        result = StepResult(torch.empty_like(self._loss), torch.empty_like(self._norm))
        weight = torch.tensor(float(self._objective.weight(self._encoded, rows)))
        size = self.micro_batch_size
        self._loss.zero_()
        for start in range(0, len(rows), size):
            piece = rows[start : start + size]
            inputs, bucket = self._pack(piece, step)
            inputs["weight"] = weight
            reach("step.forward")
            reach("step.backward")
            if not self._accumulates:
                reach("step.optimizer")
            work = self._learn if self._accumulates else self._learn_and_update
            seed = dropout_seed(self._seed, step, start)
            self._do(work, inputs, bucket if len(piece) == size else None, seed)
        if self._accumulates:
            reach("step.optimizer")
            # Passes that were recorded have warmed it up.
            self._do(self._update, {}, "update" if self._graphs else None, 0)
        result.loss.copy_(self._loss)
        result.grad_norm.copy_(self._norm)
        return result

    def _pack(self, rows: np.ndarray, step: int) -> tuple[Inputs, Bucket]:
        bucket = choose_bucket(self._buckets, int(self._encoded.lengths[rows].sum()))
        padded = self._encoded.batch(rows, (self._seed, step))
        next_tokens = isinstance(self._objective, NextTokens)
        return self._packed.pack(padded, bucket, next_tokens=next_tokens), bucket

    def _learn(self, inputs: Inputs) -> None:
        """Add a micro-batch's gradients, and its share of the step's mean loss."""
        batch = {k: v for k, v in inputs.items() if k not in ("labels", "weight")}
        with self._autocast():
            output = self._objective.forward(self._packed, batch, inputs["labels"])
        loss = self._objective.loss(output, inputs["labels"]) / inputs["weight"]
        loss.backward()
        self._loss += loss.detach()

    def _update(self, _inputs: Inputs) -> None:
        """Clip the gradients, take AdamW's step and clear them."""
        if self._max_grad_norm > 0:
            norm = torch.nn.utils.clip_grad_norm_(self._learning, self._max_grad_norm)
        else:
            grads = [p.grad for p in self._learning if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(grads)
        self._norm.copy_(norm)
        self._optimizer.step()
        # Gradients inside a graph cost nothing to forget; those that graphs share stay in place.
        self._optimizer.zero_grad(set_to_none=not self._shares_gradients)

    def _learn_and_update(self, inputs: Inputs) -> None:
        self._learn(inputs)
        self._update(inputs)

    def _autocast(self) -> AbstractContextManager[None]:
        if self._accelerator.mixed_precision == "no":
            return nullcontext()
        # A cast kept from the recording would never see the weights change.
        return torch.autocast(self._device.type, dtype=torch.bfloat16, cache_enabled=False)

    def _do(
        self, work: Callable[[Inputs], None], inputs: Inputs, key: object | None, seed: int
    ) -> None:
        """Run `work`, by its recording where there is a key to keep one under."""
        if self._recorder is None or key is None:
            torch.manual_seed(seed)
            work({name: sent(tensor, self._device) for name, tensor in inputs.items()})
            return
        graph = self._graphs.get(key)
        if graph is None:
            if not self._graphs and isinstance(key, Bucket):
                self._record_largest(work, inputs)
            graph = self._graphs.get(key) or self._record(work, inputs, key)
        for name, tensor in inputs.items():
            graph.inputs[name].copy_(pinned(tensor, self._device), non_blocking=True)
        torch.manual_seed(seed)
        graph.replay()

    def _record_largest(self, work: Callable[[Inputs], None], inputs: Inputs) -> None:
        """Record the largest bucket first, into whose memory the others fit.

        It also tells at once whether memory suffices.
        """
        largest = self._buckets[-1]
        rows = np.argsort(-self._encoded.lengths, kind="stable")[: self.micro_batch_size]
        if len(rows) == self.micro_batch_size:
            longest = self._packed.pack(self._encoded.batch(rows), largest)
            self._record(work, {**longest, "weight": inputs["weight"]}, largest)

    def _record(self, work: Callable[[Inputs], None], inputs: Inputs, key: object) -> _Graph:
        """Record `work` on tensors of its own; weights, moments and the step's sums stay."""
        assert self._recorder is not None
        if not self._graphs:
            release_memory()  # once: it takes a tenth of a second
        static = {name: sent(tensor, self._device).clone() for name, tensor in inputs.items()}
        if work != self._update:
            self._warm_up(static)
        replay = self._recorder.record(lambda: work(static))
        self._graphs[key] = graph = _Graph(replay, static)
        return graph

    def _warm_up(self, inputs: Inputs) -> None:
        """Let libraries choose kernels and make workspaces, which a recording must not contain.

        It is a whole step whose update changes nothing. Gradients made on the way are thrown away;
        with accumulation, those made before come back.
        """
        assert self._recorder is not None
        kept, loss = [p.grad for p in self._learning], self._loss.clone()
        for parameter in self._learning:
            parameter.grad = None
        with self._recorder.beside():
            self._learn(inputs)
            with self._without_effect():
                self._update(inputs)
        self._loss.copy_(loss)
        for parameter, grad in zip(self._learning, kept, strict=True):
            if not self._accumulates:
                parameter.grad = None
            elif grad is not None:
                parameter.grad = grad
            elif parameter.grad is not None:  # graphs add to it from now on
                parameter.grad = torch.zeros_like(parameter.grad)

    @contextmanager
    def _without_effect(self) -> Iterator[None]:
        """Let updates launch all that they launch and change neither weights nor moments.

        Under fp16 fused AdamW is told so where gradients are not finite.
        """
        self._optimizer.found_inf = torch.ones((), device=self._device)
        try:
            yield
        finally:
            del self._optimizer.found_inf
