"""What the numbers of a run say, in words a user can act on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nbtransfer.runs.state import WarningRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbtransfer.data.card import DataCard

_FIRST = 5  # steps whose mean is the beginning
_WEIGHT = 0.2  # of the newest step in the smoothed figures: about five steps' mean
_LOSS_RISE = 0.25  # nats, and the same as a share of a larger first loss
_NORM_GROWTH = 30.0
_NOISE, _NOISE_SHARE = 0.02, 0.05  # nats; of a small loss, a share of it


def guessing_loss(card: DataCard, weights: Sequence[float] | None = None) -> float | None:
    """Return the training loss of a model that knows how often each class occurs, and no more.

    Args:
        card: tells the training rows (or words) of each class.
        weights: how much each class counts; None counts all alike.

    Returns:
        In nats, the entropy of the classes' shares, by weight; where a row has any number of
        classes, the mean over them of the entropy of having each. None where there are none.
    """
    counts = card.class_counts.get("train", ())
    if not any(counts):
        return None
    if card.task == "multi-label-classification":
        num_rows = card.num_rows["train"]
        return sum(_entropy((n, num_rows - n)) for n in counts) / len(counts)
    return _entropy([n * w for n, w in zip(counts, weights or [1.0] * len(counts), strict=True)])


def _entropy(amounts: Sequence[float]) -> float:
    shares = [amount / sum(amounts) for amount in amounts]
    return -sum(share * math.log(share) for share in shares if share > 0)


def evaluation_warning(
    losses: Sequence[tuple[float, float]], guessing: float | None
) -> WarningRow | None:
    """Return advice on a run's course, or None where nothing stands out.

    Args:
        losses: (training loss, validation loss) in nats of each evaluation so far.
        guessing: the training loss of guessing by the classes' shares; None where there are none.
    """
    if not losses:
        return None
    train, validation = losses[-1]
    best = min(loss for _, loss in losses)
    if len(losses) >= 2 and train < 0.9 * losses[-2][0] and validation > 1.02 * best:
        at = 1 + [loss for _, loss in losses].index(best)
        return WarningRow(
            "overfitting",
            f"Training loss still falls, but validation loss has risen since evaluation {at}.",
            "More epochs are unlikely to help; Stop and keep uses the best model so far.",
        )
    if len(losses) >= 2 and guessing:
        noise = min(_NOISE, _NOISE_SHARE * guessing)
        if train > guessing - noise and train > losses[-2][0] - noise:
            return WarningRow(
                "not_learning",
                f"The training loss stays at {train:.2f}: guessing by how often each class occurs "
                f"gives {guessing:.2f}.",
                "Try a higher learning rate, and check that texts and labels belong together.",
            )
    return None


class RateWatch:
    """Notice a learning rate that is too high while it does its harm, and say so once.

    The signs are a smoothed loss well above where it began, and gradients far beyond their first.
    Both are judged after the warm-up: before it the rate is not what was asked for.

    Args:
        warmup_steps: steps in which the learning rate still rises.
    """

    def __init__(self, warmup_steps: int) -> None:
        self._warmup_steps = warmup_steps
        self._num_seen = 0
        self._first_loss = self._loss = 0.0
        self._first_log_norm = self._log_norm = 0.0
        self._said = False

    def see(
        self, *, step: int, loss: float, grad_norm: float, learning_rate: float
    ) -> WarningRow | None:
        """Take one step's figures, in order; return advice the first time there is a reason."""
        if self._said or not (math.isfinite(loss) and 0 < grad_norm < math.inf):
            return None
        self._num_seen += 1
        log_norm = math.log(grad_norm)
        if self._num_seen <= _FIRST:
            self._first_loss += loss / _FIRST
            self._first_log_norm += log_norm / _FIRST
            self._loss, self._log_norm = self._first_loss, self._first_log_norm
            return None
        self._loss += _WEIGHT * (loss - self._loss)
        self._log_norm += _WEIGHT * (log_norm - self._log_norm)
        if step <= self._warmup_steps:
            return None
        if self._loss > self._first_loss + max(_LOSS_RISE, _LOSS_RISE * self._first_loss):
            what = f"The loss rose to {self._loss:.2f} by step {step}; it began at "
            what += f"{self._first_loss:.2f}."
        elif self._log_norm > self._first_log_norm + math.log(_NORM_GROWTH):
            what = f"The gradient norm grew to {math.exp(self._log_norm):,.0f} by step {step}; it "
            what += f"began at {math.exp(self._first_log_norm):.2g}."
        else:
            return None
        self._said = True
        return WarningRow(
            "learning_rate_too_high",
            what,
            f"The learning rate ({learning_rate:.2g}) is probably too high: lower it with the "
            f"slider now, or begin again with --lr {learning_rate / 5:.1g}.",
        )
