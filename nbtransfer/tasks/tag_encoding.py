"""Words as tokens: which token carries the tag of which word, whatever the tokenizer.

The text is tokenized whole, as the model saw texts in pre-training, and words find their tokens by
place: a word's tag stands on the token that covers its first character. Texts longer than the
maximum length are read in overlapping windows; each word is asked about in the one where it has the
most context. So no tag is lost to length.
"""

# Shapes: R rows, N windows, T tokens of them together, W words of all rows together.
from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.data.encoding import IGNORED, Encoding, Lost, Ragged, first_row
from nbtransfer.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa

_CHUNK = 2000  # rows a tokenizer call: bounds the memory of its Python lists
_OVERLAP = 4  # a window shares a quarter of its tokens with the one before


class Window(NamedTuple):
    """A stretch of a text's tokens.

    Attributes:
        start: its first token's place among all tokens.
        offsets: the characters that each token stands for.
        special: 1 for tokens that stand for none, 0 for the others.
    """

    start: int
    offsets: Sequence[tuple[int, int]]
    special: Sequence[int]


def encode_words(
    tokenizer: Any,  # noqa: ANN401 -- of transformers, which cold modules do not import
    table: pa.Table,
    max_length: int,
) -> Encoding:
    """Return texts as tokens, with targets where the table has tags.

    Args:
        tokenizer: the model's own; it must know which characters a token stands for.
        table: text, tokens, starts, and perhaps tags.
        max_length: tokens of a window, special ones included.

    Returns:
        The windows. `details["token"]`, int32 array (W,), is each word's token among those of all
        windows of its row (see `word_tokens`), -1 where the tokenizer makes none of it;
        `details["is_first"]`, bool array (W,), whether no word before it has the same one. Only
        such words are targets.

    Raises:
        ModelError: if the tokenizer cannot say which characters a token stands for.
    """
    import numpy as np

    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            "this tokenizer does not tell which characters a token stands for, so that words "
            "cannot be found again. Take a model with a tokenizer.json."
        )
    texts, starts = table["text"].to_pylist(), table["starts"].to_pylist()
    words = table["tokens"].to_pylist()
    ids: list[list[int]] = []
    sources: list[int] = []
    num_words = np.fromiter(map(len, starts), dtype=np.int64)
    token_of = np.full(num_words.sum(), -1, dtype=np.int64)
    place = 0
    for row, windows in enumerate(_windows_of(tokenizer, texts, max_length, ids)):
        ends = [start + len(word) for start, word in zip(starts[row], words[row], strict=True)]
        token_of[place : place + len(ends)] = place_words(starts[row], ends, windows)
        place += len(ends)
        sources += [row] * len(windows)
    is_first = (token_of >= 0) & (np.diff(token_of, prepend=-1) != 0)
    tokens = Ragged.of(ids, "int32")
    targets = None
    lost: Lost | None = None
    if "tags" in table.column_names:
        tags = np.fromiter((t for row in table["tags"].to_pylist() for t in row), dtype=np.int64)
        values = np.full(len(tokens.values), IGNORED, dtype=np.int64)
        values[token_of[is_first]] = tags[is_first]
        targets = Ragged(values, tokens.offsets)
        lost = _lost_words(table, token_of, num_words)
    rows = np.asarray(sources, dtype=np.int64)
    first = _first_tokens(tokens, rows, num_words)
    return Encoding(
        tokens=tokens,
        targets=targets,
        sources=rows,
        details={
            "token": np.where(token_of < 0, -1, token_of - first).astype(np.int32),
            "is_first": is_first,
        },
        lost=lost,
    )


def word_tokens(encoding: Encoding, num_words: np.ndarray) -> np.ndarray:
    """Return each word's token among all tokens, int64 array (W,), -1 where it has none.

    Args:
        encoding: as `encode_words` made it.
        num_words: of each row, int array (R,).
    """
    import numpy as np

    token = encoding.details["token"]
    first = _first_tokens(encoding.tokens, encoding.sources, num_words)
    return np.where(token < 0, -1, token + first)


def _first_tokens(tokens: Ragged, sources: np.ndarray, num_words: np.ndarray) -> np.ndarray:
    """Return the first token of each word's row, int64 array (W,)."""
    import numpy as np

    windows = np.searchsorted(sources, np.arange(len(num_words)))
    return np.repeat(tokens.offsets[windows], num_words)


def _lost_words(table: pa.Table, token_of: np.ndarray, num_words: np.ndarray) -> Lost:
    """Return of how many words the tokenizer makes no token."""
    import numpy as np

    lost = np.repeat(np.arange(len(num_words)), num_words)[token_of < 0]
    return Lost(
        len(lost),
        len(token_of),
        first_row(table, lost),
        "word",
        "the tokenizer makes no token of {}",
        "Their tags are not learnt, and they are taken to be outside of entities.",
    )


def _windows_of(
    tokenizer: Any,  # noqa: ANN401 -- as above
    texts: Sequence[str],
    max_length: int,
    ids: list[list[int]],
) -> Iterator[list[Window]]:
    """Yield the windows of each text; their token numbers are added to `ids`."""
    room = max_length - tokenizer.num_special_tokens_to_add()
    num_tokens = 0
    for start in range(0, len(texts), _CHUNK):
        batch = list(texts[start : start + _CHUNK])
        found = tokenizer(
            batch,
            truncation=True,
            max_length=max_length,
            stride=max(0, room // _OVERLAP),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        windows: list[list[Window]] = [[] for _ in batch]
        for i, sample in enumerate(found["overflow_to_sample_mapping"]):
            offsets, special = found["offset_mapping"][i], found["special_tokens_mask"][i]
            windows[sample].append(Window(num_tokens, offsets, special))
            ids.append(found["input_ids"][i])
            num_tokens += len(ids[-1])
        yield from windows


def place_words(starts: Sequence[int], ends: Sequence[int], windows: Sequence[Window]) -> list[int]:
    """Return each word's token among all tokens, -1 where none stands for any of it.

    Args:
        starts: where each word begins in the text, ascending.
        ends: where each ends, ascending.
        windows: the text's, in order.
    """
    found = [-1] * len(starts)
    context = [-1] * len(starts)
    for number, window in enumerate(windows):
        own = [
            i
            for i, ((a, b), special) in enumerate(zip(window.offsets, window.special, strict=True))
            if not special and b > a
        ]
        if not own:
            continue
        token_ends = [window.offsets[i][1] for i in own]
        # Of a long text, each window touches a few words only.
        lowest = bisect_right(ends, window.offsets[own[0]][0])
        beyond = bisect_left(starts, token_ends[-1])
        for word in range(lowest, beyond):
            start, end = starts[word], ends[word]
            nth = bisect_right(token_ends, start)  # the first token that reaches past `start`
            if nth == len(own) or window.offsets[own[nth]][0] >= end:
                continue
            if window.offsets[own[0]][0] > start and number > 0:
                continue  # the word begins before this window, which sees its rest only
            before = len(token_ends) if number == 0 else nth
            after = len(token_ends) if number == len(windows) - 1 else len(own) - 1 - nth
            if min(before, after) > context[word]:
                context[word] = min(before, after)
                found[word] = window.start + own[nth]
    return found
