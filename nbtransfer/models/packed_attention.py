"""The attention of packed batches: each token sees its own sequence, and nothing of the others.

Registered with transformers under `ATTENTION`, so that the models of many families take it as they
are. Under a name that it has no mask function for, it makes no mask: the boundaries say it all.

Flash attention runs on CUDA alone; the masked products elsewhere give the same, at a cost that
grows with the square of all tokens, and are there for tests.
"""

# Shapes: T tokens of a packed batch, S sequences in it, A attention heads, K of keys and values,
# D features of a head.
from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

ATTENTION = "nbtransfer_packed"
LARGEST_HEAD = 256  # features; flash attention's limit, and it wants a multiple of 8


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    cu_seq_lens_q: torch.Tensor,
    max_length_q: int,
    **_others: object,
) -> tuple[torch.Tensor, None]:
    """Attend within each sequence of a packed batch: flash on CUDA, masked products elsewhere.

    The signature is that of transformers' attention functions.

    Args:
        module: the attention layer; its `is_causal` says whether tokens see later ones.
        query: float tensor (1, A, T, D).
        key: float tensor (1, K, T, D).
        value: float tensor (1, K, T, D).
        attention_mask: None.
        dropout: share of attention weights that are dropped.
        scaling: factor of the products; None takes D ** -0.5.
        sliding_window: a token sees those fewer than this many places away.
        is_causal: overrules the layer's own.
        cu_seq_lens_q: int32 tensor (S + 1,), the first token of each sequence, and T.
        max_length_q: no sequence is longer.

    Returns:
        Float tensor (1, T, A, D), and None for the weights.
    """
    causal = bool(module.is_causal if is_causal is None else is_causal)
    if sliding_window is not None and sliding_window >= max_length_q:
        sliding_window = None
    if query.device.type in ("cpu", "mps"):
        mask = _block_mask(cu_seq_lens_q, query.shape[2], causal, sliding_window)
        out = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=dropout,
            scale=scaling,
            enable_gqa=key.shape[1] != query.shape[1],
        )
        return out.transpose(1, 2), None
    half = value.dtype if value.dtype in (torch.bfloat16, torch.float16) else torch.bfloat16
    window = None if sliding_window is None else sliding_window - 1
    out = torch.ops.aten._flash_attention_forward(
        *(tensor[0].transpose(0, 1).to(half) for tensor in (query, key, value)),
        cu_seq_lens_q,
        cu_seq_lens_q,
        max_length_q,
        max_length_q,
        dropout,
        causal,
        False,
        scale=scaling,
        window_size_left=window,
        window_size_right=0 if causal and window is not None else window,
    )[0]
    return out.unsqueeze(0), None


def _block_mask(
    boundaries: torch.Tensor, num_tokens: int, causal: bool, window: int | None
) -> torch.Tensor:
    """Return which token sees which, bool tensor (T, T)."""
    at = torch.arange(num_tokens, device=boundaries.device)
    own = torch.searchsorted(boundaries, at, right=True)
    mask = own[:, None] == own[None, :]
    away = at[:, None] - at[None, :]
    if causal:
        mask &= away >= 0
    if window is not None:
        mask &= away.abs() < window
    return mask


AttentionInterface.register(ATTENTION, packed_attention)
