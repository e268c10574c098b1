"""Resuming equals never having stopped, whatever the options (promises R1 and R2).

Every pair of values of any two options is tried; with NBTRANSFER_ALL_FAULTS=1 every combination of
the options, each with one of the ways to end. Rows of a step are of similar length in all of them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from typing import TYPE_CHECKING

import pytest

from nbtransfer.runs.control import change_control, read_control
from nbtransfer.runs.faults import plan_faults
from nbtransfer.runs.run import Run
from tests.engine.jobs import start, with_all_words, work
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

_OPTIONS = {
    "changed": ["nothing", "rate", "epochs", "both"],
    "technique": ["full", "head", "features", "lora"],
    "accumulation": [1, 4],
    "weights": ["equal", "unequal"],
    "patience": [None, 1],
    "memory": ["enough", "too little"],
    "words": ["used", "all"],
}
_DISTURBANCES = {
    "ended_by": ["kill", "kill within a step", "stop"],
    "at": ["first step", "mid-epoch", "epoch end", "last step", "export"],
}
_FACTORS = _OPTIONS | _DISTURBANCES
# By steps done: memory runs out in the second step, the sliders move after the third and the fifth.
_RATE_AT, _EPOCHS_AT, _MEMORY_AT = 3, 5, 1


def _combined(factors: dict[str, list]) -> list[tuple]:
    """Return all combinations; words are trained, all or some, with the technique `full` only."""
    every = itertools.product(*factors.values())
    return [case for case in every if "full" in case or "all" not in case]


def _pairs_of(case: tuple) -> set:
    return set(itertools.combinations(enumerate(case), 2))


def _pairwise() -> list[tuple]:
    """Return cases that hold every pair of values: each the one that holds most new pairs."""
    every = _combined(_FACTORS)
    left = set().union(*map(_pairs_of, every))
    cases = []
    while left:
        best = max(every, key=lambda case: len(_pairs_of(case) & left))
        cases.append(best)
        left -= _pairs_of(best)
    return cases


def _whole() -> list[tuple]:
    ends = itertools.cycle(itertools.product(*_DISTURBANCES.values()))
    return [(*options, *next(ends)) for options in _combined(_OPTIONS)]


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
        if case["changed"] in ("rate", "both") and step == _RATE_AT - 1:
            move("learning_rate", 1e-3)
        if case["changed"] in ("epochs", "both") and step == _EPOCHS_AT - 1:
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


def _live(run_dir: str, case: dict, end_at: int | None) -> bool:
    with _life(run_dir, case, end_at):
        return work(run_dir)


_cleans: dict[tuple, Run] = {}


@pytest.fixture
def make_case(make_job, tmp_path_factory):
    """A maker of the run that a case is about, and of the same run undisturbed."""

    def make(case):
        options = {
            "technique": case["technique"],
            "per_device_train_batch_size": 8 // case["accumulation"],
            "gradient_accumulation_steps": case["accumulation"],
            "class_weights": {"good": 2.0, "bad": 0.5} if case["weights"] == "unequal" else None,
            "early_stopping_patience": case["patience"],
        }
        key = tuple(case[name] for name in _OPTIONS)

        def make_run(folder):
            run = make_job(tmp_path_factory.mktemp(folder), **options)
            assert run.plan.trains_used_words is (case["technique"] == "full")
            return with_all_words(run) if case["words"] == "all" else run

        if key not in _cleans:
            clean = make_run("clean")
            assert _live(str(clean.dir), case, None), clean.log()
            _cleans[key] = clean
        return make_run("disturbed"), _cleans[key]

    return make


_CASES = _whole() if os.environ.get("NBTRANSFER_ALL_FAULTS") == "1" else _pairwise()


@pytest.mark.parametrize("case", _CASES, ids=lambda case: "-".join(map(str, case)))
def test_resumed_it_ends_with_the_bits_of_a_run_that_never_stopped(make_case, case):
    case = dict(zip(_FACTORS, case, strict=True))
    run, clean = make_case(case)
    last = clean.state().step - 1
    # It may have stopped early; what happens in the last step or after it begins there.
    end_at = min({"first step": 1, "mid-epoch": 6, "epoch end": 8}.get(case["at"], last), last)
    process = start(run, _live, case, end_at)
    process.join()
    if case["ended_by"] == "stop":
        # In the last step it comes too late: then the run is done.
        assert run.status == ("completed" if end_at == last else "stopped"), run.log()
        change_control(run.paths.control, stop=None, paused=False)  # as resuming does
    else:
        assert process.exitcode == -signal.SIGKILL
        assert run.status == "lost"
    if run.status != "completed":
        assert _live(str(run.dir), case, None), run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)
    assert run.state().saved_step == clean.state().saved_step
    assert run.state().ending_reason == clean.state().ending_reason


def test_what_a_case_says_happens(make_case):
    """The cases differ in what they say they do: none of them compares a plain run with itself."""
    plain = dict.fromkeys(_FACTORS) | {k: v[0] for k, v in _OPTIONS.items()}
    _, clean = make_case(plain)
    steps = [row.learning_rate for row in clean.state().steps]
    assert len(steps) == 12
    _, other = make_case(plain | {"changed": "both", "memory": "too little"})
    state = other.state()
    assert [row.step for row in state.changes] == [_RATE_AT, _EPOCHS_AT]
    assert len(state.steps) == 16
    assert "out_of_memory" in [warning.code for warning in state.warnings]
    all_words = make_case(plain | {"words": "all"})[1]
    words = [
        next(e["words"] for e in run.events() if e["type"] == "data_encoded")
        for run in (clean, all_words)
    ]
    assert words[0][0] < words[0][1] and words[1] is None
    early = [make_case(plain | {"patience": 1, "technique": name})[1] for name in ("full", "head")]
    assert "early_stopping" in [run.state().ending_reason for run in early]
    assert not _pairs_of(tuple(_CASES[0])) - set().union(*map(_pairs_of, _CASES))
