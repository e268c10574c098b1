"""Resuming equals never having stopped, whatever the task (promises R1 and R2).

Every pair of values of any two factors is tried.
"""

from __future__ import annotations

import itertools

import pytest

from tests.faults.lives import assert_disturbed_ends_as, live, pairwise
from tests.faults.task_jobs import make_task_run

pytestmark = pytest.mark.slow

_OPTIONS = {
    "task": ["entities", "answers", "translation", "masked", "causal", "several classes", "scores"],
    "changed": ["nothing", "rate"],
    "accumulation": [1, 2],
    "memory": ["enough", "too little"],
    "patience": [None, 1],
}
_FACTORS = _OPTIONS | {"ended_by": ["kill", "stop"], "at": ["mid-epoch"]}


@pytest.mark.parametrize(
    "case",
    pairwise([*itertools.product(*_FACTORS.values())]),
    ids=lambda case: "-".join(map(str, case)),
)
def test_resumed_it_ends_with_the_bits_of_a_run_that_never_stopped(task_models, tmp_path, case):
    case = dict(zip(_FACTORS, case, strict=True))
    options = {
        "per_device_train_batch_size": 8 // case["accumulation"],
        "gradient_accumulation_steps": case["accumulation"],
        "early_stopping_patience": case["patience"],
    }
    clean, run = (
        make_task_run(tmp_path / name, task_models, case["task"], **options)
        for name in ("clean", "disturbed")
    )
    assert live(str(clean.dir), case, None), clean.log()
    assert clean.state().step >= 8
    assert_disturbed_ends_as(run, clean, case)
