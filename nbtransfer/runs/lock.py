"""One worker a run: a lock that the system lets go of when its holder ends, however it ends."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path


def try_lock(path: Path) -> BinaryIO | None:
    """Lock `path` for as long as the file returned stays open.

    Where the system has no such locks (Windows, some network file systems), everybody gets one: the
    record in process.json is then the only guard.

    Returns:
        The open file, or None if another process holds the lock.
    """
    file = path.open("ab")
    if sys.platform == "win32":
        return file
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            file.close()
            return None
    return file
