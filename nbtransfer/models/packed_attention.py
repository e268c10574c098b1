"""The attention of packed batches: each token sees its own sequence, and nothing of the others.

Registered with transformers under `ATTENTION`, so that the models of many families take it as they
are. Under a name that it has no mask function for, it makes no mask: the boundaries say it all.

On CUDA it is flash attention. On a CPU sequences of like lengths are padded to each other for
attention alone, where padding costs little; nine tenths of a model's arithmetic is outside of it.
"""

# Shapes: T tokens of a packed batch, S sequences in it, A attention heads, K of keys and values,
# D features of a head; R sequences of a piece, L tokens of the longest of them, M of all of them.
from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from transformers import AttentionInterface

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ATTENTION = "nbtransfer_packed"
LARGEST_HEAD = 256  # features; flash attention's limit, and it wants a multiple of 8

# What another piece costs, in weights of attention: measured with 16 rows of 5 to 100 tokens.
_PIECE = 8000


class Piece(NamedTuple):
    """Neighbouring sequences of a packed batch that attend side by side, padded to the longest.

    Attributes:
        sequences: which they are.
        tokens: where their tokens lie.
        width: tokens of the longest.
        places: int64 tensor (M,), where each token goes among R x L; None where all are as long.
        own: bool tensor (R, 1, 1, L), which places hold a token; None likewise.
    """

    sequences: slice
    tokens: slice
    width: int
    places: torch.Tensor | None
    own: torch.Tensor | None


def pieces_of(lengths: Sequence[int]) -> tuple[Piece, ...]:
    """Return the pieces in which sequences of these lengths cost attention the least.

    Found by dynamic programming over where to cut; sequences sorted by length are cut best.
    """
    cheapest, cuts = [0.0], [0]
    for end in range(1, len(lengths) + 1):
        longest, best, cut = 0, float("inf"), 0
        for start in range(end - 1, -1, -1):
            longest = max(longest, lengths[start])
            cost = cheapest[start] + (end - start) * longest**2 + _PIECE
            if cost < best:
                best, cut = cost, start
        cheapest.append(best)
        cuts.append(cut)
    found: list[Piece] = []
    end, last = len(lengths), sum(lengths)
    while end:
        start = cuts[end]
        piece = _piece(start, lengths[start:end], last)
        found.append(piece)
        end, last = start, piece.tokens.start
    return tuple(reversed(found))


def _piece(start: int, lengths: Sequence[int], last_token: int) -> Piece:
    width = max(lengths)
    first_token = last_token - sum(lengths)
    sequences, tokens = slice(start, start + len(lengths)), slice(first_token, last_token)
    if min(lengths) == width:
        return Piece(sequences, tokens, width, None, None)
    own = torch.arange(width) < torch.tensor(lengths)[:, None]
    return Piece(sequences, tokens, width, own.flatten().nonzero()[:, 0], own[:, None, None])


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
    pieces: tuple[Piece, ...] = (),
    padded_attention: str = "sdpa",
    **_others: object,
) -> tuple[torch.Tensor, None]:
    """Attend within each sequence of a packed batch.

    The signature is that of transformers' attention functions.

    Args:
        module: the attention layer; its `is_causal` says whether tokens see later ones.
        query: float tensor (1, A, T, D), or on a CPU (1, A, S, D): one token a sequence asks.
        key: float tensor (1, K, T, D).
        value: float tensor (1, K, T, D).
        attention_mask: None.
        dropout: share of attention weights that are dropped.
        scaling: factor of the products; None takes D ** -0.5.
        sliding_window: a token sees those fewer than this many places away.
        is_causal: overrules the layer's own.
        cu_seq_lens_q: int32 tensor (S + 1,), the first token of each sequence, and T.
        max_length_q: no sequence is longer.
        pieces: of all sequences, on a CPU; none elsewhere.
        padded_attention: transformers' name of what attends within a piece.

    Returns:
        Float tensor (1, T, A, D), or (1, S, A, D), and None for the weights.
    """
    causal = bool(module.is_causal if is_causal is None else is_causal)
    if sliding_window is not None and sliding_window >= max_length_q:
        sliding_window = None
    if pieces:
        attend = AttentionInterface()[padded_attention]
        common = {"dropout": dropout, "scaling": scaling, "is_causal": False}
        found = [
            _attend(piece, module, (query, key, value), attend, causal, sliding_window, common)
            for piece in pieces
        ]
        return torch.cat(found)[None], None
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


def _attend(
    piece: Piece,
    module: nn.Module,
    states: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    attend: Callable[..., tuple[torch.Tensor, None]],
    causal: bool,
    window: int | None,
    common: dict[str, Any],
) -> torch.Tensor:
    """Return what the tokens of a piece gather, float tensor (M, A, D) or (R, A, D)."""
    query, key, value = states
    one_asks = query.shape[2] != key.shape[2]
    count = piece.sequences.stop - piece.sequences.start

    def padded(states: torch.Tensor) -> torch.Tensor:
        own = states[0, :, piece.tokens].transpose(0, 1)  # (M, A, D)
        if piece.places is not None:
            own = _Padded.apply(own, piece.places, count * piece.width)
        return own.unflatten(0, (count, piece.width)).transpose(1, 2)  # (R, A, L, D)

    asks = query[0, :, piece.sequences].transpose(0, 1)[:, :, None] if one_asks else padded(query)
    mask = _mask(piece, causal, window)
    seen = attend(module, asks, padded(key), padded(value), mask, **common)[0].flatten(0, 1)
    return seen if one_asks or piece.places is None else _Unpadded.apply(seen, piece.places)


def _mask(piece: Piece, causal: bool, window: int | None) -> torch.Tensor | None:
    """Return which token of a piece sees which, bool tensor (R or 1, 1, L or 1, L)."""
    if not causal and window is None:
        return piece.own
    at = torch.arange(piece.width)
    away = at[:, None] - at[None, :]
    mask = away >= 0 if causal else torch.ones_like(away, dtype=torch.bool)
    if window is not None:
        mask &= away.abs() < window
    return mask[None, None] if piece.own is None else mask & piece.own


class _Padded(torch.autograd.Function):  # type: ignore[misc]  # it has no types
    """Puts tokens (M, ...) among `size` places, zeros elsewhere; both ways are copies of rows.

    torch's own way back from `index_select` adds up, row after row.
    """

    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, places: torch.Tensor, size: int) -> torch.Tensor:  # noqa: ANN401 -- torch's
        ctx.places = places
        found = tokens.new_zeros(size, *tokens.shape[1:])
        found[places] = tokens
        return found

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # noqa: ANN401 -- torch's
        return grad[ctx.places], None, None


class _Unpadded(torch.autograd.Function):  # type: ignore[misc]  # it has no types
    """Takes tokens (M, ...) from their places."""

    @staticmethod
    def forward(ctx: Any, padded: torch.Tensor, places: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- torch's
        ctx.places, ctx.size = places, len(padded)
        return padded[places]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: ANN401 -- torch's
        found = grad.new_zeros(ctx.size, *grad.shape[1:])
        found[ctx.places] = grad
        return found, None


AttentionInterface.register(ATTENTION, packed_attention)
