"""Knowing that a disk is full, and saying how much is needed and how much is free."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from nbtransfer.errors import NbTransferError

if TYPE_CHECKING:
    from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(NbTransferError):
    """What a run leaves cannot be written, for the disk is full."""

    def __init__(self, what: str, folder: Path, needed_bytes: int) -> None:
        super().__init__(
            f"the disk is full: {what} could not be written. "
            f"{needed_and_free(folder, needed_bytes)} Remove old runs with %runs rm NAME, then go "
            f"on: %finetune --resume {folder.name}"
        )


def is_disk_full(error: OSError | SafetensorError) -> bool:
    """Whether something could not be written because there is no space left."""
    if isinstance(error, SafetensorError):  # it keeps the system's number in its words only
        return any(f"os error {number})" in str(error) for number in _FULL)
    return error.errno in _FULL


def needed_and_free(folder: Path, needed_bytes: int) -> str:
    """Return the sentence on space for a write of so many bytes to the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    return f"It needs {needed_bytes / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free."
