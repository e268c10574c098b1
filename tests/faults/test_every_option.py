"""Resuming equals never having stopped, whatever the options (promises R1 and R2).

Every pair of values of any two options is tried; with NBTRANSFER_ALL_FAULTS=1 every combination of
the options, each with one of the ways to end. Rows of a step are sorted by length in all of them.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest

from tests.engine.jobs import with_all_words
from tests.faults.lives import (
    EPOCHS_AT,
    RATE_AT,
    assert_disturbed_ends_as,
    live,
    pairs_of,
    pairwise,
)

if TYPE_CHECKING:
    from nbtransfer.runs.run import Run

pytestmark = pytest.mark.slow

_OPTIONS = {
    "changed": ["nothing", "rate", "epochs", "both"],
    "technique": ["full", "head", "features", "lora", "top:1"],
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


def _combined(factors: dict[str, list]) -> list[tuple]:
    """Return all combinations; words are trained, all or some, with the technique `full` only."""
    every = itertools.product(*factors.values())
    return [case for case in every if "full" in case or "all" not in case]


def _whole() -> list[tuple]:
    ends = itertools.cycle(itertools.product(*_DISTURBANCES.values()))
    return [(*options, *next(ends)) for options in _combined(_OPTIONS)]


_cleans: dict[tuple, Run] = {}


@pytest.fixture
def make_case(make_job, two_layers, tmp_path_factory):
    """A maker of the run that a case is about, and of the same run undisturbed."""

    def make(case):
        layers = {"model": two_layers} if case["technique"] == "top:1" else {}
        options = {
            **layers,
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
            assert live(str(clean.dir), case, None), clean.log()
            _cleans[key] = clean
        return make_run("disturbed"), _cleans[key]

    return make


_CASES = (
    _whole() if os.environ.get("NBTRANSFER_ALL_FAULTS") == "1" else pairwise(_combined(_FACTORS))
)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: "-".join(map(str, case)))
def test_resumed_it_ends_with_the_bits_of_a_run_that_never_stopped(make_case, case):
    case = dict(zip(_FACTORS, case, strict=True))
    run, clean = make_case(case)
    assert_disturbed_ends_as(run, clean, case)


def test_what_a_case_says_happens(make_case):
    """The cases differ in what they say they do: none of them compares a plain run with itself."""
    plain = dict.fromkeys(_FACTORS) | {k: v[0] for k, v in _OPTIONS.items()}
    _, clean = make_case(plain)
    steps = [row.learning_rate for row in clean.state().steps]
    assert len(steps) == 12
    _, other = make_case(plain | {"changed": "both", "memory": "too little"})
    state = other.state()
    assert [row.step for row in state.changes] == [RATE_AT, EPOCHS_AT]
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
    assert not pairs_of(tuple(_CASES[0])) - set().union(*map(pairs_of, _CASES))
