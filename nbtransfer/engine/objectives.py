"""What a model is asked and how its answer is judged, one small class for each kind of answer.

`loss` is a sum over the micro-batch: the step divides by the weight of all its rows, so that
accumulation changes memory and nothing else. `answers` is what an evaluation keeps of a batch; it
becomes float64 on the host, for Apple's GPUs have no such numbers.
"""

# Shapes: B rows of a batch, T tokens, S target tokens, C classes, V tokens of the vocabulary.
from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from nbtransfer.data.encoding import IGNORED
from nbtransfer.engine.found import Lists, exact
from nbtransfer.engine.hidden_spans import HiddenSpans
from nbtransfer.engine.language import HiddenTokens, NextTokens, hidden_logits, logits_of
from nbtransfer.models.load import generation_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbtransfer.data.encode import Encoded
    from nbtransfer.engine.found import Found

Batch = dict[str, torch.Tensor]


class Objective(Protocol):
    """One kind of answer."""

    def weight(self, encoded: Encoded, rows: np.ndarray) -> float:
        """Return what the summed loss of `rows` is divided by."""

    def forward(self, model: nn.Module, batch: Batch, labels: torch.Tensor) -> Any:  # noqa: ANN401 -- by architecture
        """Return the model's output for a batch without its labels."""

    def loss(self, output: Any, labels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- by architecture
        """Return the sum of the losses of a micro-batch, a scalar in nats (or squared units)."""

    def answers(self, model: nn.Module, batch: Batch, labels: torch.Tensor | None) -> Found:
        """Return what is kept of each row: tensors (B, ...), `Lists`, or a list of B arrays.

        Where there are labels, `loss` is the sum over each row, float64 (B,).
        """


class _OneAnswerARow:
    """What the kinds with one answer for the whole text have in common."""

    def weight(self, encoded: Encoded, rows: np.ndarray) -> float:
        return float(len(rows))

    def forward(self, model: nn.Module, batch: Batch, labels: torch.Tensor) -> Any:  # noqa: ANN401 -- by architecture
        return model(**batch)


class Classes(_OneAnswerARow):
    """One class of several: cross-entropy.

    Args:
        weights: float tensor (C,), how much each class counts; None counts all alike.
    """

    def __init__(self, weights: torch.Tensor | None = None) -> None:
        self._weights = weights
        self._there = weights  # where the logits are, once they have been seen

    def weight(self, encoded: Encoded, rows: np.ndarray) -> float:
        """Return the rows' number, or the sum of their classes' weights."""
        if self._weights is None:
            return float(len(rows))
        assert isinstance(encoded.targets, np.ndarray)
        return float(self._weights[torch.from_numpy(encoded.targets[rows])].sum())

    def loss(self, output: Any, labels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- by architecture
        """Return the cross-entropy of logits (B, C) and labels (B,), summed."""
        logits = logits_of(output).float()
        if self._there is not None and self._there.device != logits.device:
            self._there = self._there.to(logits.device)  # once: a captured graph cannot fetch it
        return cross_entropy(logits, labels, weight=self._there, reduction="sum")

    def answers(self, model: nn.Module, batch: Batch, labels: torch.Tensor | None) -> Found:
        """Return `logits`, float64 (B, C)."""
        logits = exact(logits_of(model(**batch)))
        found: Found = {"logits": logits}
        if labels is not None:
            found["loss"] = cross_entropy(logits, labels.to(logits.device), reduction="none")
        return found

    def brief(self, found: Found) -> Found:
        """Return what metrics need of that: `predicted`, int64 (B,), and its `probability`."""
        logits = found.pop("logits")
        assert isinstance(logits, torch.Tensor)
        best, predicted = logits.max(1)
        return {**found, "predicted": predicted, "probability": (best - logits.logsumexp(1)).exp()}


class SeveralClasses(_OneAnswerARow):
    """Any number of classes a row: a yes or no for each, binary cross-entropy."""

    def loss(self, output: Any, labels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- by architecture
        """Return the binary cross-entropy of logits and labels (B, C), summed over rows."""
        logits = logits_of(output).float()
        return binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(1).sum()

    def answers(self, model: nn.Module, batch: Batch, labels: torch.Tensor | None) -> Found:
        """Return `logits`, float64 (B, C)."""
        logits = exact(logits_of(model(**batch)))
        found: Found = {"logits": logits}
        if labels is not None:
            losses = binary_cross_entropy_with_logits(logits, exact(labels), reduction="none")
            found["loss"] = losses.mean(1)
        return found


class Score(_OneAnswerARow):
    """A number: squared error."""

    def loss(self, output: Any, labels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- by architecture
        """Return the squared errors of logits (B, 1) and labels (B,), summed."""
        return (logits_of(output).float().squeeze(1) - labels).square().sum()

    def answers(self, model: nn.Module, batch: Batch, labels: torch.Tensor | None) -> Found:
        """Return `score`, float64 (B,)."""
        score = exact(logits_of(model(**batch))).squeeze(1)
        found: Found = {"score": score}
        if labels is not None:
            found["loss"] = (score - exact(labels)).square()
        return found


class _OneAnswerAToken:
    """What the kinds with an answer for each token have in common: the mean is over targets."""

    def weight(self, encoded: Encoded, rows: np.ndarray) -> float:
        return max(1.0, float(encoded.num_targets[rows].sum()))

    def forward(self, model: nn.Module, batch: Batch, labels: torch.Tensor) -> Any:  # noqa: ANN401 -- by architecture
        return model(**batch)


class Tokens(_OneAnswerAToken):
    """A class for each token, where its label is not -100: cross-entropy."""

    def loss(self, output: Any, labels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- by architecture
        """Return the cross-entropy of logits (B, T, C) and labels (B, T), summed."""
        return token_losses(logits_of(output).float(), labels).sum()

    def answers(self, model: nn.Module, batch: Batch, labels: torch.Tensor | None) -> Found:
        """Return the likeliest `tags`, int32 (T,) a row, and their `probabilities`."""
        counts = batch["attention_mask"].sum(1)
        logits = logits_of(model(**batch)).float()
        best, tags = torch.softmax(logits, dim=2).max(2)
        found: Found = {"tags": Lists(tags.int(), counts), "probabilities": Lists(best, counts)}
        if labels is not None:
            found["loss"] = exact(token_losses(logits, labels)).sum(1)
        return found


class Sequence(_OneAnswerAToken):
    """A sequence of its own for each row, written by a decoder: cross-entropy of its tokens.

    Args:
        num_beams: of generation; 1 is greedy.
        max_target_length: the most tokens that are generated.
    """

    def __init__(self, num_beams: int, max_target_length: int) -> None:
        self.num_beams = num_beams
        self.max_target_length = max_target_length

    def forward(self, model: nn.Module, batch: Batch, labels: torch.Tensor) -> Any:  # noqa: ANN401 -- by architecture
        """Return the model's output where each token is asked for after the right ones before."""
        before = model.prepare_decoder_input_ids_from_labels(labels)
        return model(**batch, decoder_input_ids=before)

    def loss(self, output: Any, labels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- by architecture
        """Return the cross-entropy of logits (B, S, V) and labels (B, S), summed."""
        return token_losses(logits_of(output).float(), labels).sum()

    def answers(self, model: nn.Module, batch: Batch, labels: torch.Tensor | None) -> Found:
        """Return nothing but the loss: what is generated is another pass, over fewer rows."""
        if labels is None:
            return {}
        logits = logits_of(self.forward(model, batch, labels)).float()
        return {"loss": exact(token_losses(logits, labels)).sum(1)}

    def generate(
        self,
        model: Any,  # noqa: ANN401 -- by architecture
        batch: Batch,
        labels: torch.Tensor | None,
    ) -> list[np.ndarray]:
        """Return what the model writes for each row, int32 arrays, without start and padding."""
        settings = generation_settings(model, self.num_beams, self.max_target_length)
        found = model.generate(**batch, generation_config=settings).cpu().numpy()
        return [_written(row[1:], settings) for row in found]


class Continuation(Sequence):
    """A sequence after a prompt, in the same row: cross-entropy of its tokens, not the prompt's.

    Logits are computed where a token of the target comes next, and nowhere else.
    """

    def forward(self, model: nn.Module, batch: Batch, labels: torch.Tensor) -> torch.Tensor:
        """Return the logits before each of the K tokens of targets, float tensor (K, V)."""
        before = torch.zeros_like(labels, dtype=torch.bool)
        before[:, :-1] = labels[:, 1:] != IGNORED
        return hidden_logits(model, batch, before)

    def loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of logits (K, V) and the K labels among (B, T), summed."""
        return cross_entropy(output.float(), labels[labels != IGNORED], reduction="sum")

    def answers(self, model: nn.Module, batch: Batch, labels: torch.Tensor | None) -> Found:
        """Return nothing but the loss, as for other sequences."""
        if labels is None:
            return {}
        logits = self.forward(model, batch, labels).float()
        wanted = labels != IGNORED
        losses = torch.zeros(labels.shape, device=labels.device)
        losses[wanted] = cross_entropy(logits, labels[wanted], reduction="none")
        return {"loss": exact(losses).sum(1)}

    def generate(
        self,
        model: Any,  # noqa: ANN401 -- by architecture
        batch: Batch,
        labels: torch.Tensor | None,
    ) -> list[np.ndarray]:
        """Return what the model writes after each prompt, int32 arrays.

        Prompts are padded on the left, so that what follows each stands right behind it.
        """
        settings = generation_settings(model, self.num_beams, self.max_target_length)
        asked = batch["attention_mask"].bool()
        if labels is not None:
            asked &= labels == IGNORED
        width = int(asked.sum(1).max())
        order = asked.int().argsort(dim=1, stable=True)[:, -width:]  # the prompt's places come last
        mask = asked.gather(1, order)
        ids = batch["input_ids"].gather(1, order).masked_fill(~mask, settings.pad_token_id)
        found = model.generate(
            input_ids=ids, attention_mask=mask.long(), generation_config=settings
        )
        return [_written(row[width:], settings) for row in found.cpu().numpy()]


def _written(tokens: np.ndarray, settings: Any) -> np.ndarray:  # noqa: ANN401 -- of transformers
    """Return the tokens up to the first that ends a text, without it; then padding follows."""
    end = settings.eos_token_id
    ends = np.flatnonzero(np.isin(tokens, [] if end is None else end))
    tokens = tokens[: ends[0]] if len(ends) else tokens
    return tokens[tokens != settings.pad_token_id].astype(np.int32)


class Spans(_OneAnswerARow):
    """Where an answer starts and ends: the mean of two cross-entropies over the tokens.

    Padding is no place for an answer, so it takes no share of the probability. transformers' own
    models let it: their loss depends on how long the batch's other rows are.
    """

    def forward(self, model: nn.Module, batch: Batch, labels: torch.Tensor) -> Any:  # noqa: ANN401 -- by architecture
        """Return start and end logits, float32 tensors (B, T); -inf where there is padding."""
        start, end = _span_logits(model, batch)
        return SpanLogits(start.float(), end.float())

    def loss(self, output: Any, labels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- by architecture
        """Return the losses of start and end logits (B, T) and labels (B, 2), summed."""
        start, end = output.start_logits, output.end_logits
        starts = cross_entropy(start, labels[:, 0], reduction="sum")
        return (starts + cross_entropy(end, labels[:, 1], reduction="sum")) / 2

    def answers(self, model: nn.Module, batch: Batch, labels: torch.Tensor | None) -> Found:
        """Return `start` and `end` logits, float32 (T,) a row."""
        counts = batch["attention_mask"].sum(1)
        start, end = map(exact, _span_logits(model, batch))
        found: Found = {"start": Lists(start.float(), counts), "end": Lists(end.float(), counts)}
        if labels is not None:
            first, last = labels.to(start.device).unbind(1)
            starts = cross_entropy(start, first, reduction="none")
            found["loss"] = (starts + cross_entropy(end, last, reduction="none")) / 2
        return found


class SpanLogits(NamedTuple):
    """How likely each token is an answer's first and last, tensors (B, T)."""

    start_logits: torch.Tensor
    end_logits: torch.Tensor


def _span_logits(model: nn.Module, batch: Batch) -> SpanLogits:
    output = model(**batch)
    start, end = output.start_logits, output.end_logits
    if "attention_mask" not in batch:  # a packed model knows itself where rows end
        return SpanLogits(start, end)
    padding = batch["attention_mask"] == 0
    return SpanLogits(start.masked_fill(padding, -torch.inf), end.masked_fill(padding, -torch.inf))


def token_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of logits (B, T, C) and labels (B, T), 0 where a label is -100.

    Returns:
        Tensor (B, T), in nats.
    """
    flat = cross_entropy(
        logits.reshape(-1, logits.shape[-1]),
        labels.reshape(-1),
        ignore_index=IGNORED,
        reduction="none",
    )
    return flat.view(labels.shape)


def objective_of(
    kind: str,
    class_weights: torch.Tensor | None = None,
    options: Mapping[str, Any] | None = None,
) -> Objective:
    """Return the objective of a kind that a task names.

    Args:
        kind: its name.
        class_weights: how much each class counts, where there are classes.
        options: the data card's `settings`.
    """
    if kind == "classes":
        return Classes(class_weights)
    if kind in ("sequence", "continuation"):
        assert options is not None
        written = Sequence if kind == "sequence" else Continuation
        return written(options["num_beams"], options["max_target_length"])
    kinds: dict[str, type[Objective]] = {
        "several classes": SeveralClasses,
        "score": Score,
        "tokens": Tokens,
        "spans": Spans,
        "hidden tokens": HiddenTokens,
        "next tokens": NextTokens,
        "hidden spans": HiddenSpans,
    }
    return kinds[kind]()
