"""The rows of a split as numbers: made once, a part of the rows at a time, kept by content.

Encoding is a matter of each row by itself, so that a split larger than memory is read, encoded and
written away in parts; what is kept is mapped when it is found again, by this run or a later one.
"""

# Shapes: N encoded rows, T tokens of all of them together.
from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import nbtransfer
from nbtransfer.data.encoding import Encoding, Lost, Ragged
from nbtransfer.runs.files import first_rows, read_table, tables_of

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

    from nbtransfer.data.card import DataCard
    from nbtransfer.runs.cache import Cache, NewArrays
    from nbtransfer.tasks.task import Task

_VERSION = 2  # of what is kept; another version's entries are never found
_ROWS = 5_000  # of a part: bounds the memory of the tokenizer's Python lists
# Options that decide no number here: with another value, what was kept is still found.
_NOT_ENCODED = (
    "class_weights",
    "eval_generate_rows",
    "mlm_probability",
    "num_beams",
    "whole_word_mask",
)


class Encoded(NamedTuple):
    """An encoding, and whether it was kept: `hit`, `miss`, or `off` where none can be kept."""

    encoding: Encoding
    cache: str


class EncodesOnce:
    """Encodes the splits of a run.

    Args:
        task: makes numbers of rows.
        tokenizer: the model's own.
        max_length: tokens of a row.
        card: the data's.
        cache: where encodings are kept.
    """

    def __init__(
        self,
        task: Task,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        card: DataCard,
        cache: Cache,
    ) -> None:
        self._task = task
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._card = card
        self._cache = cache
        self._about = self._what_decides()

    def __call__(self, path: Path) -> Encoded:
        """Return the rows in the parquet file at `path`, encoded."""
        # One row tells what there is besides its numbers, and is compared with what was kept: a
        # chat's template may say the date.
        like = self._encode(first_rows(path, 1))
        if self._about is None:
            return Encoded(self._encode(read_table(path)), "off")
        key = self._key(path, like)
        stored, cache = self._cache.arrays(key), "hit"
        if stored is None:
            cache = "miss"
            try:
                with self._cache.new_arrays(key) as new:
                    num_rows = 0
                    for table in tables_of(path, _ROWS):
                        _append(new, self._encode(table), num_rows)
                        num_rows += table.num_rows
                stored = self._cache.arrays(key)
            except OSError:  # the disk is full, or nobody may write there
                stored = None
        if stored is None:
            return Encoded(self._encode(read_table(path)), cache)
        return Encoded(_encoding(stored, like), cache)

    def _encode(self, table: pa.Table) -> Encoding:
        return self._task.encode(self._tokenizer, table, self._max_length, self._card)

    def _what_decides(self) -> bytes | None:
        """Return what an encoding depends on besides the rows.

        None where the tokenizer cannot be written down: it has no Rust part.
        """
        tokenizer, card = self._tokenizer, self._card
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            return None
        about = {
            "version": [_VERSION, nbtransfer.__version__],
            "task": self._task.name,
            "max_length": self._max_length,
            "tokenizer": [
                type(tokenizer).__name__,
                tokenizer.truncation_side,
                tokenizer.model_input_names,
                getattr(tokenizer, "split_special_tokens", False),
                {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
            ],
            "label_names": card.label_names,
            "roles": card.roles,
            "scale": card.scale,
            "settings": {k: v for k, v in card.settings.items() if k not in _NOT_ENCODED},
        }
        digest = hashlib.blake2b(json.dumps(about, sort_keys=True).encode())
        # A call sets length and padding in the Rust part: what it was set to last is no difference.
        length, padding = backend.truncation, backend.padding
        backend.no_truncation()
        backend.no_padding()
        digest.update(backend.to_str().encode())
        if length is not None:
            backend.enable_truncation(**length)
        if padding is not None:
            backend.enable_padding(**padding)
        return digest.digest()

    def _key(self, path: Path, like: Encoding) -> str:
        assert self._about is not None
        digest = hashlib.blake2b(self._about, digest_size=16)
        digest.update(like.tokens.values.tobytes())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
        return f"encoded-{digest.hexdigest()}"


def _append(new: NewArrays, part: Encoding, num_rows: int) -> None:
    """Add an encoding's arrays to those of the `num_rows` rows before it."""
    _append_ragged(new, "tokens", "offsets", part.tokens)
    if part.segments is not None:
        new.append("segments", part.segments)
    targets = part.targets
    if isinstance(targets, Ragged):
        _append_ragged(new, "targets", "target offsets", targets)
    elif targets is not None:
        new.append("targets", targets)
    new.append("sources", part.sources + num_rows)
    for name, values in part.details.items():
        new.append(f"details {name}", values)
    if part.lost is not None:
        new.append("lost", np.array([part.lost[:3]], np.int64))


def _append_ragged(new: NewArrays, values: str, offsets: str, rows: Ragged) -> None:
    start, is_first = new.num_rows(values), not new.num_rows(offsets)
    new.append(values, rows.values)
    new.append(offsets, rows.offsets[0 if is_first else 1 :] + start)


def _encoding(arrays: dict[str, np.ndarray], like: Encoding) -> Encoding:
    """Return the encoding that was kept, of rows such as the one of `like`."""
    targets: np.ndarray | Ragged | None = arrays.get("targets")
    if "target offsets" in arrays:
        targets = Ragged(arrays["targets"], arrays["target offsets"])
    lost = like.lost
    if lost is not None:
        numbers = arrays["lost"]  # of each part
        num_lost, num_all, _ = numbers.sum(0).tolist()
        first_rows = [*numbers[numbers[:, 0] > 0, 2].tolist(), -1]
        lost = Lost(num_lost, num_all, first_rows[0], *lost[3:])
    return dataclasses.replace(
        like,
        tokens=Ragged(arrays["tokens"], arrays["offsets"]),
        segments=arrays.get("segments"),
        targets=targets,
        sources=arrays["sources"],
        details={name: arrays[f"details {name}"] for name in like.details},
        lost=lost,
    )
