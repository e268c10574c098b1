"""Which rows make up which optimizer step: a pure function of (seed, epoch, position).

Because nothing is remembered between steps, resuming needs no sampler state: the step number says
it all.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np


class StepRows:
    """Rows of every step, in seeded order.

    Each epoch is a fresh permutation; the rows of some steps are sorted by length together (ties
    stay in permuted order) and cut into steps, so that a batch needs less padding; the steps are
    then shuffled. Of one step they are any, and its micro-batches of like lengths. Every row comes
    once an epoch; the last step of an epoch may be smaller.

    Args:
        lengths: tokens of each row, int array (N,).
        rows_per_step: rows of an optimizer step, over all its micro-batches.
        seed: decides the order, together with the epoch's number.
        grouped_steps: of how many steps the rows are sorted together.
    """

    def __init__(
        self, lengths: np.ndarray, rows_per_step: int, seed: int, grouped_steps: int
    ) -> None:
        self._lengths = lengths
        self._rows_per_step = rows_per_step
        self._seed = seed
        self._pool = grouped_steps * rows_per_step
        self.steps_per_epoch = math.ceil(len(lengths) / rows_per_step)
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    def __call__(self, step: int) -> np.ndarray:
        """Return the rows (int64 array) of the step that follows `step` completed ones."""
        epoch, position = divmod(step, self.steps_per_epoch)
        return self._epoch(epoch)[position]

    def _make_epoch(self, epoch: int) -> list[np.ndarray]:
        draw = np.random.default_rng([self._seed, epoch])
        order = draw.permutation(len(self._lengths))
        steps: list[np.ndarray] = []
        for start in range(0, len(order), self._pool):
            rows = order[start : start + self._pool]
            rows = rows[np.argsort(self._lengths[rows], kind="stable")]
            steps += [
                rows[i : i + self._rows_per_step] for i in range(0, len(rows), self._rows_per_step)
            ]
        return [steps[i] for i in draw.permutation(len(steps))]


def by_length(lengths: np.ndarray) -> np.ndarray:
    """Return the row numbers, longest row first, so that the largest batch is met at once."""
    return np.argsort(-lengths, kind="stable")
