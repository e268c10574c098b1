"""Locks that the system lets go of when their holder ends, however it ends."""

from __future__ import annotations

import errno
import sys
import time
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_LOOK_EVERY_S = 0.01


def try_lock(path: Path, *, patience_s: float = 0.0) -> BinaryIO | None:
    """Lock `path` for as long as the file returned stays open.

    Where the system has no such locks (Windows, some network file systems), everybody gets one.

    Args:
        path: the file to lock; made if it is not there.
        patience_s: how long to wait for another holder.

    Returns:
        The open file, or None if another holds the lock.
    """
    deadline = time.monotonic() + patience_s
    while True:
        file = path.open("ab")
        if _flock(file):
            return file
        file.close()
        if time.monotonic() >= deadline:
            return None
        time.sleep(_LOOK_EVERY_S)


def _flock(file: BinaryIO) -> bool:
    """Lock an open file unless another open one has it; True where there are no locks."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True
