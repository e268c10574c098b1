"""Texts as tokens: one Rust batch call, kept ragged, padded only when a batch is made."""

# Shapes: N rows, B rows of a batch, T tokens of its longest row, H features.
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

_CHUNK = 10_000  # rows a tokenizer call: bounds the memory of its Python lists


@dataclass(frozen=True, kw_only=True)
class EncodedTexts:
    """Tokenized rows, ragged.

    Attributes:
        tokens: int32 array, all rows end to end.
        offsets: int64 array (N + 1,); row i is `tokens[offsets[i]:offsets[i + 1]]`.
        pad_token_id: fills batches up.
        pad_multiple: the length of a batch is rounded up to a multiple of this.
    """

    tokens: np.ndarray
    offsets: np.ndarray
    pad_token_id: int
    pad_multiple: int = 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 array (N,)."""
        return np.diff(self.offsets)

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Return `input_ids` and `attention_mask`, int64 tensors (B, T), of the rows named."""
        starts, ends = self.offsets[rows], self.offsets[rows + 1]
        lengths = ends - starts
        width = int(-(-int(lengths.max()) // self.pad_multiple) * self.pad_multiple)
        ids = np.full((len(rows), width), self.pad_token_id, dtype=np.int64)
        mask = np.arange(width)[None, :] < lengths[:, None]
        ids[mask] = np.concatenate([self.tokens[a:b] for a, b in zip(starts, ends, strict=True)])
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
        }


@dataclass(frozen=True, kw_only=True)
class EncodedFeatures:
    """Rows as the frozen encoder's features, computed once.

    Attributes:
        features: float32 tensor (N, H) on the CPU.
        lengths: tokens of each row, int64 array (N,), for the throughput.
    """

    features: torch.Tensor
    lengths: np.ndarray

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Return `input`, float tensor (B, H), of the rows named."""
        return {"input": self.features[torch.from_numpy(rows)]}


Encoded = EncodedTexts | EncodedFeatures


def encode_texts(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    max_length: int,
    *,
    pad_multiple: int = 1,
) -> EncodedTexts:
    """Tokenize `texts`, cutting each at `max_length` tokens (special tokens included)."""
    parts: list[np.ndarray] = []
    lengths: list[int] = []
    for start in range(0, len(texts), _CHUNK):
        ids = tokenizer(
            list(texts[start : start + _CHUNK]),
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        lengths.extend(map(len, ids))
        parts.append(np.fromiter((t for row in ids for t in row), dtype=np.int32))
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return EncodedTexts(
        tokens=np.concatenate(parts) if parts else np.zeros(0, np.int32),
        offsets=offsets,
        pad_token_id=tokenizer.pad_token_id,
        pad_multiple=pad_multiple,
    )
