"""What is computed once and kept by content, under the runs folder: tokens, frozen vectors.

Every entry is one file named by a hash of all it depends on. Nothing here is needed: an entry that
is damaged, or gone, is a miss. Files are written aside and renamed, and the oldest go when the
cache is full.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import zlib
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING, NamedTuple

from nbtransfer.runs.files import sync_folder
from nbtransfer.runs.paths import CACHE_DIR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

_MOST_BYTES = 20_000_000_000
_LEFT_FREE = 0.1  # share of the disk's free space that no entry may take
_ABANDONED_S = 86_400.0
_FOOTER = 16  # bytes after an array: its length, then a mark that is written last
_MARK = b"whole\0\0\0"
_READ_BYTES = 32_000_000
_CHUNK = 1 << 20
_ALIGNED = 64


class Cache:
    """The cache of a runs folder.

    Args:
        runs_dir: the folder.
    """

    def __init__(self, runs_dir: Path) -> None:
        self._folder = runs_dir / CACHE_DIR

    @property
    def free_bytes(self) -> int:
        """What is free where the cache lies."""
        existing = next(p for p in (self._folder, *self._folder.parents) if p.exists())
        return shutil.disk_usage(existing).free

    def array(self, key: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return the float32 array of that name, mapped from its file, or None if it is not there.

        It is read as it is used, so that one larger than memory can be.
        """
        import numpy as np

        path = self._path(key)
        wanted = 4 * int(np.prod(shape))
        try:
            with path.open("rb") as file:
                file.seek(wanted)
                footer = file.read(_FOOTER + 1)
            if footer != wanted.to_bytes(8, "little") + _MARK:
                return None
            os.utime(path)
            return np.memmap(path, np.float32, mode="r", shape=shape)
        except (OSError, ValueError):
            return None

    @contextmanager
    def new_array(self, key: str, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
        """Give a float32 array to fill; it is kept under that name if all goes well."""
        import numpy as np

        num_bytes = 4 * int(np.prod(shape))
        with self._aside(key, num_bytes) as aside:
            filled = np.memmap(aside, np.float32, mode="w+", shape=shape)
            yield filled
            filled.flush()
            del filled
            with aside.open("ab") as file:
                file.write(num_bytes.to_bytes(8, "little") + _MARK)

    def arrays(self, key: str) -> dict[str, np.ndarray] | None:
        """Return the arrays kept together under that name, or None if they are not whole.

        Up to 32 MB are read, so that no disk that goes away can take them. More are mapped: they
        take no memory but what is being used, and that can be taken back.
        """
        import numpy as np

        path = self._path(key)
        try:
            with path.open("rb") as file:
                index = _read_index(file)
                if index is None or not all(_is_whole(file, part) for part in index):
                    return None
            os.utime(path)
            if sum(part.num_bytes for part in index) > _READ_BYTES:
                # Private: what writes into an array of its own does not reach the file.
                whole = np.asarray(np.memmap(path, np.uint8, mode="c"))
            else:
                whole = np.fromfile(path, np.uint8)
            return {
                part.name: whole[part.start : part.start + part.num_bytes]
                .view(part.dtype)
                .reshape(part.shape)
                for part in index
            }
        except (OSError, ValueError, TypeError):
            return None

    @contextmanager
    def new_arrays(self, key: str) -> Iterator[NewArrays]:
        """Give an entry to add to; it is kept under that name if all goes well.

        Raises:
            OSError: if it cannot be written, as where the disk is full.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with NewArrays(self._folder) as new:
            yield new
            with self._aside(key, new.num_bytes) as aside, aside.open("wb") as file:
                new.write(file)

    @contextmanager
    def _aside(self, key: str, num_bytes: int) -> Iterator[Path]:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(num_bytes)
        # No process id: those of two containers that share the folder are often the same, and one
        # would fill what the other takes for whole.
        aside = self._folder / f"{key}.{os.urandom(6).hex()}.part"
        try:
            yield aside
            with aside.open("rb+") as file:  # a name must not outlive a crash that its bytes do not
                os.fsync(file.fileno())
            aside.replace(self._path(key))
            sync_folder(self._folder)
        finally:
            aside.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        assert key.replace("-", "").isalnum(), key
        return self._folder / key

    def _make_room(self, num_bytes: int) -> None:
        """Remove the longest unused entries, and what a killed process left half written."""
        most = min(_MOST_BYTES, (1 - _LEFT_FREE) * self.free_bytes)
        entries = []
        for path in self._folder.iterdir():
            with suppress(OSError):
                found = path.stat()
                if path.suffix == ".part" and time.time() - found.st_mtime > _ABANDONED_S:
                    path.unlink()
                elif path.suffix != ".part":
                    entries.append((found.st_mtime, found.st_size, path))
        total = sum(size for _, size, _ in entries) + num_bytes
        for _, size, path in sorted(entries):
            if total <= most:
                break
            with suppress(OSError):
                path.unlink()
            total -= size


class _Part(NamedTuple):
    """Where one of several arrays lies in a file, and its checksum."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    num_bytes: int
    checksum: int


class NewArrays:
    """Arrays that grow at their ends, in files without names until all are whole.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._files: dict[str, IO[bytes]] = {}
        self._parts: dict[str, _Part] = {}

    def __enter__(self) -> NewArrays:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def num_bytes(self) -> int:
        """Bytes of all arrays so far."""
        return sum(part.num_bytes for part in self._parts.values())

    def num_rows(self, name: str) -> int:
        """Return how many rows that array has so far."""
        return self._parts[name].shape[0] if name in self._parts else 0

    def append(self, name: str, rows: np.ndarray) -> None:
        """Add `rows` at the end of the array of that name; all are of one type."""
        import numpy as np

        rows = np.ascontiguousarray(rows)
        if name not in self._files:
            file = tempfile.TemporaryFile(dir=self._folder, suffix=".part")  # noqa: SIM115 -- closed together
            self._files[name] = self._open.enter_context(file)
            self._parts[name] = _Part(name, rows.dtype.str, (0, *rows.shape[1:]), 0, 0, 0)
        part, raw = self._parts[name], rows.reshape(-1).view(np.uint8)
        if (part.dtype, part.shape[1:]) != (rows.dtype.str, rows.shape[1:]):
            raise ValueError(f"{name}: {rows.dtype} {rows.shape} behind {part.dtype} {part.shape}")
        self._files[name].write(raw.data)
        self._parts[name] = part._replace(
            shape=(part.shape[0] + len(rows), *part.shape[1:]),
            num_bytes=part.num_bytes + len(raw),
            checksum=zlib.crc32(raw.data, part.checksum),
        )

    def write(self, file: IO[bytes]) -> None:
        """Write all arrays one after the other, then what tells where each lies."""
        index = []
        for name, part in self._parts.items():
            file.write(b"\0" * (-file.tell() % _ALIGNED))
            index.append(part._replace(start=file.tell()))
            self._files[name].seek(0)
            shutil.copyfileobj(self._files[name], file, _CHUNK)
        listed = json.dumps(index).encode()
        file.write(listed + zlib.crc32(listed).to_bytes(4, "little"))
        file.write((len(listed) + 4).to_bytes(8, "little") + _MARK)


def _read_index(file: IO[bytes]) -> list[_Part] | None:
    """Return where each array lies in an entry of several, None if it is not whole."""
    end = file.seek(0, os.SEEK_END) - _FOOTER
    if end < 0:
        return None
    file.seek(end)
    footer = file.read(_FOOTER)
    start = end - int.from_bytes(footer[:8], "little")
    if footer[8:] != _MARK or start < 0:
        return None
    file.seek(start)
    listed = file.read(end - start)
    if zlib.crc32(listed[:-4]) != int.from_bytes(listed[-4:], "little"):
        return None
    return [
        _Part(name, dtype, tuple(shape), start, num_bytes, checksum)
        for name, dtype, shape, start, num_bytes, checksum in json.loads(listed[:-4])
    ]


def _is_whole(file: IO[bytes], part: _Part) -> bool:
    file.seek(part.start)
    checksum, left = 0, part.num_bytes
    while left and (chunk := file.read(min(_CHUNK, left))):
        checksum, left = zlib.crc32(chunk, checksum), left - len(chunk)
    return not left and checksum == part.checksum
