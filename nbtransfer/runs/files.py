"""Whole files, written so that a reader sees the old one or the new one and never a part.

Each file is written beside its place, synced, renamed over it, and then its folder is synced: after
a power cut the name holds either content in full (the order POSIX rename needs to be durable).
Where the disk of a network cannot sync, the order is all there is.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from typing import IO, TYPE_CHECKING, Any

from nbtransfer.runs.faults import reach

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa


_ROW_GROUP = 65_536  # rows: what a reader that takes a part at a time holds at once
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write; it takes the place of the one at `path` if all goes well.

    Folders are made as needed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # No process id: those of two machines that share the folder can be the same.
    staged = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")
    try:
        reach("file.write")
        with staged.open("wb") as file:
            yield file
            file.flush()
            sync(file.fileno())
        reach("file.rename")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, all or nothing."""
    with replacing(path) as file:
        file.write(data)


def write_json(path: Path, record: object) -> None:
    """Replace the file at `path` by `record` as JSON, all or nothing."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def read_json(path: Path) -> Any:  # noqa: ANN401 -- JSON can hold anything
    """Return what the JSON file at `path` holds.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not JSON.
    """
    return json.loads(path.read_bytes())


def write_table(path: Path, table: pa.Table) -> None:
    """Replace the file at `path` by `table` as parquet, all or nothing."""
    import pyarrow.parquet as pq

    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd", row_group_size=_ROW_GROUP)


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Return the table in the parquet file at `path`, or these columns of it."""
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=columns)


def tables_of(path: Path, num_rows: int) -> Iterator[pa.Table]:
    """Yield the rows in the parquet file at `path` in tables of at most so many rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        if not file.metadata.num_rows:
            yield file.read()
        for batch in file.iter_batches(num_rows):
            yield pa.Table.from_batches([batch])


def first_rows(path: Path, num_rows: int) -> pa.Table:
    """Return the first rows in the parquet file at `path`, at most so many."""
    return next(tables_of(path, num_rows))


def sync(descriptor: int) -> bool:
    """Make an open file or folder durable; return False where its disk knows no such thing."""
    try:
        reach("sync")
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
        return False
    return True


def sync_folder(folder: Path) -> bool:
    """Make the names in `folder` durable; return False where its disk knows no such thing."""
    if os.name == "nt":
        return True  # it keeps the names by itself
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return sync(descriptor)
    finally:
        os.close(descriptor)


def make_durable(folder: Path, *, mode: int) -> None:
    """Sync every file in `folder`, with the mode of those that Python writes.

    safetensors writes 0600: who shares the folder could not read the weights.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)
            with path.open("rb+") as file:
                sync(file.fileno())
        else:
            sync_folder(path)
    sync_folder(folder)


def check_folder(folder: Path) -> None:
    """Make sure that folders can be made and renamed in `folder`: a checkpoint is whole by that.

    Raises:
        OSError: if they cannot, as on some disks of a network or a cloud.
    """
    probe, moved = folder / ".probe", folder / ".probe.moved"
    try:
        probe.mkdir(exist_ok=True)
        reach("folder.rename")
        probe.rename(moved)
    finally:
        for path in (probe, moved):
            with contextlib.suppress(OSError):
                path.rmdir()
