"""Lengths of texts in tokens, without torch: what a maximum length would cut."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa

_CHUNK_ROWS = 4096
# So many texts tell a share of 1 % to a tenth of that, in about a second.
MAX_MEASURED_TEXTS = 10_000
# Beyond this a text's length is estimated: to count one of 50 MB would take half a minute.
_COUNTED_CHARACTERS = 200_000
_MULTIPLE = 8
_PERCENT_KEPT_WHOLE = 99


class Lengths(NamedTuple):
    """Token counts of texts.

    Attributes:
        tokens: int32 array (rows,), with special tokens, uncut.
        num_special: special tokens that a text gets.
        num_rows: texts there are, where `tokens` are of some of them; None where of all.
        first: the same as `tokens` of the first of several texts a row; None where there is one.
    """

    tokens: np.ndarray
    num_special: int = 0
    num_rows: int | None = None
    first: np.ndarray | None = None

    def cut(self, max_length: int) -> tuple[float, float]:
        """Return the share of texts and the share of tokens that `max_length` cuts off."""
        import numpy as np

        total = int(self.tokens.sum(dtype=np.int64))
        if not total:
            return 0.0, 0.0
        lost = np.maximum(self.tokens - max_length, 0)
        return float((lost > 0).mean()), float(lost.sum(dtype=np.int64) / total)

    def suggested(self, limit: int) -> int:
        """Return the length that keeps 99 % of texts whole: a multiple of 8, at most `limit`."""
        import numpy as np

        if not len(self.tokens):
            return limit
        last_whole = -(-len(self.tokens) * _PERCENT_KEPT_WHOLE // 100) - 1
        wanted = int(np.partition(self.tokens, last_whole)[last_whole])
        return min(limit, -(-wanted // _MULTIPLE) * _MULTIPLE)


def token_lengths(
    texts: pa.Array | pa.ChunkedArray | Sequence[str], tokenizer_file: str
) -> Lengths:
    """Count the tokens of each text with a tokenizer.json.

    Texts longer than 200,000 characters are counted to there and extrapolated.

    Raises:
        ModelError: if the file is no tokenizer.
    """
    import numpy as np
    import pyarrow as pa

    # Set before the first batch: otherwise tokenizers warns, and gives up its threads, as soon as
    # the process is forked (a shell command in a notebook does that).
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    from tokenizers import Tokenizer

    _check_tokenizer_file(Path(tokenizer_file))
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    column = (
        texts if isinstance(texts, (pa.Array, pa.ChunkedArray)) else pa.array(texts, pa.string())
    )
    tokens = np.zeros(len(column), dtype=np.int32)
    for start in range(0, len(column), _CHUNK_ROWS):
        batch = column.slice(start, _CHUNK_ROWS).to_pylist()
        counted = [text[:_COUNTED_CHARACTERS] for text in batch]
        encoded = tokenizer.encode_batch_fast(counted)
        tokens[start : start + len(batch)] = [
            len(e) * max(1.0, len(t) / _COUNTED_CHARACTERS)
            for e, t in zip(encoded, batch, strict=True)
        ]
    return Lengths(tokens)


def _check_tokenizer_file(path: Path) -> None:
    """Refuse what is no tokenizer.json: tokenizers itself would raise a bare Exception."""
    try:
        with path.open(encoding="utf-8") as stream:
            record = json.load(stream)
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "it is not JSON"
    else:
        if isinstance(record, dict) and isinstance(record.get("model"), dict):
            return
        problem = "it has no model"
    raise ModelError(f"the tokenizer {path} cannot be read: {problem}. Save the tokenizer anew.")


def measure_lengths(columns: Sequence[pa.ChunkedArray], tokenizer_file: str) -> Lengths:
    """Return the lengths of rows in tokens, of evenly spread ones where there are very many.

    Args:
        columns: texts that are read together, each as long as the others.
        tokenizer_file: the model's tokenizer.json.
    """
    num_rows = len(columns[0])
    if num_rows > MAX_MEASURED_TEXTS:
        rows = spread_rows(num_rows, MAX_MEASURED_TEXTS)
        columns = [column.take(rows) for column in columns]
    counted = [token_lengths(column, tokenizer_file).tokens for column in columns]
    num_special = int(token_lengths([""], tokenizer_file).tokens[0])
    first = counted[0] if len(counted) > 1 else None
    return Lengths(sum(counted[1:], start=counted[0]), num_special, num_rows, first)


def spread_rows(num_rows: int, wanted: int) -> list[int]:
    """Return at most `wanted` row numbers, evenly spread over `num_rows`."""
    wanted = min(wanted, num_rows)
    return [row * num_rows // wanted for row in range(wanted)]
