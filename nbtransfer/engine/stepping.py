"""Which way steps are taken in this worker: as planned, or eagerly where that cannot be."""

# Shapes: N rows, B rows of a batch, T tokens.
from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
import torch

from nbtransfer.data.encode import EncodedFeatures, EncodedFrozen, EncodedTexts
from nbtransfer.engine.batching import StepRows
from nbtransfer.engine.graphed import GraphedStep
from nbtransfer.engine.recording import Recorder
from nbtransfer.engine.step import EagerStep
from nbtransfer.models.buckets import Bucket
from nbtransfer.models.packing import PackedModel, why_not_flash, why_not_packed

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn
    from transformers import PretrainedConfig

    from nbtransfer.data.encode import Encoded
    from nbtransfer.engine.loading import Loaded
    from nbtransfer.engine.objectives import Objective
    from nbtransfer.models.freezing import Cut
    from nbtransfer.planning import Plan
    from nbtransfer.runs.events import EventWriter
    from nbtransfer.runs.run import Run
    from nbtransfer.spec import RunSpec

_COMPARED = 8  # rows
_CLOSE = 0.03  # bf16 on an H100 gave 0.0045; rows that see each other give 0.5 and more
_COMPILING_S = 40.0  # twice what compiling the layers took at most


def usable_kind(
    planned: str,
    accelerator: Accelerator,
    learner: nn.Module,
    encoded: Encoded,
    events: EventWriter,
) -> str:
    """Return the planned way of taking steps if it works here, otherwise `eager`, and say why.

    The answer depends on the model's first weights and the machine, not on how far a run has come,
    so that a resumed run gets the same.

    Args:
        planned: `eager` or `graphed`.
        accelerator: places tensors and chooses the arithmetic.
        learner: what learns, with the weights it begins with.
        encoded: the training rows.
        events: a change is said there.
    """
    if planned != "graphed":
        return planned
    reason = _why_not_graphed(accelerator, learner, encoded)
    if reason is None:
        return planned
    events.append("plan_changed", field="step_kind", old=planned, new="eager", reason=reason)
    return "eager"


def rows_of_steps(kind: str, lengths: np.ndarray, spec: RunSpec, plan: Plan) -> StepRows:
    """Return which rows make up which step.

    The rows of a padded step are sorted by length, those of several steps together where the plan
    says so. Packed ones differ least in their totals when rows come in any order: lengths that are
    all the same sort nothing.

    Args:
        kind: `eager` or `graphed`.
        lengths: tokens of each row, int array (N,).
        spec: what was asked for.
        plan: what was decided.
    """
    compared = lengths if kind == "eager" else np.zeros_like(lengths)
    return StepRows(compared, _rows_per_step(spec), spec.seed, plan.grouped_steps)


def _rows_per_step(spec: RunSpec) -> int:
    return spec.per_device_train_batch_size * spec.gradient_accumulation_steps


def make_step(
    kind: str,
    *,
    loaded: Loaded,
    learner: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    step_rows: StepRows,
    micro_batch_size: int,
    run: Run,
) -> EagerStep | GraphedStep:
    """Return what takes the steps of a run.

    Args:
        kind: `eager` or `graphed`.
        loaded: what is trained on what.
        learner: what learns, as accelerate prepared it.
        optimizer: holds what learns.
        objective: judges what the model says.
        step_rows: which rows make up which step.
        micro_batch_size: rows a forward pass, to begin with.
        run: what was asked for and planned.
    """
    spec, encoded = run.spec, loaded.train.encoded
    model = loaded.accelerator.unwrap_model(learner)
    if kind == "eager":
        return EagerStep(
            accelerator=loaded.accelerator,
            model=learner,
            optimizer=optimizer,
            encoded=encoded,
            objective=objective,
            micro_batch_size=micro_batch_size,
            max_grad_norm=spec.max_grad_norm,
            seed=spec.seed,
            packed=packed_for(loaded.accelerator, model, encoded, run.plan, loaded.cut),
        )
    assert isinstance(encoded, EncodedTexts)  # `usable_kind` saw to it
    tokens = float(encoded.lengths.mean()) * _rows_per_step(spec)
    return GraphedStep(
        accelerator=loaded.accelerator,
        model=model,
        optimizer=optimizer,
        encoded=encoded,
        objective=objective,
        step_rows=step_rows,
        rows_per_step=_rows_per_step(spec),
        micro_batch_size=micro_batch_size,
        max_grad_norm=spec.max_grad_norm,
        seed=spec.seed,
        recorder=Recorder() if loaded.accelerator.device.type == "cuda" else None,
        # A compiler that tries which of its kernels is fastest may choose others in the next life.
        compiles=not spec.deterministic
        and compiling_pays(run.plan.num_steps, tokens, model.config),
    )


def packed_for(
    accelerator: Accelerator,
    model: nn.Module,
    encoded: Encoded,
    plan: Plan,
    cut: Cut | None,
) -> PackedModel | None:
    """Return the model for eager steps without padding, or None where they are padded.

    The plan knows the family; this model's own shape and this worker decide in the end.

    Args:
        accelerator: places tensors.
        model: what learns, without any wrapping.
        encoded: the training rows.
        plan: says whether steps are to be packed.
        cut: leaves out the blocks whose answers the rows bring.
    """
    here = accelerator.device.type == "cpu" and accelerator.num_processes == 1
    if not (plan.packed and here) or isinstance(encoded, EncodedFeatures) or why_not_packed(model):
        return None
    if isinstance(encoded, EncodedFrozen) and encoded.first_only:
        return None
    if encoded.lengths.min() == 0:  # nothing of such a row is there to answer from
        return None
    return PackedModel(model, int(encoded.lengths.max()), cut)


def compiling_pays(num_steps: int, tokens_per_step: float, config: PretrainedConfig) -> bool:
    """Return whether compiled layers save a run more time than compiling them takes.

    Of BERT-base's 12 layers on an H100, compiling saved 1.0, 1.7, 3.1 and 9.5 ms a step of 400,
    1,600, 4,080 and 16,320 tokens: 0.9 ms and 0.55 us a token.
    """
    if importlib.util.find_spec("triton") is None:
        return False
    layers = config.num_hidden_layers / 12
    saved_s = layers * (0.9e-3 + 0.55e-6 * tokens_per_step * config.hidden_size / 768)
    return num_steps * saved_s > _COMPILING_S


def _why_not_graphed(accelerator: Accelerator, learner: nn.Module, encoded: Encoded) -> str | None:
    if accelerator.device.type != "cuda":
        return "this worker sees no CUDA device"
    if accelerator.mixed_precision != "bf16":
        return f"flash attention takes bf16, and this run has {accelerator.mixed_precision}"
    if accelerator.num_processes > 1:
        return "a graph covers one device"
    if not isinstance(encoded, EncodedTexts):
        return "only a layer on top of stored features learns"
    if reason := why_not_packed(learner) or why_not_flash(learner):
        return reason
    gap = packing_gap(accelerator, learner, encoded)
    if not gap < _CLOSE:
        return f"packed and padded answers differ by {gap:.1%}"
    return None


def packing_gap(accelerator: Accelerator, model: nn.Module, encoded: EncodedTexts) -> float:
    """Return how far a few rows' packed logits are from their padded ones, as a share of these.

    Costs two small passes, and tells whether attention on this device does what it does on a CPU.
    """
    model.eval()
    rows = np.argsort(encoded.lengths, kind="stable")
    rows = rows[np.linspace(0, len(rows) - 1, min(_COMPARED, len(rows))).astype(int)]
    batch = encoded.batch(rows)
    batch.pop("labels", None)
    own = batch["attention_mask"].bool()
    packed_model = PackedModel(model, int(encoded.lengths.max()))
    num_tokens = int(own.sum())
    packed = packed_model.pack(batch, Bucket(num_tokens + 1, 1))
    device = accelerator.device
    with torch.inference_mode(), accelerator.autocast():
        padded_output = model(**{k: v.to(device) for k, v in batch.items()})
        packed_output = packed_model(**{k: v.to(device) for k, v in packed.items()})
    own = own.to(device)
    if packed_model.answers_spans:
        theirs, ours = padded_output.start_logits[own], packed_output.start_logits
        ours = ours[own[:, : ours.shape[1]]]
    elif packed_model.answers_rows:
        theirs, ours = padded_output.logits, packed_output.logits
    else:
        theirs, ours = padded_output.logits[own], packed_output.logits[0, :num_tokens]
    return float((ours.float() - theirs.float()).norm() / theirs.float().norm())
