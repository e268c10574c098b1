"""How long the second job waits: its worker is warm, and has the model."""

from __future__ import annotations

import time

import pytest

import nbtransfer as nt
from nbtransfer.runs.events import read_events

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]


@pytest.mark.parametrize("model", ["demo:bert-tiny", "demo:minilm"])
def test_the_second_run_and_the_second_answer_hardly_wait(model, tmp_path):
    """From the call until the first step stands in the log, on a machine at rest."""
    to_first_step, to_answer = [], []
    for seed in range(2):
        asked = time.time()
        run = nt.finetune(
            model, "demo:tweets", max_steps=3, seed=seed, runs_dir=tmp_path, show=False
        )
        first = next(e for e in read_events(run.paths.events) if e["type"] == "step_completed")
        to_first_step.append(first["time"] - asked)
    for _ in range(2):
        asked = time.time()
        nt.predict(run, ["a lovely day", "never again"])
        to_answer.append(time.time() - asked)
    print(
        f"{model}: first step after {to_first_step[0]:.2f} s, then {to_first_step[1]:.2f} s; "
        f"an answer after {to_answer[0]:.2f} s, then {to_answer[1]:.2f} s"
    )
    assert to_first_step[1] < 1.5
    assert to_answer[1] < 0.5
