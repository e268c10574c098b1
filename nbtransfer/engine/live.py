"""What the notebook's sliders and buttons mean to a training run, and making it again on resume."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.runs.control import Control, ControlReader, StopReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from nbtransfer.engine.progress import Progress
    from nbtransfer.runs.state import ChangeRow

Changes = dict[str, tuple[float, float]]


class Asked(NamedTuple):
    """What is asked of the run at this step boundary."""

    changes: Changes
    revision: int | None
    stop: StopReason | None
    evaluate: bool


NOTHING = Asked({}, None, None, False)
_SLIDERS = ("learning_rate", "num_train_epochs")


class LiveControls:
    """Apply control.json to a run's progress.

    Args:
        path: the control file.
        progress: changed in place.
        steps_per_epoch: optimizer steps of one epoch.
    """

    def __init__(self, path: Path, progress: Progress, steps_per_epoch: int) -> None:
        self._reader = ControlReader(path)
        self._progress = progress
        self._steps_per_epoch = steps_per_epoch
        self._replay: list[ChangeRow] = []
        self._asked: dict[int, int] = {}  # step by number, of evaluations to be made again
        self._last_asked = progress.evaluations_done
        self._control = Control()

    @property
    def paused(self) -> bool:
        """Whether the run is to hold at this step boundary."""
        return self._control.paused

    @property
    def wanted(self) -> dict[str, float | None]:
        """The slider values of the last control read, as asked for, before any clamping."""
        return {name: getattr(self._control, name) for name in _SLIDERS}

    def replay(
        self,
        changes: Iterable[ChangeRow],
        wanted: dict[str, float | None],
        asked: Mapping[int, int] | None = None,
    ) -> None:
        """Make again what lies beyond the checkpoint, each at its own step.

        Args:
            changes: what the log says was changed, oldest first.
            wanted: the slider values the former life of the run saw last; they are no news.
            asked: the evaluations that were asked for, by number, and their steps.
        """
        self._replay = [row for row in changes if row.revision > self._progress.revision]
        self._control = Control(**wanted)  # type: ignore[arg-type]
        done = self._progress.evaluations_done
        self._asked = {number: step for number, step in (asked or {}).items() if number > done}
        self._last_asked = max((done, *self._asked))

    def poll(self, step: int) -> Asked:
        """Apply what is due before the step that follows `step` completed ones."""
        again = [number for number, at in self._asked.items() if at <= step]
        for number in again:
            del self._asked[number]
            self._progress.evaluations_done = max(number, self._progress.evaluations_done)
        asked = self._poll(step)
        return asked._replace(evaluate=True) if again else asked

    def _poll(self, step: int) -> Asked:
        if self._replay and self._replay[0].step <= step:
            row = self._replay.pop(0)
            changes = self._apply({name: new for name, (_, new) in row.changes.items()}, step)
            self._progress.revision = row.revision
            return NOTHING._replace(changes=changes, revision=row.revision)
        control = self._reader.poll()
        if control is None:
            return NOTHING
        old, self._control = self._control, control
        moved = {
            name: value
            for name in _SLIDERS
            if (value := getattr(control, name)) is not None and value != getattr(old, name)
        }
        if moved:
            self._replay.clear()  # a hand on the sliders outranks the record
        evaluate = control.evaluations > self._last_asked
        if evaluate:
            self._last_asked = self._progress.evaluations_done = control.evaluations
        # A checkpoint made before the replay is over must not say that the rest of it was made.
        self._progress.revision = self._replay[0].revision - 1 if self._replay else control.revision
        return Asked(self._apply(moved, step), control.revision, control.stop, evaluate)

    def _apply(self, wanted: dict[str, float], step: int) -> Changes:
        """Change peak and length of the schedule; return what really changed."""
        progress, schedule = self._progress, self._progress.schedule
        changes: Changes = {}
        if "learning_rate" in wanted and wanted["learning_rate"] != schedule.peak:
            changes["learning_rate"] = (schedule.peak, wanted["learning_rate"])
            schedule.peak = wanted["learning_rate"]
        if "num_train_epochs" in wanted:
            # Never below the epoch the run is in: what is begun is finished.
            lowest = max(1, math.ceil(step / self._steps_per_epoch))
            epochs = max(wanted["num_train_epochs"], lowest)
            if epochs != progress.num_train_epochs:
                changes["num_train_epochs"] = (progress.num_train_epochs, epochs)
                progress.num_train_epochs = epochs
                schedule.stretch(step, max(step, round(epochs * self._steps_per_epoch)))
        return changes
