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
from typing import TYPE_CHECKING, Any

from nbtransfer.runs.faults import reach

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa


_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data`, all or nothing. Folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # No process id: those of two machines that share the folder can be the same.
    staged = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")
    try:
        reach("file.write")
        with staged.open("wb") as file:
            file.write(data)
            file.flush()
            sync(file.fileno())
        reach("file.rename")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    sync_folder(path.parent)


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
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def read_table(path: Path) -> pa.Table:
    """Return the table in the parquet file at `path`."""
    import pyarrow.parquet as pq

    return pq.read_table(path)


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
