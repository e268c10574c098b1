"""What the numbers of a run say, in words a user can act on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nbtransfer.runs.state import WarningRow

if TYPE_CHECKING:
    from collections.abc import Sequence


def evaluation_warning(losses: Sequence[tuple[float, float]], num_labels: int) -> WarningRow | None:
    """Return advice on a run's course, or None where nothing stands out.

    Args:
        losses: (training loss, validation loss) in nats of each evaluation so far.
        num_labels: number of classes; always guessing the shares right costs at most ln of it.
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
    if len(losses) >= 2 and abs(train - math.log(num_labels)) < 0.02:
        return WarningRow(
            "not_learning",
            f"The training loss stays at {train:.2f}, as for guessing among {num_labels} classes.",
            "Try a higher learning rate, and check that texts and labels belong together.",
        )
    return None
