"""Opening data files: packed ones within limits, and what goes wrong told in words."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from nbtransfer.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# What a compressed file may grow to: more than any text that fits a notebook, less than a bomb.
MAX_UNPACKED_BYTES = 4 << 30
# Text packs 3 to 10 times; a file that grows more than this, past the first 64 MiB, is no text.
_MAX_RATIO = 200
_RATIO_FREE_BYTES = 64 << 20
_BLOCK_BYTES = 4 << 20


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in words why a file cannot be read.

    Raises:
        DataError: for what the system, or a program that unpacks, has against it.
    """
    name = path.name
    try:
        yield
    except PermissionError:
        raise DataError(
            f"{name} cannot be read: permission denied. Check the file's mode."
        ) from None
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise _damaged(path, error) from None
    except OSError as error:
        if path.suffix.casefold() in PACKED and error.errno is None:  # as bz2 says it
            raise _damaged(path, error) from None
        raise DataError(
            f"{name} cannot be read: {error.strerror or error}. Check the file, or write it anew."
        ) from None


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path.name} is damaged or not really a {path.suffix} file ({error}). Write it anew."
    )


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file to be read from its start, unpacked if it is compressed.

    Reading raises DataError where it unpacks to more than any text does.
    """
    opener = PACKED.get(path.suffix.casefold())
    if opener is None:
        return path.open("rb")
    return cast("IO[bytes]", io.BufferedReader(_Unpacked(path, opener(path, "rb")), _BLOCK_BYTES))


class _Unpacked(io.RawIOBase):
    """What a compressed file unpacks to, as far as that may be text."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path = path
        self._stream = stream
        self._allowed = max(_RATIO_FREE_BYTES, path.stat().st_size * _MAX_RATIO)
        self._num_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 -- as io has it
        block = self._stream.read(len(buffer))
        buffer[: len(block)] = block
        self._num_bytes += len(block)
        if self._num_bytes > self._allowed:
            raise _too_large(self._path, self._allowed)
        return len(block)

    def close(self) -> None:
        self._stream.close()
        super().close()


def read_bytes(path: Path) -> bytes:
    """Return all that is in a file, unpacked if it is compressed.

    Raises:
        DataError: if that is more than any text.
    """
    if path.suffix.casefold() not in PACKED:
        return path.read_bytes()
    unpacked = io.BytesIO()
    with open_bytes(path) as stream:
        while block := stream.read(_BLOCK_BYTES):
            if unpacked.tell() + len(block) > MAX_UNPACKED_BYTES:
                raise _too_large(path, MAX_UNPACKED_BYTES)
            unpacked.write(block)
    return unpacked.getvalue()


def _too_large(path: Path, allowed: int) -> DataError:
    return DataError(
        f"{path.name} unpacks to more than {allowed >> 20:,} MiB from {path.stat().st_size:,} "
        "bytes, which no text does. Unpack it yourself if you trust it."
    )
