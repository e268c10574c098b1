"""A life of a run: what is done to it while it trains, and how and when it ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from typing import TYPE_CHECKING

from nbtransfer.runs.control import change_control, read_control
from nbtransfer.runs.faults import plan_faults
from nbtransfer.runs.run import Run
from tests.engine.jobs import start, work
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

# By steps done: memory runs out in the second step, the sliders move after the third and the fifth.
RATE_AT, EPOCHS_AT, _MEMORY_AT = 3, 5, 1


def pairs_of(case: tuple) -> set:
    """Return every pair of values in a case, each with the place of its factor."""
    return set(itertools.combinations(enumerate(case), 2))


def pairwise(every: list[tuple]) -> list[tuple]:
    """Return cases that hold every pair of values: each the one that holds most new pairs."""
    left = set().union(*map(pairs_of, every))
    cases = []
    while left:
        best = max(every, key=lambda case: len(pairs_of(case) & left))
        cases.append(best)
        left -= pairs_of(best)
    return cases


@contextlib.contextmanager
def _life(run_dir: str, case: dict, end_at: int | None) -> Iterator[None]:
    """Do to the run what the case says, and end it when `end_at` steps are done."""
    from nbtransfer.engine.step import EagerStep

    run, take = Run(run_dir), EagerStep.__call__

    def move(name: str, value: float) -> None:
        # Once: a life that takes these steps again makes the change again by itself.
        if getattr(read_control(run.paths.control), name) is None:
            run.set(**{name: value})

    def taken(self: EagerStep, rows: object, step: int) -> object:
        plan_faults("")
        if case["memory"] == "too little" and step == _MEMORY_AT:
            plan_faults("step.forward:1:oom")
        if case["changed"] in ("rate", "both") and step == RATE_AT - 1:
            move("learning_rate", 1e-3)
        if case["changed"] in ("epochs", "both") and step == EPOCHS_AT - 1:
            move("num_train_epochs", 4)
        if step == end_at:
            if case["ended_by"] == "stop":
                run.stop()
            elif case["at"] == "export":  # every step is taken and saved by then
                point = "write" if case["ended_by"] == "kill" else "rename"
                plan_faults(f"export.{point}:1:kill")
            elif case["ended_by"] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                # The second pass, where there is one: gradients of the first are lost with it.
                plan_faults(f"step.backward:{min(2, case['accumulation'])}:kill")
        return take(self, rows, step)

    EagerStep.__call__ = taken
    try:
        yield
    finally:
        EagerStep.__call__ = take
        plan_faults("")


def live(run_dir: str, case: dict, end_at: int | None) -> bool:
    """Train the run; return whether it came to an end of its own."""
    with _life(run_dir, case, end_at):
        return work(run_dir)


def assert_disturbed_ends_as(run: Run, clean: Run, case: dict) -> None:
    """Disturb the run as the case says, let it go on, and compare it with the clean one."""
    last = clean.state().step - 1
    # It may have stopped early; what happens in the last step or after it begins there.
    end_at = min({"first step": 1, "mid-epoch": 6, "epoch end": 8}.get(case["at"], last), last)
    process = start(run, live, case, end_at)
    process.join()
    if case["ended_by"] == "stop":
        # In the last step it comes too late: then the run is done.
        assert run.status == ("completed" if end_at == last else "stopped"), run.log()
        change_control(run.paths.control, stop=None, paused=False)  # as resuming does
    else:
        assert process.exitcode == -signal.SIGKILL
        assert run.status == "lost"
    if run.status != "completed":
        assert live(str(run.dir), case, None), run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)
    assert run.state().saved_step == clean.state().saved_step
    assert run.state().ending_reason == clean.state().ending_reason
