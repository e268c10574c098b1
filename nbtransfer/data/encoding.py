"""What a task makes of rows with a tokenizer: ragged token numbers, targets, and their places.

Numpy only, so that tasks stay importable in the kernel; `data.encode` makes batches of it.
"""

# Shapes: N encoded rows (a long text may become several), T tokens of all of them together.
from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from nbtransfer.errors import count_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import pyarrow as pa

    from nbtransfer.data.masking import Masking
    from nbtransfer.data.span_corruption import SpanCorruption

    Texts: TypeAlias = Sequence[str] | pa.ChunkedArray

IGNORED = -100  # a target that is no target, as cross-entropy understands it
_CHUNK = 10_000  # rows a tokenizer call: bounds the memory of its Python lists


class Ragged(NamedTuple):
    """Rows of different lengths, end to end.

    Attributes:
        values: array (T,).
        offsets: int64 array (N + 1,); row i is `values[offsets[i]:offsets[i + 1]]`.
    """

    values: np.ndarray
    offsets: np.ndarray

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Values of each row, int64 array (N,)."""
        import numpy as np

        return np.diff(self.offsets)

    def row(self, number: int) -> np.ndarray:
        """Return one row's values."""
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any] | np.ndarray], dtype: str) -> Ragged:
        """Join `rows`."""
        import numpy as np

        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        arrays = [np.asarray(row, dtype=dtype) for row in rows]
        return cls(np.concatenate(arrays) if arrays else np.zeros(0, dtype), offsets)


def count_by_row(rows: Ragged, counts: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return how many values of each row count, int64 array (N,).

    Args:
        rows: looked at a part at a time, for they may be larger than memory.
        counts: of an array of values, a bool array of the same shape.
    """
    import numpy as np

    found = np.empty(rows.num_rows, np.int64)
    for start in range(0, rows.num_rows, _CHUNK):
        offsets = rows.offsets[start : start + _CHUNK + 1]
        counted = np.cumsum(counts(rows.values[offsets[0] : offsets[-1]]))
        before = np.concatenate([[0], counted])
        found[start : start + _CHUNK] = np.diff(before[offsets - offsets[0]])
    return found


class Lost(NamedTuple):
    """How many of the rows' answers an encoding could not keep.

    Attributes:
        num_lost: how many.
        num_all: of how many.
        first_row: the data's row of the first of them; -1 where there are none.
        what: one of them: `word`.
        why: in a sentence, `{}` standing for them.
        advice: what becomes of them, and what helps.
    """

    num_lost: int
    num_all: int
    first_row: int
    what: str
    why: str
    advice: str

    @property
    def headline(self) -> str:
        """Say how many are lost."""
        share = 100 * self.num_lost / max(1, self.num_all)
        counted = f"{count_of(self.num_lost, self.what)} of {self.num_all:,} ({share:.1f} %)"
        return f"{self.why.format(counted)}, first in row {self.first_row:,}."


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Rows as numbers, for any task.

    Attributes:
        tokens: token numbers, int32.
        segments: token types (0 or 1), uint8 array (T,); None where all are 0.
        targets: what is to be predicted: classes (N,), scores or several classes (N, C), spans
            (N, 2), one number a token (Ragged of the same offsets, -100 where there is none), or a
            sequence of its own (Ragged of other offsets); None where nothing is known.
        sources: the table's row that each encoded row came from, int64 array (N,).
        details: what the task needs to turn answers about tokens into answers about texts, arrays
            that say of each row what they say of it alone: rows are encoded a part at a time.
        masking: how tokens are hidden while training on them; None hides none.
        lost: what of the answers could not be kept; None where there are none, or all always are.
    """

    tokens: Ragged
    segments: np.ndarray | None = None
    targets: np.ndarray | Ragged | None = None
    sources: np.ndarray
    details: dict[str, Any] = field(default_factory=dict)
    masking: Masking | SpanCorruption | None = None
    lost: Lost | None = None


def first_row(table: pa.Table, places: np.ndarray) -> int:
    """Return the number, in the user's data, of the first of some rows; -1 where there are none."""
    return int(table["row"][int(places[0])].as_py()) if len(places) else -1


def encode_texts(
    tokenizer: Any,  # noqa: ANN401 -- of transformers, which cold modules do not import
    texts: Texts,
    max_length: int,
    pairs: Texts | None = None,
) -> tuple[Ragged, np.ndarray | None]:
    """Tokenize `texts`, cutting each at `max_length` tokens (special tokens included).

    Args:
        tokenizer: the model's own.
        texts: one a row; an Arrow column is read in parts. Where the tokenizer has
            `split_special_tokens`, an end token that a text spells out is text too.
        max_length: tokens a row is cut to.
        pairs: second texts, one a row; the longer of the two is cut first.

    Returns:
        The token numbers, int32, and their token types, uint8 array, where the model knows any and
        there are pairs.
    """
    import numpy as np

    typed = pairs is not None and "token_type_ids" in tokenizer.model_input_names
    plain = getattr(tokenizer, "split_special_tokens", False)
    columns = [texts] if pairs is None else [texts, pairs]
    parts: list[np.ndarray] = []
    types: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    for start in range(0, len(texts), _CHUNK):
        found = tokenizer(
            *(_strings(column[start : start + _CHUNK]) for column in columns),
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
            return_token_type_ids=typed,
            **({"return_special_tokens_mask": True} if plain else {}),
        )
        if plain:
            _read_ends_as_unknown(found, tokenizer)
        lengths.append(np.fromiter(map(len, found["input_ids"]), dtype=np.int64))
        parts.append(np.fromiter(chain.from_iterable(found["input_ids"]), dtype=np.int32))
        if typed:
            types.append(np.fromiter(chain.from_iterable(found["token_type_ids"]), dtype=np.uint8))
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    if parts:
        np.cumsum(np.concatenate(lengths), out=offsets[1:])
    tokens = Ragged(np.concatenate(parts) if parts else np.zeros(0, np.int32), offsets)
    joined = np.concatenate(types) if types else None
    return tokens, joined


def _read_ends_as_unknown(found: Any, tokenizer: Any) -> None:  # noqa: ANN401 -- of transformers
    """Put the unknown token where a text spells out the end token, in place.

    Splitting does not help where the vocabulary has it as a piece of text too, as T5's.
    """
    end, unknown = tokenizer.eos_token_id, tokenizer.unk_token_id
    rows = found["input_ids"]
    for row, (ids, special) in enumerate(zip(rows, found["special_tokens_mask"], strict=True)):
        if ids.count(end) > 1:
            rows[row] = [
                unknown if token == end and not own else token
                for token, own in zip(ids, special, strict=True)
            ]


def _strings(texts: Any) -> list[str]:  # noqa: ANN401 -- Texts
    return texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)
