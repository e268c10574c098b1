"""Asking a language model: logits of the hidden tokens alone, of each next token, and more text.

With a vocabulary of tens of thousands the logits are the largest tensor there is, and for small
models most of the arithmetic: they are computed where something is to be guessed, and nowhere else.
"""

# Shapes: B rows of a batch, T tokens, H features, V tokens of the vocabulary, K hidden tokens of
# the batch, C candidates kept for each.
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from nbtransfer.data.encoding import IGNORED
from nbtransfer.engine.found import Lists, exact

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from nbtransfer.data.encode import Encoded
    from nbtransfer.engine.found import Found

Batch = dict[str, torch.Tensor]

NUM_CANDIDATES = 5
NUM_NEW_TOKENS = 48
_LOGITS_BYTES = 256_000_000  # of an evaluation's pass over next tokens


def logits_of(output: Any) -> torch.Tensor:  # noqa: ANN401 -- by architecture
    """Return the logits, whether the model is one of transformers or plain."""
    return output if isinstance(output, torch.Tensor) else output.logits


class HiddenTokens:
    """The tokens that were hidden (masked language modelling): cross-entropy."""

    def weight(self, encoded: Encoded, rows: np.ndarray) -> float:
        """Return how many tokens of `rows` are hidden."""
        return max(1.0, float(encoded.num_targets[rows].sum()))

    def forward(self, model: nn.Module, batch: Batch, labels: torch.Tensor) -> torch.Tensor:
        """Return the logits of the hidden tokens, float tensor (K, V).

        Of a packed model, those of every token, (B, T, V): a captured graph knows no K.
        """
        if not isinstance(model, nn.Module):
            return logits_of(model(**batch))
        return hidden_logits(model, batch, labels != IGNORED)

    def loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of logits (K, V) and the K labels among (B, T), summed."""
        wanted = labels[labels != IGNORED] if output.dim() == 2 else labels.reshape(-1)
        flat = output.float().reshape(-1, output.shape[-1])
        return cross_entropy(flat, wanted, ignore_index=IGNORED, reduction="sum")

    def answers(self, model: nn.Module, batch: Batch, labels: torch.Tensor | None) -> Found:
        """Return what was guessed of each row.

        `right` and `guessed` count its tokens, int64 (B,); `guesses` are the C likeliest tokens of
        each hidden one, int32, and `shares` their probabilities, float32, (hidden tokens of the
        row, C) a row. `wrong_*`: see `surest_wrong`.
        """
        assert labels is not None
        kept = labels != IGNORED
        rows = kept.nonzero()[:, 0]  # (K,)
        logits = hidden_logits(model, batch, kept).float()  # (K, V)
        wanted = labels[kept]
        # Without the softmax of all logits, which would be as large again.
        whole = logits.logsumexp(1)
        losses = whole - logits.gather(1, wanted[:, None]).squeeze(1)
        best, guesses = logits.topk(min(NUM_CANDIDATES, logits.shape[1]), dim=1)
        counts = kept.sum(1)
        right = _sum_by_row((guesses[:, 0] == wanted).long(), rows, len(labels))
        shares = (best - whole[:, None]).exp()
        chosen = torch.zeros(labels.shape, device=labels.device)
        chosen[kept] = torch.where(guesses[:, 0] == wanted, 0.0, shares[:, 0])
        said = torch.zeros_like(labels)
        said[kept] = guesses[:, 0]
        return {
            **surest_wrong(said, chosen),
            "right": right,
            "guessed": counts,
            "loss": _sum_by_row(exact(losses), rows, len(labels)),
            "guesses": Lists(guesses.int(), counts, padded=False),
            "shares": Lists(shares, counts, padded=False),
        }


class NextTokens:
    """Each token after those before it (causal language modelling): cross-entropy."""

    def weight(self, encoded: Encoded, rows: np.ndarray) -> float:
        """Return how many tokens of `rows` are to be guessed."""
        return max(1.0, float(encoded.num_targets[rows].sum()))

    def forward(self, model: nn.Module, batch: Batch, labels: torch.Tensor) -> torch.Tensor:
        """Return the logits of all tokens, float tensor (B, T, V)."""
        return logits_of(model(**batch))

    def loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of logits (B, T, V) and the next labels (B, T), summed."""
        return next_token_losses(output, labels).sum()

    def answers(self, model: nn.Module, batch: Batch, labels: torch.Tensor | None) -> Found:
        """Return what was guessed of each row; without labels, what follows it.

        `right` and `guessed` count its tokens, int64 (B,); `continuation` is a list of int32
        arrays. `wrong_*`: see `surest_wrong`.
        """
        if labels is None:
            return {"continuation": continuations(model, batch)}
        parts: list[dict[str, torch.Tensor]] = []
        for part, wanted in parts_of(model, batch, labels):
            logits = logits_of(model(**part))
            following = wanted[:, 1:]
            best, said = logits[:, :-1].float().max(2)
            shares = (best - logits[:, :-1].float().logsumexp(2)).exp()
            is_wrong = (following != IGNORED) & (said != following)
            found = surest_wrong(said, torch.where(is_wrong, shares, 0.0))
            parts.append(
                {
                    **found,
                    "wrong_place": found["wrong_place"] + 1,
                    "right": (said == following).sum(1),
                    "guessed": (following != IGNORED).sum(1),
                    "loss": exact(next_token_losses(logits, wanted)).sum(1),
                }
            )
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def parts_of(
    model: nn.Module, batch: Batch, labels: torch.Tensor
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Yield a batch and its labels in parts whose logits take 256 MB at most, or a row."""
    size = max(1, int(_LOGITS_BYTES / (4 * labels.shape[1] * _vocabulary(model))))
    for start in range(0, len(labels), size):
        part = {name: tensor[start : start + size] for name, tensor in batch.items()}
        yield part, labels[start : start + size]


def surest_wrong(said: torch.Tensor, shares: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return each row's surest wrong guess: its place, token and probability.

    Args:
        said: int tensor (B, T), the guesses.
        shares: float tensor (B, T), their probabilities, 0 where a guess is right or none.

    Returns:
        `wrong_place` and `wrong_token`, int64 (B,), `wrong_share`, float32 (B,), 0 where nothing is
        wrong.
    """
    share, place = shares.max(1)
    token = said.gather(1, place[:, None]).squeeze(1)
    return {"wrong_place": place, "wrong_token": token, "wrong_share": share}


def hidden_logits(model: nn.Module, batch: Batch, kept: torch.Tensor) -> torch.Tensor:
    """Return the logits of the tokens in `kept` alone.

    The head works on each token by itself, so it is given the features of those tokens only: of
    demo:bert-tiny's arithmetic nine tenths are the head's.

    Args:
        model: a model with a head for masked language modelling.
        batch: what it takes.
        kept: bool tensor (B, T), True for K tokens.

    Returns:
        Float tensor (K, V).
    """
    backbone = getattr(model, "base_model", model)
    if backbone is model:  # no part to stop at: all logits, then a choice
        return logits_of(model(**batch))[kept]

    def choose(_module: nn.Module, _inputs: object, output: Any) -> Any:  # noqa: ANN401 -- of transformers
        output.last_hidden_state = output.last_hidden_state[kept].unsqueeze(0)  # (1, K, H)
        return output

    hook = backbone.register_forward_hook(choose)
    try:
        return logits_of(model(**batch)).squeeze(0)
    finally:
        hook.remove()


def next_token_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of each next token, 0 where it is none, float32 tensor (B, T - 1).

    Args:
        logits: float tensor (B, T, V).
        labels: int tensor (B, T), -100 where a token is not to be guessed.
    """
    following = labels[:, 1:]
    flat = logits[:, :-1].float().reshape(-1, logits.shape[-1])
    losses = cross_entropy(flat, following.reshape(-1), ignore_index=IGNORED, reduction="none")
    return losses.view(following.shape)


def continuations(
    model: nn.Module,
    batch: Batch,
    num_new_tokens: int = NUM_NEW_TOKENS,
    most_s: float | None = None,
) -> list[np.ndarray]:
    """Return what the model says after each row, the likeliest token at each place (greedy).

    Row by row: a shorter one would have to be padded on the left, and then its answer depended on
    the batch it happened to be in.

    Args:
        model: a causal language model.
        batch: `input_ids` and `attention_mask`, int tensors (B, T).
        num_new_tokens: at most so many tokens are added.
        most_s: no token is begun after so many seconds of a row.

    Returns:
        B int32 arrays.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    found = []
    for ids, mask in zip(batch["input_ids"], batch["attention_mask"].bool(), strict=True):
        prompt = ids[mask][None]
        if positions is not None:  # the end of a long text counts, and needs room for more
            prompt = prompt[:, -max(1, positions - num_new_tokens) :]
        whole = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=num_new_tokens,
            do_sample=False,
            num_beams=1,
            max_time=most_s,
        )
        found.append(whole[0, prompt.shape[1] :].int().cpu().numpy())
    return found


def _sum_by_row(values: torch.Tensor, rows: torch.Tensor, num_rows: int) -> torch.Tensor:
    total = torch.zeros(num_rows, dtype=values.dtype, device=values.device)
    return total.index_add(0, rows.to(values.device), values)


def _vocabulary(model: nn.Module) -> int:
    return int(getattr(getattr(model, "config", None), "vocab_size", 1))
