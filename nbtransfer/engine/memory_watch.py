"""Telling the user when steps had to do with less memory, and keeping what was learnt of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.engine.evaluate import rows_held
from nbtransfer.engine.memory import recomputing_warning, smaller_batch_warning
from nbtransfer.engine.objectives import Sequence
from nbtransfer.engine.optim import make_moments
from nbtransfer.engine.step import EagerStep

if TYPE_CHECKING:
    import torch

    from nbtransfer.engine.graphed import GraphedStep
    from nbtransfer.engine.progress import Progress
    from nbtransfer.engine.steplog import StepLog
    from nbtransfer.engine.train import Training
    from nbtransfer.runs.events import EventWriter

_MOST_ROWS = 1024  # of an evaluation's pass, unless the user says otherwise


def choose_evaluation_batch(training: Training) -> None:
    """Find out how many rows an evaluation's pass holds, and say in the log what it will take.

    Short rows keep an accelerator busy by the hundreds only. What the user asked for is the most
    that is taken; on a CPU the tokens of a pass are bounded instead. Where texts are generated, the
    memory of a pass grows with what is written, so that no more rows are taken than planned.
    """
    progress, rows = training.progress, training.validation
    if training.accelerator.device.type == "cpu" or rows is None or progress.eval_batch_size:
        return
    spec = training.spec
    asked = wanted = spec.eval_batch_size
    is_free = spec.per_device_eval_batch_size is None
    if is_free and not isinstance(training.objective, Sequence):
        wanted = max(asked, min(_MOST_ROWS, len(rows.encoded.lengths)))
    make_moments(training.optimizer)  # they are there in evaluations too
    progress.eval_batch_size = held = rows_held(
        training.accelerator, training.learner, rows.encoded, training.objective, wanted
    )
    if held != asked:
        memory = "holds as many" if held == wanted else "holds no more"
        training.events.append(
            "plan_changed",
            field="per_device_eval_batch_size",
            old=asked,
            new=held,
            reason=f"the memory {memory} of the longest validation rows",
        )


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
