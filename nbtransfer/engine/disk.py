"""Knowing that a disk is full, and saying how much is needed and how much is free."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from nbtransfer.errors import NbTransferError
from nbtransfer.estimates import checkpoint_bytes
from nbtransfer.runs.files import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.runs.events import EventWriter
    from nbtransfer.runs.run import Run

_FULL = (errno.ENOSPC, errno.EDQUOT)
# What a disk says that cannot be written though it has space: read-only, not ours, of a network
# that has gone, or without renaming.
NOT_WRITABLE = (
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EBUSY),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN),
    *(errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL),
)


class DiskFull(NbTransferError):
    """What a run leaves cannot be written, for the disk is full."""

    def __init__(self, what: str, folder: Path, needed_bytes: int) -> None:
        super().__init__(
            f"the disk is full: {what} could not be written. "
            f"{needed_and_free(folder, needed_bytes)} Remove old runs with %runs rm NAME, then go "
            f"on: %finetune --resume {folder.name}"
        )


class NotWritten(NbTransferError):
    """What a run leaves cannot be put into its folder, though there is space."""

    def __init__(self, what: str, folder: Path, error: OSError) -> None:
        super().__init__(
            f"{what} could not be put into the run's folder ({error.strerror}). What was saved "
            "before is whole. Once the folder can be written again, go on: "
            f"%finetune --resume {folder.name}"
        )


def warn_of_disk(run: Run, events: EventWriter) -> None:
    """Say in the log where the run's disk cannot make anything durable, or is nearly full.

    Before a run is created it is refused where there is no space; by the time it is resumed, other
    runs may have filled the disk.
    """
    if not sync_folder(run.dir):
        events.append(
            "warning_raised",
            code="no_sync",
            headline="The disk of the runs folder cannot make files durable (it has no fsync).",
            advice="After a power cut the newest checkpoint may be damaged: it would be found, and "
            "an earlier one taken. A --runs-dir on a local disk is safer.",
        )
    model, plan = run.model_card, run.plan
    one = checkpoint_bytes(model, plan.num_trainable_parameters, plan.technique)
    needed, free = one + 4 * model.num_parameters, shutil.disk_usage(run.dir).free
    if free < needed:
        events.append(
            "warning_raised",
            code="disk_space",
            headline=f"The disk of the runs folder has {free / 1e6:,.1f} MB free; one more "
            f"checkpoint and the model take about {needed / 1e6:,.1f} MB.",
            advice="Remove old runs now, with %runs rm NAME. A checkpoint that finds no space is "
            "left out, and a model that finds none ends the run; what was saved before is whole.",
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
