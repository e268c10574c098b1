"""Locks that the system lets go of when their holder ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_LOOK_EVERY_S = 0.01
_PULSE_EVERY_S = 15.0


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
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        if _flock(file):
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
            file.close()  # it was deleted while we waited: the lock of nothing
            continue
        file.close()
        if time.monotonic() >= deadline:
            return None
        time.sleep(_LOOK_EVERY_S)


def is_locked(path: Path) -> bool:
    """Return whether somebody holds the lock of `path`, as far as the system can tell from here.

    Raises:
        OSError: if it cannot be read now.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        return not _flock(file, shared=True)


def _flock(file: BinaryIO, *, shared: bool = False) -> bool:
    """Lock an open file unless another open one has it; True where there are no locks."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


class Pulse:
    """A context in which the time is written into a lock's file again and again, in a thread.

    Not every network file system shows a lock to other machines; what a file holds, all do.
    """

    def __init__(self, lock: BinaryIO) -> None:
        self._lock = lock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="nbtransfer-pulse", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # a disk that is away shows no pulse
                os.pwrite(self._lock.fileno(), f"{time.time():.3f}".encode(), 0)
            if self._over.wait(_PULSE_EVERY_S):
                return


def last_pulse(path: Path) -> float:
    """Return when the holder of the lock of `path` last showed that it lives, in unix seconds.

    Raises:
        OSError: if it cannot be read now.
    """
    try:
        return float(path.read_bytes()[:32])
    except (FileNotFoundError, ValueError):
        return 0.0
