"""Answers of a model that are other than it gave them, padded or packed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbtransfer.engine.step import EagerStep


@contextmanager
def answers_changed(
    step: EagerStep, change: Callable[[dict[str, Any], Any], Any]
) -> Iterator[None]:
    """Let `change` make another output of each micro-batch and the model's output for it."""
    objective: Any = step._objective
    forward = objective.forward
    objective.forward = lambda model, batch, labels: change(batch, forward(model, batch, labels))
    try:
        yield
    finally:
        del objective.forward


def scaled(output: Any, value: float) -> Any:
    """Return the output with its logits times `value`."""
    output.logits = output.logits * value
    return output
