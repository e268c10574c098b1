"""Texts are turned into tokens once: what came out is kept by content, and found again.

Tasks call `encode_texts` and know nothing of it; whoever runs them opens `tokens_kept` around.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    Texts: TypeAlias = Sequence[str] | pa.ChunkedArray

CHUNK = 10_000  # rows a tokenizer call: bounds the memory of its Python lists
_VERSION = 1  # of what is kept; another version's entries are never found


def strings_of(texts: Any, start: int = 0) -> Iterator[list[str]]:  # noqa: ANN401 -- Texts
    """Yield the texts from `start` on, ten thousand at a time."""
    for begin in range(start, len(texts), CHUNK):
        part = texts[begin : begin + CHUNK]
        yield part.to_pylist() if hasattr(part, "to_pylist") else list(part)


class ArrayStore(Protocol):
    """Keeps arrays by name; `nbtransfer.runs.cache.Cache` is one."""

    def arrays(self, key: str) -> dict[str, np.ndarray] | None:
        """Return what is kept under that name, whole, or None."""

    def keep_arrays(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep arrays under that name, if there is room."""


@dataclass
class Kept:
    """Where tokens are kept, and how often they were there.

    Attributes:
        store: where.
        found: for each call, whether it was answered from the store.
    """

    store: ArrayStore
    found: list[bool] = field(default_factory=list)

    @property
    def said(self) -> str:
        """`hit` where nothing had to be tokenized, `miss` where anything had, `off` otherwise."""
        return ("hit" if all(self.found) else "miss") if self.found else "off"


_open: ContextVar[Kept | None] = ContextVar("kept tokens", default=None)


@contextmanager
def tokens_kept(store: ArrayStore) -> Iterator[Kept]:
    """Look tokens up in `store`, and put new ones there, within it."""
    kept = Kept(store)
    token = _open.set(kept)
    try:
        yield kept
    finally:
        _open.reset(token)


def current() -> Kept | None:
    """Return where tokens are kept now, if anywhere."""
    return _open.get()


def tokens_key(tokenizer: Any, columns: Sequence[Texts], max_length: int) -> str | None:  # noqa: ANN401 -- of transformers
    """Return a name for all that the tokens of some texts depend on.

    None where the tokenizer cannot be written down: it has no Rust part.

    Args:
        tokenizer: the model's own.
        columns: one or two texts a row.
        max_length: tokens a row is cut to.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    digest = hashlib.blake2b(digest_size=16)
    about = (
        _VERSION,
        type(tokenizer).__name__,
        max_length,
        tokenizer.truncation_side,
        tokenizer.model_input_names,
        len(columns),
        *(("plain",) if getattr(tokenizer, "split_special_tokens", False) else ()),
    )
    digest.update(repr(about).encode())
    # A call sets length and padding in the Rust part: what it was set to last is no difference.
    length, padding = backend.truncation, backend.padding
    backend.no_truncation()
    backend.no_padding()
    digest.update(backend.to_str().encode())
    if length is not None:
        backend.enable_truncation(**length)
    if padding is not None:
        backend.enable_padding(**padding)
    for texts in columns:
        digest.update(len(texts).to_bytes(8, "little"))
        for part in strings_of(texts):
            raw = [text.encode("utf-8", "surrogatepass") for text in part]
            digest.update(repr([len(text) for text in raw]).encode())
            digest.update(b"".join(raw))
    return f"tokens-{digest.hexdigest()}"
