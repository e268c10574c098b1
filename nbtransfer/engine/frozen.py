"""What frozen layers say of each row, computed once: in memory, or mapped from a file.

Kept by content, so that a second run on the same rows and the same frozen weights finds it: in a
warm worker's memory, or in the runs folder's cache.
"""

# Shapes: N rows, B rows of a batch, T tokens of its longest row, H hidden size, K vectors in all.
from __future__ import annotations

import dataclasses
import hashlib
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import psutil
import torch

from nbtransfer.data.encode import EncodedFrozen
from nbtransfer.engine.evaluate import in_batches, most_tokens
from nbtransfer.engine.products import products_of
from nbtransfer.models.first_token import only_first_token
from nbtransfer.runs.faults import reach

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn

    from nbtransfer.data.encode import EncodedTexts
    from nbtransfer.models.freezing import Cut
    from nbtransfer.runs.cache import Cache

# Budgets: a share of what is free now, and never more than so many bytes.
_MEMORY_SHARE, _MEMORY_BYTES = 0.25, 4e9
_DISK_SHARE, _DISK_BYTES = 0.25, 20e9

_kept: dict[str, np.ndarray] = {}  # of the last run of this process, by key


class Found(NamedTuple):
    """Rows with their vectors; where those lie, and whether they were there already.

    `place` is `memory` or `disk`; None where neither budget holds them.
    """

    rows: EncodedFrozen | EncodedTexts
    place: str | None
    hit: bool
    num_bytes: int
    batch_size: int


def compute_once(
    accelerator: Accelerator,
    model: nn.Module,
    cut: Cut,
    rows: EncodedTexts,
    batch_size: int,
    cache: Cache,
) -> Found:
    """Return the rows with what the layers below the cut say of them.

    Args:
        accelerator: places tensors and chooses the arithmetic.
        model: the whole model; left in evaluation mode.
        cut: where its frozen part ends.
        rows: the rows.
        batch_size: rows a forward pass.
        cache: where vectors that memory has no room for are kept.
    """
    first_only = cut.reads_first_token
    num_vectors = len(rows.lengths) if first_only else len(rows.tokens)
    shape = (num_vectors, model.config.hidden_size)
    num_bytes = 4 * shape[0] * shape[1]
    key = _key(cut, rows, first_only, _arithmetic(accelerator, model))
    if key in _kept:
        found = EncodedFrozen(texts=rows, vectors=_kept[key], first_only=first_only)
        return Found(found, "memory", True, num_bytes, batch_size)
    stored = cache.array(key, shape)
    if stored is not None:
        found = EncodedFrozen(texts=rows, vectors=stored, first_only=first_only)
        return Found(found, "disk", True, num_bytes, batch_size)
    in_memory = num_bytes <= min(_MEMORY_BYTES, _MEMORY_SHARE * psutil.virtual_memory().available)
    if not in_memory and num_bytes > min(_DISK_BYTES, _DISK_SHARE * cache.free_bytes):
        return Found(rows, None, False, num_bytes, batch_size)
    if in_memory:
        vectors = np.empty(shape, np.float32)
        batch_size = _fill(accelerator, model, cut, rows, batch_size, vectors, first_only)
        _forget_beyond(num_bytes)
        _kept[key] = vectors
    else:
        with cache.new_array(key, shape) as mapped:
            batch_size = _fill(accelerator, model, cut, rows, batch_size, mapped, first_only)
        stored = cache.array(key, shape)
        assert stored is not None
        vectors = stored
    found = EncodedFrozen(texts=rows, vectors=vectors, first_only=first_only)
    return Found(found, "memory" if in_memory else "disk", False, num_bytes, batch_size)


@torch.inference_mode()
def _fill(
    accelerator: Accelerator,
    model: nn.Module,
    cut: Cut,
    rows: EncodedTexts,
    batch_size: int,
    vectors: np.ndarray,
    first_only: bool,
) -> int:
    """Compute every row's vectors; return how many rows a pass the memory held in the end."""
    model.eval()
    plain = dataclasses.replace(rows, targets=None)

    def forward(chosen: np.ndarray) -> None:
        batch = {k: v.to(accelerator.device) for k, v in plain.batch(chosen).items()}
        reach("evaluate.batch")
        shorter = only_first_token(model) if first_only else nullcontext()
        with accelerator.autocast(), shorter:
            hidden = cut.frozen(batch)
        if first_only:
            vectors[chosen] = hidden[:, 0].float().cpu().numpy()
            return
        for row, own in zip(chosen, hidden.float().cpu().numpy(), strict=True):
            start, end = rows.offsets[row], rows.offsets[row + 1]
            vectors[start:end] = own[: end - start]

    return in_batches(rows.lengths, batch_size, forward, most_tokens(accelerator))


def _forget_beyond(num_bytes: int) -> None:
    """Make room for `num_bytes` in the budget, the oldest first."""
    while _kept and sum(v.nbytes for v in _kept.values()) + num_bytes > _MEMORY_BYTES:
        del _kept[next(iter(_kept))]


def _arithmetic(accelerator: Accelerator, model: nn.Module) -> str:
    products = products_of(model)
    precision: str = accelerator.mixed_precision
    return precision if products == "torch" else f"{precision} {products}"


def _key(cut: Cut, rows: EncodedTexts, first_only: bool, arithmetic: str) -> str:
    """Return what the vectors depend on, as a name."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{cut.below} {first_only} {arithmetic} {rows.pad_token_id}".encode())
    for name, weight in cut.frozen_weights():
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().numpy().data)
    for array in (rows.tokens, rows.offsets, rows.segments):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return f"frozen-{digest.hexdigest()}"
