"""Writing checkpoints beside the training: a host copy at the step, the files in a thread.

One save is in flight at a time; a new one waits for it, so checkpoints become durable in their
order. The thread writes files and nothing else: what came of a save is announced by the training
loop, the event log's only writer.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.engine.checkpoints import Snapshot, prune, save_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn


class Saved(NamedTuple):
    """What came of a save: the bytes written, or those it needed and why it failed.

    `stall_s` is how long training stood still for it, `duration_s` how long until it was durable.
    """

    step: int
    name: str
    reason: str
    num_bytes: int
    stall_s: float
    duration_s: float
    error: OSError | None


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
        """
        start = time.monotonic()
        if self._saves:
            self._saves[-1].exception()  # waits: two host copies at once would be one too many
        snapshot = Snapshot.take(learner, optimizer, state)
        stall_s = time.monotonic() - start

        def write() -> Saved:
            num_bytes, error = snapshot.num_bytes, None
            try:
                num_bytes = save_checkpoint(folder, snapshot)
                prune(self._dir, folder.name, best)
            except OSError as problem:
                error = problem
            took = time.monotonic() - start
            return Saved(step, folder.name, reason, num_bytes, stall_s, took, error)

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
