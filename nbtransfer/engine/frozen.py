"""What frozen layers say of each row, computed once: in memory, or mapped from a file.

Kept by content, so that a second run on the same rows and the same frozen weights finds it: in a
warm worker's memory, or in the runs folder's cache.
"""

# Shapes: N rows, B rows of a batch, T tokens of its longest row, H hidden size, K vectors in all.
from __future__ import annotations

import dataclasses
import hashlib
import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import psutil
import torch
import transformers

import nbtransfer
from nbtransfer.data.encode import EncodedFeatures, EncodedFrozen
from nbtransfer.data.encoding import Ragged
from nbtransfer.engine.evaluate import in_batches, most_tokens
from nbtransfer.engine.products import products_of
from nbtransfer.models.first_token import only_first_token
from nbtransfer.runs.faults import reach

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelerate import Accelerator
    from torch import nn

    from nbtransfer.data.encode import EncodedTexts
    from nbtransfer.models.freezing import Cut
    from nbtransfer.models.load import MeanPooledClassifier
    from nbtransfer.runs.cache import Cache

# Budgets: a share of what is free now, and never more than so many bytes.
_MEMORY_SHARE, _MEMORY_BYTES = 0.25, 4e9
_DISK_SHARE, _DISK_BYTES = 0.25, 20e9
# What a configuration says of the head, and of where the model came from.
_NOT_BELOW = (
    "_name_or_path",
    "architectures",
    "id2label",
    "label2id",
    "problem_type",
    "transformers_version",
)

_MEAN = "mean"

_kept: dict[str, np.ndarray] = {}  # of the last run of this process, by key


class FrozenPart(NamedTuple):
    """What does not learn of a model, and is asked once about each row.

    Attributes:
        name: which part it is.
        num_layers: how many blocks.
        weights: all of it, by name.
        one_a_row: whether what is above reads one vector of a row, and so that alone is kept.
        forward: maps a batch to a float tensor: (B, H) where that is so, otherwise (B, T, H).
    """

    name: str
    num_layers: int
    weights: list[tuple[str, torch.Tensor]]
    one_a_row: bool
    forward: Callable[[dict[str, torch.Tensor]], torch.Tensor]


def below_cut(model: nn.Module, cut: Cut) -> FrozenPart:
    """Return the blocks below the cut of `model`."""
    first_only = cut.reads_first_token

    def forward(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with only_first_token(model) if first_only else nullcontext():
            hidden = cut.frozen(batch)
        return hidden[:, 0] if first_only else hidden

    name = f"{cut.below} {first_only}"
    return FrozenPart(name, cut.below, list(cut.frozen_weights()), first_only, forward)


def mean_pooled(model: MeanPooledClassifier) -> FrozenPart:
    """Return the encoder of `model`. Its classifier takes whole texts too from now on."""
    model.let_classifier_read_texts()
    weights = list(model.encoder.named_parameters())
    num_layers = model.config.num_hidden_layers
    return FrozenPart(_MEAN, num_layers, weights, True, lambda batch: model.features(**batch))


class Found(NamedTuple):
    """Rows with their vectors; where those lie, and whether they were there already.

    `place` is `memory` or `disk`; None where neither budget holds them, and the rows are as before.
    """

    rows: EncodedFeatures | EncodedFrozen | EncodedTexts
    place: str | None
    hit: bool
    num_bytes: int
    batch_size: int


def compute_once(
    accelerator: Accelerator,
    model: nn.Module,
    part: FrozenPart,
    rows: EncodedTexts,
    batch_size: int,
    cache: Cache,
) -> Found:
    """Return the rows with what the frozen part says of them.

    Args:
        accelerator: places tensors and chooses the arithmetic.
        model: the whole model; left in evaluation mode.
        part: what is asked of it.
        rows: the rows.
        batch_size: rows a forward pass.
        cache: where vectors that memory has no room for are kept.
    """
    num_vectors = len(rows.lengths) if part.one_a_row else len(rows.tokens)
    shape = (num_vectors, model.config.hidden_size)
    num_bytes = 4 * shape[0] * shape[1]
    key = _key(accelerator, model, part, rows, batch_size)
    if key in _kept:
        return Found(_above(part, rows, _kept[key]), "memory", True, num_bytes, batch_size)
    stored = cache.array(key, shape)
    if stored is not None:
        return Found(_above(part, rows, stored), "disk", True, num_bytes, batch_size)
    in_memory = num_bytes <= min(_MEMORY_BYTES, _MEMORY_SHARE * psutil.virtual_memory().available)
    if not in_memory and num_bytes > min(_DISK_BYTES, _DISK_SHARE * cache.free_bytes):
        return Found(rows, None, False, num_bytes, batch_size)
    if in_memory:
        vectors = np.empty(shape, np.float32)
        batch_size = _fill(accelerator, model, part, rows, batch_size, vectors)
        _forget_beyond(num_bytes)
        _kept[key] = vectors
    else:
        with cache.new_array(key, shape) as mapped:
            batch_size = _fill(accelerator, model, part, rows, batch_size, mapped)
        stored = cache.array(key, shape)
        assert stored is not None
        vectors = stored
    place = "memory" if in_memory else "disk"
    return Found(_above(part, rows, vectors), place, False, num_bytes, batch_size)


def _above(
    part: FrozenPart, rows: EncodedTexts, vectors: np.ndarray
) -> EncodedFeatures | EncodedFrozen:
    """Return the rows as what is above the part takes them."""
    if part.name != _MEAN:
        return EncodedFrozen(texts=rows, vectors=vectors, first_only=part.one_a_row)
    assert not isinstance(rows.targets, Ragged)
    return EncodedFeatures(features=vectors, lengths=rows.lengths, targets=rows.targets)


@torch.inference_mode()
def _fill(
    accelerator: Accelerator,
    model: nn.Module,
    part: FrozenPart,
    rows: EncodedTexts,
    batch_size: int,
    vectors: np.ndarray,
) -> int:
    """Compute every row's vectors; return how many rows a pass the memory held in the end."""
    model.eval()
    plain = dataclasses.replace(rows, targets=None)

    def forward(chosen: np.ndarray) -> None:
        batch = {k: v.to(accelerator.device) for k, v in plain.batch(chosen).items()}
        reach("evaluate.batch")
        with accelerator.autocast():
            hidden = part.forward(batch).float().cpu().numpy()
        if part.one_a_row:
            vectors[chosen] = hidden
            return
        for row, own in zip(chosen, hidden, strict=True):
            start, end = rows.offsets[row], rows.offsets[row + 1]
            vectors[start:end] = own[: end - start]

    return in_batches(rows.lengths, batch_size, forward, most_tokens(accelerator))


def _forget_beyond(num_bytes: int) -> None:
    """Make room for `num_bytes` in the budget, the oldest first."""
    while _kept and sum(v.nbytes for v in _kept.values()) + num_bytes > _MEMORY_BYTES:
        del _kept[next(iter(_kept))]


def _key(
    accelerator: Accelerator,
    model: nn.Module,
    part: FrozenPart,
    rows: EncodedTexts,
    batch_size: int,
) -> str:
    """Return what the vectors depend on, to their last bit, as a name.

    Batches of other widths and other threads round otherwise: a run must not have other bits
    because of what ran before it.
    """
    about = {
        "part": part.name,
        "config": {k: v for k, v in model.config.to_dict().items() if k not in _NOT_BELOW},
        "arithmetic": [
            accelerator.device.type,
            accelerator.mixed_precision,
            torch.get_float32_matmul_precision(),
            torch.get_num_threads(),
            products_of(model),
        ],
        "batches": [batch_size, rows.pad_token_id, rows.pad_multiple],
        "versions": [nbtransfer.__version__, torch.__version__, transformers.__version__],
    }
    digest = hashlib.blake2b(json.dumps(about, sort_keys=True, default=str).encode())
    for name, weight in part.weights:
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().numpy().data)
    for array in (rows.tokens, rows.offsets, rows.segments):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return f"frozen-{digest.hexdigest()[:32]}"
