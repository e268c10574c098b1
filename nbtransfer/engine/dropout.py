"""Dropout on a CPU at a fraction of the price: its random numbers are drawn by bits, all at once.

torch draws dropout's noise one number at a time on one core, which takes 8 % of a small step on two
cores. Here a pass over a micro-batch fills one buffer with random 16-bit words, and every dropout
of that pass takes the next of them. The words depend on (seed, step, micro-batch) alone, as
`engine.step` promises.
"""

# Shapes: B rows, A heads, T tokens, D features of a head; N elements that a dropout masks.
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

_ATTENTION = "nbtransfer_cpu"
_WORDS = 2**16  # an element is dropped where its 16-bit word is below p x 65,536
_BLOCK = 2**18  # words drawn at a time, at least: half a megabyte stays in the cache


class DropoutNoise:
    """The random words of one pass, handed out in the order in which the model asks for them."""

    def __init__(self) -> None:
        self._bits: np.random.BitGenerator = np.random.SFC64(0)
        self._left = np.empty(0, np.uint16)

    def seed(self, key: Sequence[int]) -> None:
        """Begin a pass; `key` (whole numbers from 0) decides every word of it."""
        self._bits = np.random.SFC64(list(key))
        self._left = np.empty(0, np.uint16)

    def keep(self, shape: torch.Size, p: float) -> torch.Tensor:
        """Return a float32 tensor of `shape`: 1 / (1 - p) with probability 1 - p, otherwise 0.

        The probability is rounded to a multiple of 1 / 65,536.
        """
        words = torch.from_numpy(self._take(math.prod(shape)).view(np.int16)).view(shape)
        # Signed words need no conversion on the way: -32,768 stands for 0. A steep line cut off at
        # both ends takes half the time of comparing and converting, and is as exact.
        scale = 1 / (1 - p)
        lowest = round(p * _WORDS) - _WORDS // 2
        return words.to(torch.float32).sub_(lowest - 0.5).mul_(4 * scale).clamp_(0.0, scale)

    def _take(self, count: int) -> np.ndarray:
        if count > len(self._left):
            # What is left of the last block is dropped: it is short, and its use would need a copy.
            size = max(count, _BLOCK)
            self._left = self._bits.random_raw(-(-size // 4)).view(np.uint16)
        taken, self._left = self._left[:count], self._left[count:]
        return taken


class CheapDropout(nn.Dropout):
    """`nn.Dropout` on words of a DropoutNoise; made by changing the class of a model's own."""

    noise: DropoutNoise

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return `input` with elements dropped while training, as it is otherwise."""
        if not self.training or self.p == 0 or input.device.type != "cpu":
            return input if not self.training else super().forward(input)
        return input * self.noise.keep(input.shape, self.p).to(input.dtype)


def cheapen_dropout(model: nn.Module) -> DropoutNoise | None:
    """Make the dropouts of `model` take cheap words; its state and configuration stay as they are.

    Modules of class `nn.Dropout` are reached in every model; dropout inside attention where the
    model takes its attention from transformers' registry. What is not reached goes on with torch's
    own numbers.

    Returns:
        What to seed before each pass, or None where nothing is dropped.
    """
    noise = DropoutNoise()
    found = False
    for module in model.modules():
        if type(module) is nn.Dropout and 0 < module.p < 1 and not module.inplace:
            module.__class__ = CheapDropout
            module.noise = noise
            found = True
    for part in model.modules():
        if (
            isinstance(part, PreTrainedModel)
            and getattr(part.config, "_attn_implementation", None) == "sdpa"
            and getattr(part, "_supports_attention_backend", False)
        ):
            part.config._attn_implementation = _ATTENTION
            for module in part.modules():
                module._nbtransfer_noise = noise
            found = True
    return noise if found else None


def _attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **rest: Any,  # noqa: ANN401 -- whatever a family of models passes on to its attention
) -> tuple[torch.Tensor, None]:
    """Attend as transformers' sdpa does, with cheap dropout; args: (B, A, T, D) each.

    Returns:
        Float tensor (B, T, A, D), and no attention weights.
    """
    noise = getattr(module, "_nbtransfer_noise", None)
    is_causal = rest.get("is_causal")
    causal = getattr(module, "is_causal", False) if is_causal is None else is_causal
    plain = (
        noise is not None
        and dropout > 0
        and query.device.type == "cpu"
        and query.shape[1] == key.shape[1]
        and (attention_mask is not None or not causal)
        and not {"position_bias", "s_aux", "softcap"}
        & {k for k, v in rest.items() if v is not None}
    )
    if noise is None or not plain:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.matmul(query * scale, key.transpose(2, 3))  # (B, A, T, T)
    if attention_mask is not None:
        if attention_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
        else:
            scores = scores + attention_mask
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32)
    weights = (weights * noise.keep(weights.shape, dropout)).to(query.dtype)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), None


AttentionInterface.register(_ATTENTION, _attention)
AttentionMaskInterface.register(_ATTENTION, sdpa_mask)
