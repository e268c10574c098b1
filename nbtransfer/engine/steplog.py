"""Writing steps to the log without making the device wait for each.

Losses stay on the device until a quarter of a second has passed; then one sync point reads them
all.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch

from nbtransfer.engine.advice import RateWatch
from nbtransfer.engine.memory import memory_in_use
from nbtransfer.errors import NbTransferError

if TYPE_CHECKING:
    import numpy as np

    from nbtransfer.engine.progress import Progress
    from nbtransfer.engine.step import StepResult
    from nbtransfer.runs.events import EventWriter

_FLUSH_EVERY_S = 0.25
_FLUSH_EVERY_STEPS = 50  # bounds how many steps are taken after a loss that is no number
_MEASURE_EVERY_S = 1.0
# fp16's scale begins at 65,536 and is halved by each step that is skipped: to 0.00006 by then.
_MOST_SKIPPED = 30
_SHOWN = 8  # rows named of a step


class TrainingDiverged(NbTransferError):
    """The loss or the gradient is not a number any more."""


class StepLog:
    """Collect finished steps and write them in groups.

    Args:
        events: the run's log.
        device: where the losses are.
        progress: its training time and loss sums are kept up to date.
        precision: the arithmetic, `fp32`, `tf32`, `bf16` or `fp16`.
    """

    def __init__(
        self, events: EventWriter, device: torch.device, progress: Progress, precision: str
    ) -> None:
        self._events = events
        self._precision = precision
        self._device = device
        self._progress = progress
        self._pending: list[tuple[StepResult, dict[str, Any], np.ndarray]] = []
        self._last: tuple[dict[str, Any], np.ndarray, float, float] | None = None
        self._watch = RateWatch(progress.schedule.warmup_steps)
        self._examples = self._tokens = 0
        self._skipped = 0  # steps in a row that fp16 could not take
        self.start()

    def start(self) -> None:
        """Start the clock again after something that is no training step."""
        self._clock = self._flushed = self._measured = time.monotonic()
        self._examples = self._tokens = 0

    def add(
        self,
        result: StepResult,
        *,
        epoch: float,
        learning_rate: float,
        num_examples: int,
        num_tokens: int,
        rows: np.ndarray,
    ) -> None:
        """Take one finished step; it is written with the next group.

        `rows` are the numbers that its rows have in the user's data, int array.
        """
        now = time.monotonic()
        self._progress.elapsed_s += now - self._clock
        self._clock = now
        row = {
            "step": self._progress.step,
            "epoch": epoch,
            "learning_rate": learning_rate,
            "num_examples": num_examples,
            "num_tokens": num_tokens,
            "elapsed_s": round(self._progress.elapsed_s, 3),
        }
        self._pending.append((result, row, rows))
        self._examples += num_examples
        self._tokens += num_tokens
        if now - self._flushed >= _FLUSH_EVERY_S or len(self._pending) >= _FLUSH_EVERY_STEPS:
            self.flush()
            self._measure(now)

    def flush(self) -> None:
        """Write the pending steps. Reading their losses is a sync point.

        Raises:
            TrainingDiverged: at the first loss or gradient that is NaN or infinite.
        """
        if not self._pending:
            return
        both = [f for r, *_ in self._pending for f in (r.loss, r.grad_norm.to(r.loss.dtype))]
        read = torch.stack(both).view(-1, 2).tolist()
        pending, self._pending = self._pending, []
        for (_, row, rows), (loss, norm) in zip(pending, read, strict=True):
            self._events.append("step_completed", **row, loss=loss, grad_norm=norm)
            self._last = row, rows, loss, norm
            self._skipped = 0 if math.isfinite(norm) else self._skipped + 1
            # With fp16 a gradient beyond its range is met by skipping the step and a smaller scale.
            allowed = _MOST_SKIPPED if self._precision == "fp16" else 0
            if not math.isfinite(loss) or self._skipped > allowed:
                what, value = ("gradient", norm) if math.isfinite(loss) else ("loss", loss)
                raise self.diverged(f"the training {what} became {value}")
            figures = {name: row[name] for name in ("step", "learning_rate")}
            if warning := self._watch.see(**figures, loss=loss, grad_norm=norm):
                self._events.append("warning_raised", **warning._asdict())
            self._progress.loss_sum += loss
            self._progress.loss_count += 1
        self._flushed = time.monotonic()

    def diverged(self, what: str) -> TrainingDiverged:
        """Return the error that says what happened at the last step written, and its figures."""
        assert self._last is not None
        row, rows, loss, norm = self._last
        return TrainingDiverged(
            f"{what} at step {row['step']} (loss {loss:.3g}, "
            f"learning rate {row['learning_rate']:.2g}, gradient norm {norm:.3g}, "
            f"{self._precision}; {_listed(rows)} of the training data). Try a lower --lr; if it "
            "happens at once, look there."
        )

    def _measure(self, now: float) -> None:
        passed = now - self._measured
        if passed < _MEASURE_EVERY_S:
            return
        used, total = memory_in_use(self._device)
        self._events.append(
            "throughput_measured",
            step=self._progress.step,
            examples_per_s=self._examples / passed,
            tokens_per_s=self._tokens / passed,
            memory_bytes=used,
            memory_total_bytes=total,
        )
        self._measured = now
        self._examples = self._tokens = 0


def _listed(rows: np.ndarray) -> str:
    """Return row numbers as text, each once, the first few of many."""
    own = sorted(set(rows.tolist()))
    shown = ", ".join(map(str, own[:_SHOWN]))
    return f"{'row' if len(own) == 1 else 'rows'} {shown}{', …' if len(own) > _SHOWN else ''}"
