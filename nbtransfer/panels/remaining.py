"""How long a run still takes, judged from its recent steps and what its evaluations cost so far."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbtransfer.runs.state import RunState

_RECENT_STEPS = 200
_MIN_STEPS = 3
_STALL = 5.0  # a gap this many times the usual step is no step: a pause, a save, an evaluation


def remaining_s(
    state: RunState, eval_every_steps: int, num_validation_rows: int, now: float
) -> float | None:
    """Return the seconds left, or None while too little is known.

    Args:
        state: what the run's events add up to.
        eval_every_steps: steps between evaluations; 0 for none.
        num_validation_rows: rows an evaluation reads.
        now: unix seconds; time that passed since the last event is taken off, no more of it than
            passes between two events: beyond that it is a clock that was set.
    """
    gaps = _gaps(state)
    if len(gaps) < _MIN_STEPS or not state.num_steps:
        return None
    usual = statistics.median(seconds for _, seconds in gaps)
    # The mean of what are steps, not the median: batches of long texts are few and slow, and they
    # count.
    step_s = statistics.fmean(s for _, s in gaps if s <= _STALL * usual) if usual else 0.0
    steps_left = max(state.num_steps - state.step, 0)
    evaluation_s = _evaluation_s(state, step_s, num_validation_rows)
    left = steps_left * step_s + _evaluations_left(state, eval_every_steps) * evaluation_s
    since = max(now - state.last_time, 0.0) if state.last_time is not None else 0.0
    return max(left - min(since, max(_STALL * step_s, evaluation_s)), 0.0)


def _gaps(state: RunState) -> list[tuple[int, float]]:
    """Return the newest steps with the seconds since the step before them."""
    recent = state.steps[-_RECENT_STEPS - 1 :]
    return [
        (row.step, row.elapsed_s - before.elapsed_s)
        for before, row in pairwise(recent)
        if row.step == before.step + 1 and row.elapsed_s >= before.elapsed_s
    ]


def _evaluations_left(state: RunState, every: int) -> int:
    if not every:
        return 0
    total = state.num_steps // every + (state.num_steps % every > 0)
    done = state.step // every
    return max(total - done, 0)


def _evaluation_s(state: RunState, step_s: float, num_rows: int) -> float:
    """Return what an evaluation costs: as those seen; before the first, a third of training."""
    # A step's row lies at its distance from the first: building a map of all rows each time would
    # cost more.
    first = state.steps[0].step if state.steps else 0
    seen = []
    for row in state.evaluations[-5:]:
        pair = state.steps[max(row.step - first, 0) : row.step - first + 2]
        if len(pair) == 2 and pair[0].step == row.step:
            seen.append(pair[1].elapsed_s - pair[0].elapsed_s - step_s)
    if seen:
        return max(statistics.median(seen), 0.0)
    # A forward pass is a third of a training step.
    return num_rows / (3 * state.examples_per_s) if state.examples_per_s else 0.0
