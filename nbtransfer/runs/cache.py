"""What is computed once and kept by content, under the runs folder: tokens, frozen vectors.

Every entry is one file named by a hash of all it depends on. Nothing here is needed: an entry that
is damaged, or gone, is a miss. Files are written aside and renamed, and the oldest go when the
cache is full.
"""

from __future__ import annotations

import os
import shutil
import time
import zipfile
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from nbtransfer.runs.files import sync_folder
from nbtransfer.runs.paths import CACHE_DIR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np

_MOST_BYTES = 20_000_000_000
_LEFT_FREE = 0.1  # share of the disk's free space that no entry may take
_ABANDONED_S = 86_400.0
_FOOTER = 16  # bytes after an array: its length, then a mark that is written last
_MARK = b"whole\0\0\0"


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
        """Return the arrays kept together under that name, or None if they are not whole."""
        import numpy as np

        path = self._path(key)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                found = {name: stored[name] for name in stored.files}
            os.utime(path)
            return found
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None

    def keep_arrays(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep small arrays together; a full disk keeps nothing and is no error."""
        import numpy as np

        with (
            suppress(OSError),
            self._aside(key, sum(a.nbytes for a in arrays.values())) as aside,
            aside.open("wb") as file,
        ):
            np.savez(file, **dict(arrays))

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
