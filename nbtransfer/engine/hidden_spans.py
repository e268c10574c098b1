"""Asking an encoder-decoder for hidden stretches of text: their loss, and what it writes itself."""

# Shapes: B rows of a batch, T tokens, S target tokens, V tokens of the vocabulary.
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from nbtransfer.data.encoding import IGNORED
from nbtransfer.engine.found import Found, Lists, exact
from nbtransfer.engine.language import (
    NUM_NEW_TOKENS,
    Batch,
    logits_of,
    parts_of,
    surest_wrong,
)

if TYPE_CHECKING:
    import numpy as np

    from nbtransfer.data.encode import Encoded


class HiddenSpans:
    """Hidden stretches, each behind its sentinel (span corruption): cross-entropy of the targets.

    Sentinels and the end of the text are targets too, as in T5's own pre-training.
    """

    def weight(self, encoded: Encoded, rows: np.ndarray) -> float:
        """Return how many target tokens `rows` have."""
        return max(1.0, float(encoded.num_targets[rows].sum()))

    def forward(self, model: Any, batch: Batch, labels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- by architecture
        """Return the logits of the targets, each asked for after the right ones before it.

        Returns:
            Float tensor (B, S, V).
        """
        before = model.prepare_decoder_input_ids_from_labels(labels)
        return logits_of(model(**batch, decoder_input_ids=before))

    def loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of logits (B, S, V) and labels (B, S), summed."""
        flat = output.float().reshape(-1, output.shape[-1])
        return cross_entropy(flat, labels.reshape(-1), ignore_index=IGNORED, reduction="sum")

    def answers(self, model: nn.Module, batch: Batch, labels: torch.Tensor | None) -> Found:
        """Return what was guessed of each row; without labels, what is written into its gaps.

        `right` and `guessed` count its targets, int64 (B,); `said` are the likeliest token at each
        of them, `written` all that was generated, int32.
        `wrong_*`: see `surest_wrong`; the places are those of the targets.
        """
        if labels is None:
            return {"written": _write(model, batch)}
        whole: dict[str, list[torch.Tensor]] = {}
        for part, wanted in parts_of(model, batch, labels):
            logits = self.forward(model, part, wanted).float()
            best, guesses = logits.max(2)
            shares = (best - logits.logsumexp(2)).exp()
            counted = wanted != IGNORED
            losses = cross_entropy(
                logits.reshape(-1, logits.shape[-1]),
                wanted.reshape(-1),
                ignore_index=IGNORED,
                reduction="none",
            ).view(wanted.shape)
            is_wrong = counted & (guesses != wanted)
            found = surest_wrong(guesses, torch.where(is_wrong, shares, 0.0))
            found["right"] = ((guesses == wanted) & counted).sum(1)
            found["guessed"] = counted.sum(1)
            found["loss"] = exact(losses).sum(1)
            found["said"] = guesses.int()
            for name, values in found.items():
                whole.setdefault(name, []).append(values)
        joined = {name: torch.cat(parts) for name, parts in whole.items()}
        return {**joined, "said": Lists(joined["said"], joined["guessed"])}


def _write(model: Any, batch: Batch) -> list[np.ndarray]:  # noqa: ANN401 -- any class that generates
    """Return what the model writes for each row (greedy), int32 arrays, sentinels among it.

    Row by row, as `continuations` does.
    """
    found = []
    for ids, mask in zip(batch["input_ids"], batch["attention_mask"].bool(), strict=True):
        whole = model.generate(
            input_ids=ids[mask][None],
            attention_mask=torch.ones_like(ids[mask][None]),
            max_new_tokens=NUM_NEW_TOKENS,
            do_sample=False,
            num_beams=1,
        )
        found.append(whole[0, 1:].int().cpu().numpy())
    return found
