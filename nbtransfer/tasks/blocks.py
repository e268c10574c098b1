"""Documents as blocks of tokens no longer than a model reads, with nothing left out."""

# Shapes: R documents, N blocks, T tokens of all blocks together.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.encoding import Ragged

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from nbtransfer.tasks.task import Tokenizer

_CHUNK = 1_000  # documents a tokenizer call: bounds the memory of its Python lists


class Blocks(NamedTuple):
    """Blocks of tokens.

    Attributes:
        tokens: int32, N rows.
        sources: the document each block was cut from, int64 array (N,).
    """

    tokens: Ragged
    sources: np.ndarray


def framed_blocks(tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> Blocks:
    """Cut documents into blocks, each framed by the tokenizer's special tokens.

    A block is what the model was pre-trained on: `[CLS] ... [SEP]`, whole or a part of a document.
    Documents are never joined.
    """
    before, after = frame_of(tokenizer)
    room = max(1, max_length - len(before) - len(after))
    rows: list[list[int]] = []
    sources: list[int] = []
    for number, body in _bodies(tokenizer, texts):
        for start in range(0, max(1, len(body)), room):
            rows.append([*before, *body[start : start + room], *after])
            sources.append(number)
    return _joined(rows, sources)


def running_blocks(tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> Blocks:
    """Cut documents into blocks that are read from left to right.

    A document ends with the end-of-text token, where the tokenizer has one. Each block begins with
    the last token of the block before it, so that every token but a document's first is predicted
    exactly once. Documents are never joined.
    """
    before, after = frame_of(tokenizer)
    if not after and tokenizer.eos_token_id is not None:
        after = [tokenizer.eos_token_id]
    rows: list[list[int]] = []
    sources: list[int] = []
    for number, body in _bodies(tokenizer, texts):
        whole = [*before, *body, *after]
        for start in range(0, max(1, len(whole) - 1), max_length - 1):
            rows.append(whole[start : start + max_length])
            sources.append(number)
    return _joined(rows, sources)


def frame_of(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the special tokens that the tokenizer puts before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    framed = tokenizer("a")["input_ids"]
    if not bare or len(framed) == len(bare):
        return [], []
    start = next(i for i in range(len(framed)) if framed[i : i + len(bare)] == bare)
    return framed[:start], framed[start + len(bare) :]


def count_blocks(num_tokens: np.ndarray, max_length: int, *, num_framing: int | None) -> int:
    """Return how many blocks documents become.

    Args:
        num_tokens: int array (R,), special tokens included.
        max_length: tokens of a block.
        num_framing: special tokens of a text, where each block is framed by them; None where blocks
            overlap by one token.
    """
    import numpy as np

    if num_framing is None:
        pieces = np.ceil((num_tokens - 1) / (max_length - 1))
    else:
        pieces = np.ceil((num_tokens - num_framing) / max(1, max_length - num_framing))
    return int(np.maximum(1, pieces).sum())


def _bodies(tokenizer: Tokenizer, texts: Sequence[str]) -> list[tuple[int, list[int]]]:
    found: list[tuple[int, list[int]]] = []
    for start in range(0, len(texts), _CHUNK):
        # verbose: a document longer than the model reads is no news here.
        ids = tokenizer(
            list(texts[start : start + _CHUNK]), add_special_tokens=False, verbose=False
        )["input_ids"]
        found += enumerate(ids, start)
    return found


def _joined(rows: list[list[int]], sources: list[int]) -> Blocks:
    import numpy as np

    return Blocks(Ragged.of(rows, "int32"), np.array(sources, dtype=np.int64))
