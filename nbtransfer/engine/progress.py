"""What a training run remembers between steps, besides weights and moments."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from nbtransfer.engine.optim import Schedule


@dataclass
class Progress:
    """Everything of a run's state that JSON can hold; a checkpoint stores it whole.

    Attributes:
        schedule: the learning rate's course, live changes included.
        num_train_epochs: epochs wanted, live changes included.
        planned_epochs: epochs of the plan that the schedule was made for.
        step: optimizer steps completed.
        elapsed_s: training time so far, pauses left out.
        revision: the newest control revision applied.
        evaluations_done: how many of the evaluations asked for were made.
        best_value: best metric so far, larger is better; None before the first evaluation.
        best_step: the step it was reached at.
        evaluations_without_gain: for early stopping; evaluations asked for do not count.
        loss_sum: of the steps since the last evaluation.
        loss_count: how many those are.
        evaluation_losses: (training loss, validation loss) of each scheduled evaluation.
        micro_batch_size: rows a forward pass, where memory held fewer than asked for.
        eval_batch_size: the same for an evaluation.
    """

    schedule: Schedule
    num_train_epochs: float
    planned_epochs: float = 0.0
    step: int = 0
    elapsed_s: float = 0.0
    revision: int = 0
    evaluations_done: int = 0
    best_value: float | None = None
    best_step: int | None = None
    evaluations_without_gain: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    evaluation_losses: list[tuple[float, float]] = field(default_factory=list)
    micro_batch_size: int | None = None
    eval_batch_size: int | None = None

    def take_length(self, num_train_epochs: float, num_steps: int) -> None:
        """Spread the rest of the schedule over a number of epochs given on resuming.

        Patience is counted anew then: who asks for more epochs is not to be told at once that the
        old count is full.
        """
        if num_train_epochs != self.planned_epochs:
            self.planned_epochs = self.num_train_epochs = num_train_epochs
            self.schedule.stretch(self.step, max(self.step, num_steps))
            self.evaluations_without_gain = 0

    def has_lost_patience(self, patience: int | None) -> bool:
        """Return whether so many evaluations brought no gain, while steps are left to take."""
        unfinished = self.step < self.schedule.num_steps
        return patience is not None and unfinished and self.evaluations_without_gain >= patience

    def to_json(self) -> dict[str, Any]:
        """Return the fields; floats survive JSON bit for bit."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Progress:
        """Return what `to_json` wrote."""
        names = {f.name for f in dataclasses.fields(cls)}
        fields = {k: v for k, v in record.items() if k in names}
        fields["schedule"] = Schedule(**fields["schedule"])
        fields["evaluation_losses"] = [tuple(pair) for pair in fields["evaluation_losses"]]
        return cls(**fields)
