"""Writing checkpoints beside the training: a host copy at the step, the files in a thread.

One save is in flight at a time; a new one waits for it, so checkpoints become durable in their
order. The thread writes files and nothing else: what came of a save is announced by the training
loop, the event log's only writer.
"""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.engine.checkpoints import Snapshot, prune, save_checkpoint
from nbtransfer.engine.disk import is_disk_full, needed_and_free

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

    from nbtransfer.runs.events import EventWriter


class Saved(NamedTuple):
    """What came of a save: the bytes written, or those it needed and why it failed.

    `stall_s` is how long training stood still for it, `duration_s` how long until it was durable.
    `not_finite` names a tensor that holds NaN or an infinity: such a state is not saved.
    """

    step: int
    name: str
    reason: str
    num_bytes: int
    stall_s: float
    duration_s: float
    error: OSError | None
    not_finite: str | None


class CheckpointWriter:
    """Saves the checkpoints of a run without making training wait for the disk.

    Args:
        checkpoints_dir: the folder of all checkpoints.
    """

    def __init__(self, checkpoints_dir: Path) -> None:
        self._dir = checkpoints_dir
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._saves: list[Future[Saved]] = []

    def save(
        self,
        folder: Path,
        *,
        step: int,
        reason: str,
        learner: nn.Module,
        optimizer: torch.optim.Optimizer,
        state: dict[str, Any],
        best: str | None,
        start: float,
    ) -> None:
        """Copy everything to the host and begin to write it.

        Args:
            folder: where the checkpoint will be.
            step: optimizer steps completed.
            reason: why it is made.
            learner: its state is copied before this returns.
            optimizer: its moments too.
            state: everything else, as JSON.
            best: name of the best evaluation's checkpoint, which is kept.
            start: when training began to stand still for it, on the monotonic clock.
        """
        if self._saves:
            self._saves[-1].exception()  # waits: two host copies at once would be one too many
        snapshot = Snapshot.take(learner, optimizer, state)
        stall_s = time.monotonic() - start

        def write() -> Saved:
            num_bytes, error = snapshot.num_bytes, None
            not_finite = snapshot.find_not_finite()
            if not_finite is None:
                try:
                    num_bytes = save_checkpoint(folder, snapshot)
                except OSError as problem:
                    error = problem
                else:
                    # What could not be removed takes space and no more: the next save tries again.
                    with contextlib.suppress(OSError):
                        prune(self._dir, folder.name, best)
            took = time.monotonic() - start
            return Saved(step, folder.name, reason, num_bytes, stall_s, took, error, not_finite)

        self._saves.append(self._executor.submit(write))

    def finished(self, *, wait: bool = False) -> list[Saved]:
        """Return the saves that are over and were not returned before, oldest first.

        Args:
            wait: until all are over.
        """
        done: list[Saved] = []
        while self._saves and (wait or self._saves[0].done()):
            done.append(self._saves.pop(0).result())
        return done


def announce(saved: Saved, checkpoints_dir: Path, events: EventWriter) -> None:
    """Say in the log that a checkpoint has become durable, or why it could not be written."""
    if saved.error is None:
        events.append(
            "checkpoint_saved",
            step=saved.step,
            name=saved.name,
            reason=saved.reason,
            num_bytes=saved.num_bytes,
            stall_s=saved.stall_s,
            duration_s=saved.duration_s,
        )
        return
    goes_on = "Training goes on, and earlier checkpoints are whole"
    advice = f"{goes_on}. If that stays so, take a --runs-dir on another disk."
    if is_disk_full(saved.error):
        space = needed_and_free(checkpoints_dir.parent, saved.num_bytes)
        advice = f"{space} {goes_on}; remove old runs with %runs rm NAME."
    events.append(
        "warning_raised",
        code="checkpoint_failed",
        headline=f"The checkpoint of step {saved.step} could not be written: "
        f"{saved.error.strerror or saved.error}.",
        advice=advice,
    )
