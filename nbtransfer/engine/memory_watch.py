"""Telling the user when steps had to do with less memory, and keeping what was learnt of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.engine.memory import recomputing_warning, smaller_batch_warning
from nbtransfer.engine.step import EagerStep

if TYPE_CHECKING:
    import torch

    from nbtransfer.engine.graphed import GraphedStep
    from nbtransfer.engine.progress import Progress
    from nbtransfer.engine.steplog import StepLog
    from nbtransfer.runs.events import EventWriter


class _Way(NamedTuple):
    micro_batch_size: int
    recomputes: bool


class MemoryWatch:
    """Watches how the steps of a run use memory.

    Args:
        take_step: takes them.
        progress: keeps the micro-batch's size for later lives of the run.
        log: is written up to here before a warning.
        events: warnings go there.
        rows_per_step: rows of an optimizer step, which never change.
    """

    def __init__(
        self,
        take_step: EagerStep | GraphedStep,
        progress: Progress,
        log: StepLog,
        events: EventWriter,
        rows_per_step: int,
    ) -> None:
        self._take_step = take_step
        self._progress = progress
        self._log = log
        self._events = events
        self._rows_per_step = rows_per_step
        self._known = self._way()

    def probe(self, device: torch.device) -> None:
        """Meet the longest rows before the first step.

        Not on a CPU, whose memory is never refused, only taken; nor for graphs, whose first
        recording is the largest.
        """
        if device.type != "cpu" and isinstance(self._take_step, EagerStep):
            self._take_step.probe()
            self.ran_out()

    def ran_out(self) -> bool:
        """Return whether memory ran out since the last call; if so, say what became of it."""
        before, now = self._known, self._way()
        if now == before:
            return False
        self._known = now
        self._progress.micro_batch_size = now.micro_batch_size
        self._log.flush()
        step = self._progress.step
        if now.micro_batch_size < before.micro_batch_size:
            warning = smaller_batch_warning(
                step, before.micro_batch_size, now.micro_batch_size, self._rows_per_step
            )
            self._events.append("warning_raised", **warning._asdict())
        if now.recomputes and not before.recomputes:
            self._events.append("warning_raised", **recomputing_warning(step)._asdict())
        return True

    def _way(self) -> _Way:
        return _Way(self._take_step.micro_batch_size, self._take_step.recomputes)
