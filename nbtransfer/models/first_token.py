"""Leaving out what a classifier throws away: its last block's answers for all tokens but the first.

Heads of the BERT family read the first token's vector alone. The last block then needs keys and
values of every token, and everything else of one: of six blocks' work a seventh is saved, forwards
and backwards, and the logits are the same but for rounding.
"""

# Shapes: B rows, T tokens, A heads, H hidden size; a packed batch has B = 1 and S sequences.
from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from transformers import AttentionInterface

from nbtransfer.models.freezing import reads_first_token, stack_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch
    from torch import nn

# Attention that takes fewer queries than keys as it takes equally many.
_ATTENTION = ("sdpa", "nbtransfer_cpu")


@contextmanager
def only_first_token(model: nn.Module) -> Iterator[bool]:
    """Let the last block answer for the first token only, where no more is read; see above.

    Args:
        model: without any wrapping. One whose head reads more is left as it is.

    Yields:
        Whether it does.
    """
    last = _last_block(model)
    if last is None:
        yield False
        return
    last.forward = partial(_of_distilbert if hasattr(last, "ffn") else _of_bert, last)
    try:
        yield True
    finally:
        del last.forward


def _last_block(model: nn.Module) -> nn.Module | None:
    if not reads_first_token(model) or model.config._attn_implementation not in _ATTENTION:
        return None
    stack = stack_of(model.base_model)
    return None if stack is None else stack.layers[-1]


def _of_bert(
    block: Any,  # noqa: ANN401 -- the same modules in four families' classes
    hidden: torch.Tensor,
    mask: torch.Tensor | None = None,
    *_: object,
    **rest: Any,  # noqa: ANN401 -- what transformers passes on to attention
) -> torch.Tensor:
    """Return the first token's vector, (B, 1, H) or (1, S, H), of all tokens' (B, T, H)."""
    attention = block.attention.self
    first = _first(hidden, rest)
    seen = _attend(
        attention,
        (attention.query(first), attention.key(hidden), attention.value(hidden)),
        mask,
        rest,
    )
    return block.feed_forward_chunk(block.attention.output(seen, first))


def _of_distilbert(
    block: Any,  # noqa: ANN401 -- DistilBERT's class
    hidden: torch.Tensor,
    mask: torch.Tensor | None = None,
    *_: object,
    **rest: Any,  # noqa: ANN401 -- what transformers passes on to attention
) -> torch.Tensor:
    """Return the first token's vector, (B, 1, H) or (1, S, H), of all tokens' (B, T, H)."""
    attention = block.attention
    first = _first(hidden, rest)
    seen = _attend(
        attention,
        (attention.q_lin(first), attention.k_lin(hidden), attention.v_lin(hidden)),
        mask,
        rest,
    )
    seen = block.sa_layer_norm(attention.out_lin(seen) + first)
    return block.output_layer_norm(block.ffn(seen) + seen)


def _first(hidden: torch.Tensor, rest: dict[str, Any]) -> torch.Tensor:
    boundaries = rest.get("cu_seq_lens_q")
    return hidden[:, :1] if boundaries is None else hidden[:, boundaries[:-1]]


def _attend(
    module: Any,  # noqa: ANN401 -- attention of any of the families
    vectors: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    mask: torch.Tensor | None,
    rest: dict[str, Any],
) -> torch.Tensor:
    """Return what first tokens gather, (B, 1, H) or (1, S, H); `mask` has keys for each query."""
    query, key, value = (
        states.view(*states.shape[:2], -1, module.attention_head_size).transpose(1, 2)
        for states in vectors
    )
    interface: Callable[..., Any] = AttentionInterface()[module.config._attn_implementation]
    kept = {k: v for k, v in rest.items() if k not in ("encoder_attention_mask", "past_key_values")}
    seen, _ = interface(
        module,
        query,
        key,
        value,
        None if mask is None else mask[:, :, :1],
        dropout=module.dropout.p if module.training else 0.0,
        scaling=module.scaling,
        **kept,
    )
    return seen.flatten(2)
