"""A course that goes wrong is told in words while it does, in runs that do go wrong."""

from __future__ import annotations

import random

import pytest

from nbtransfer.panels import run_view
from nbtransfer.runs.state import fold
from tests.engine.jobs import reviews, work

pytestmark = pytest.mark.slow


def _said_while_it_trained(run, code):
    """The panel's text as the warning of that code came; the run trained on after it."""
    assert work(str(run.dir)), run.log()
    events = list(run.events())
    codes = [e["code"] if e["type"] == "warning_raised" else "" for e in events]
    assert code in codes, codes
    at = codes.index(code)
    assert any(e["type"] == "step_completed" for e in events[at:])
    state = fold(events[: at + 1])
    assert state.step < run.state().num_steps
    pairs = run_view.warning_pairs(run_view.About.of(run), state)
    return str(run_view.warnings_block(pairs))


def test_a_learning_rate_that_is_too_high_is_told(tmp_path, make_job):
    # The rate rises over the first steps, so that the beginning is seen before the harm.
    options = {"num_train_epochs": 8, "warmup_steps": 8, "lr_scheduler_type": "constant"}
    run = make_job(tmp_path, learning_rate=1.0, **options)
    said = _said_while_it_trained(run, "learning_rate_too_high")
    assert "probably too high: lower it with the slider now" in said


def test_a_loss_as_for_guessing_is_told(tmp_path, make_job):
    run = make_job(tmp_path, learning_rate=1e-8)
    said = _said_while_it_trained(run, "not_learning")
    assert "stays at 0.69: guessing by how often each class occurs gives 0.69" in said


def test_learning_by_heart_is_told(tmp_path, make_job):
    draw = random.Random(0)
    rows = [{**row, "label": draw.choice(["good", "bad"])} for row in reviews(40)]
    run = make_job(tmp_path, data=rows, num_train_epochs=60, eval_steps=16)
    said = _said_while_it_trained(run, "overfitting")
    assert "Training loss still falls, but validation loss has risen" in said
