"""Batches of encoded rows: kept ragged, padded only when a batch is made."""

# Shapes: N rows, B rows of a batch, T tokens of its longest row, S targets of its longest row,
# C classes, H features or hidden size, K vectors in all.
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from nbtransfer.data.encoding import IGNORED, Encoding, Ragged, count_by_row
from nbtransfer.data.masking import FIXED_DRAW, Masking, hide_tokens
from nbtransfer.data.span_corruption import SpanCorruption

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class EncodedTexts:
    """Tokenized rows, ragged.

    Attributes:
        tokens: int32 array, all rows end to end.
        offsets: int64 array (N + 1,); row i is `tokens[offsets[i]:offsets[i + 1]]`.
        pad_token_id: fills batches up.
        pad_multiple: the length of a batch is rounded up to a multiple of this.
        segments: token types, uint8 array as long as `tokens`; None where all are 0.
        targets: see `Encoding`.
        masking: see `Encoding`.
    """

    tokens: np.ndarray
    offsets: np.ndarray
    pad_token_id: int
    pad_multiple: int = 1
    segments: np.ndarray | None = None
    targets: np.ndarray | Ragged | None = None
    masking: Masking | SpanCorruption | None = None

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 array (N,)."""
        return np.diff(self.offsets)

    @cached_property
    def num_targets(self) -> np.ndarray:
        """What the mean loss of each row divides by, int64 array (N,)."""
        if self.masking is not None:
            return self.masking.num_hidden(self.tokens, self.offsets)
        if not isinstance(self.targets, Ragged):
            return np.ones(len(self.offsets) - 1, dtype=np.int64)
        return count_by_row(self.targets, lambda values: values != IGNORED)

    def batch(
        self, rows: np.ndarray, draw: tuple[int, int] = FIXED_DRAW
    ) -> dict[str, torch.Tensor]:
        """Return what the model takes of the rows named.

        Args:
            rows: row numbers, int array (B,).
            draw: (seed, step) that decides which tokens are hidden, where any are.

        Returns:
            `input_ids` and `attention_mask`, int64 tensors (B, T); `token_type_ids` where there
            are any; `labels` where there are targets: int64 (B,), (B, 2), (B, T) or (B, S), or
            float32 (B, C).
        """
        offsets = (self.offsets[rows], self.offsets[rows + 1])
        if isinstance(self.masking, SpanCorruption):
            whole = [self.tokens[start:end] for start, end in zip(*offsets, strict=True)]
            return self._corrupted(*self.masking.corrupt_rows(whole, rows, draw))
        width = self._width(offsets)
        mask = np.arange(width)[None, :] < (offsets[1] - offsets[0])[:, None]
        ids = _padded(self.tokens, offsets, mask, self.pad_token_id)
        found = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
        if self.segments is not None:
            found["token_type_ids"] = _padded(self.segments, offsets, mask, 0)
        if self.masking is not None:
            found["labels"] = hide_tokens(ids, mask, rows, self.masking, draw)
        elif isinstance(self.targets, Ragged):
            places = (self.targets.offsets[rows], self.targets.offsets[rows + 1])
            wide = np.arange(self._width(places))[None, :] < (places[1] - places[0])[:, None]
            found["labels"] = _padded(self.targets.values, places, wide, IGNORED)
        elif self.targets is not None:
            found["labels"] = self.targets[rows]
        return {name: torch.from_numpy(values) for name, values in found.items()}

    def _corrupted(self, inputs: Ragged, targets: Ragged) -> dict[str, torch.Tensor]:
        """Return inputs and targets, padded."""
        found = {}
        for name, values, filler in (
            ("input_ids", inputs, self.pad_token_id),
            ("labels", targets, IGNORED),
        ):
            places = (values.offsets[:-1], values.offsets[1:])
            mask = np.arange(self._width(places))[None, :] < values.lengths[:, None]
            found[name] = torch.from_numpy(_padded(values.values, places, mask, filler))
            if name == "input_ids":
                found["attention_mask"] = torch.from_numpy(mask.astype(np.int64))
        return found

    def _width(self, offsets: tuple[np.ndarray, np.ndarray]) -> int:
        longest = int((offsets[1] - offsets[0]).max())
        return -(-longest // self.pad_multiple) * self.pad_multiple


@dataclass(frozen=True, kw_only=True)
class EncodedFeatures:
    """Rows as the frozen encoder's features, computed once.

    Attributes:
        features: float32 array (N, H).
        lengths: tokens of each row, int64 array (N,), for the throughput.
        targets: as in `EncodedTexts`, none of them ragged.
    """

    features: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray | None = None

    @property
    def num_targets(self) -> np.ndarray:
        """What the mean loss of each row divides by, int64 array (N,)."""
        return np.ones(len(self.lengths), dtype=np.int64)

    def batch(
        self, rows: np.ndarray, draw: tuple[int, int] = FIXED_DRAW
    ) -> dict[str, torch.Tensor]:
        """Return `input`, float tensor (B, H), and `labels` of the rows named; nothing is drawn."""
        found = {"input": torch.from_numpy(self.features[rows])}
        if self.targets is not None:
            found["labels"] = torch.from_numpy(self.targets[rows])
        return found


@dataclass(frozen=True, kw_only=True)
class EncodedFrozen:
    """Rows with what the frozen layers say of them.

    Attributes:
        texts: the rows.
        vectors: float32 array (K, H): one for each token, or one for each row.
        first_only: the head reads the first token's vector alone, and so that alone is kept.
    """

    texts: EncodedTexts
    vectors: np.ndarray
    first_only: bool

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 array (N,)."""
        return self.texts.lengths

    @property
    def num_targets(self) -> np.ndarray:
        """What the mean loss of each row divides by, int64 array (N,)."""
        return self.texts.num_targets

    @property
    def targets(self) -> np.ndarray | Ragged | None:
        """See `EncodedTexts`."""
        return self.texts.targets

    @cached_property
    def _narrow(self) -> EncodedTexts:
        first = self.texts.offsets[:-1]
        segments = self.texts.segments
        return dataclasses.replace(
            self.texts,
            tokens=self.texts.tokens[first],
            segments=None if segments is None else segments[first],
            offsets=np.arange(len(first) + 1),
        )

    def batch(
        self, rows: np.ndarray, draw: tuple[int, int] = FIXED_DRAW
    ) -> dict[str, torch.Tensor]:
        """Return what `EncodedTexts` does, and `frozen`, float32 tensor (B, T, H)."""
        if self.first_only:
            found = self._narrow.batch(rows, draw)
            return {**found, "frozen": torch.from_numpy(self.vectors[rows]).unsqueeze(1)}
        found = self.texts.batch(rows, draw)
        wide = found["attention_mask"].shape
        frozen = np.zeros((*wide, self.vectors.shape[1]), np.float32)
        for i, row in enumerate(rows):
            start, end = self.texts.offsets[row], self.texts.offsets[row + 1]
            frozen[i, : end - start] = self.vectors[start:end]
        return {**found, "frozen": torch.from_numpy(frozen)}


Encoded = EncodedTexts | EncodedFeatures | EncodedFrozen


def batches_of(
    encoding: Encoding, tokenizer: PreTrainedTokenizerBase, *, pad_multiple: int = 1
) -> EncodedTexts:
    """Return the rows of an encoding, ready to be batched for the tokenizer's model."""
    return EncodedTexts(
        tokens=encoding.tokens.values,
        offsets=encoding.tokens.offsets,
        pad_token_id=tokenizer.pad_token_id,
        pad_multiple=pad_multiple,
        segments=encoding.segments,
        targets=encoding.targets,
        masking=encoding.masking,
    )


def _padded(
    values: np.ndarray, offsets: tuple[np.ndarray, np.ndarray], mask: np.ndarray, filler: int
) -> np.ndarray:
    """Return the rows named by `offsets` as an int64 array of `mask`'s shape."""
    found = np.full(mask.shape, filler, dtype=np.int64)
    found[mask] = np.concatenate([values[a:b] for a, b in zip(*offsets, strict=True)])
    return found
