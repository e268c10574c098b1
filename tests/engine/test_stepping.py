"""Which way steps are taken in a worker, and whole runs that take them packed (on a CPU)."""

from __future__ import annotations

import json
import os
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from nbtransfer.engine import stepping
from nbtransfer.engine.graphed import GraphedStep
from nbtransfer.models import packing
from nbtransfer.runs.control import change_control
from nbtransfer.spec import RunSpec
from tests.engine.jobs import make_run, start, work
from tests.engine.packed_jobs import accelerator_of, encoded_rows
from tests.models.families import ROWS, SPANS, TOKENS, tiny_model


def loaded(**changes):
    """What a worker has loaded, where the machine has everything; `changes` take some away."""
    accelerator = SimpleNamespace(
        device=torch.device("cuda"), mixed_precision="bf16", num_processes=1
    )
    for name in ("device", "mixed_precision", "num_processes"):
        setattr(accelerator, name, changes.pop(name, getattr(accelerator, name)))
    model = changes.get("learner", tiny_model("bert"))
    return SimpleNamespace(
        accelerator=accelerator, learner=model, train=SimpleNamespace(encoded=encoded_rows())
    )


def usable_kind(planned, worker, log):
    return stepping.usable_kind(
        planned, worker.accelerator, worker.learner, worker.train.encoded, log
    )


class Log:
    def __init__(self):
        self.events = []

    def append(self, kind, **fields):
        self.events.append((kind, fields))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device": torch.device("cpu")}, "no CUDA device"),
        ({"mixed_precision": "fp16"}, "this run has fp16"),
        ({"mixed_precision": "no"}, "this run has no"),
        ({"num_processes": 2}, "one device"),
        ({"learner": tiny_model("mpnet")}, "mpnet models have"),
        ({"learner": tiny_model("bert", num_attention_heads=8)}, "4 features"),
    ],
)
def test_a_worker_that_cannot_capture_says_why_and_takes_eager_steps(changes, reason):
    log = Log()
    assert usable_kind("graphed", loaded(**changes), log) == "eager"
    ((kind, fields),) = log.events
    assert (kind, fields["field"], fields["new"]) == ("plan_changed", "step_kind", "eager")
    assert reason in fields["reason"]


def test_packed_answers_that_differ_from_padded_ones_are_not_trained_on(monkeypatch):
    log, worker = Log(), loaded()
    monkeypatch.setattr(stepping, "packing_gap", lambda *_: 0.2)
    assert usable_kind("graphed", worker, log) == "eager"
    assert "packed and padded answers differ by 20.0%" in log.events[0][1]["reason"]
    monkeypatch.setattr(stepping, "packing_gap", lambda *_: float("nan"))
    assert usable_kind("graphed", worker, log) == "eager"
    monkeypatch.setattr(stepping, "packing_gap", lambda *_: 0.005)
    assert usable_kind("graphed", worker, log) == "graphed"
    assert len(log.events) == 2


def test_eager_is_taken_without_a_question():
    log = Log()
    assert usable_kind("eager", loaded(), log) == "eager"
    assert log.events == []


@pytest.mark.parametrize("head", [ROWS, TOKENS, SPANS])
def test_the_gap_is_rounding_where_attention_is_right_and_large_where_it_is_not(head, monkeypatch):
    labels = {"num_labels": 2} if head == SPANS else {}
    model = tiny_model("roberta", head, **labels)
    encoded, accelerator = encoded_rows(), accelerator_of("cpu")
    assert stepping.packing_gap(accelerator, model, encoded) < 1e-5
    whole = packing.pieces_of
    monkeypatch.setattr(packing, "pieces_of", lambda lengths: whole([sum(lengths)]))
    assert stepping.packing_gap(accelerator, model, encoded) > stepping._CLOSE


def test_compiling_is_for_runs_long_enough_to_repay_it(monkeypatch):
    base = SimpleNamespace(num_hidden_layers=12, hidden_size=768)
    small = SimpleNamespace(num_hidden_layers=6, hidden_size=384)
    monkeypatch.setattr(stepping.importlib.util, "find_spec", lambda name: object())
    assert not stepping.compiling_pays(3_000, 16_320, base)
    assert stepping.compiling_pays(5_000, 16_320, base)
    assert not stepping.compiling_pays(30_000, 400, base)
    assert not stepping.compiling_pays(5_000, 16_320, small)
    monkeypatch.setattr(stepping.importlib.util, "find_spec", lambda name: None)
    assert not stepping.compiling_pays(10**9, 16_320, base)


@pytest.mark.parametrize("deterministic", [False, True])
def test_nothing_is_compiled_where_bits_must_not_depend_on_what_was_fastest(
    deterministic, monkeypatch
):
    made = {}
    monkeypatch.setattr(stepping, "GraphedStep", lambda **arguments: made.update(arguments))
    monkeypatch.setattr(stepping, "compiling_pays", lambda *_: True)
    worker = loaded()
    worker.accelerator = accelerator_of("cpu")
    spec = RunSpec(model="m", data="d", deterministic=deterministic)
    stepping.make_step(
        "graphed",
        loaded=worker,
        learner=worker.learner,
        optimizer=None,
        objective=None,
        step_rows=None,
        micro_batch_size=8,
        run=SimpleNamespace(spec=spec, plan=SimpleNamespace(num_steps=10)),
    )
    assert made["compiles"] is not deterministic
    assert made["recorder"] is None


@pytest.mark.slow
def test_a_run_planned_with_graphs_trains_eagerly_where_there_are_none(tmp_path):
    run = packed_run(tmp_path)
    assert work(str(run.dir)), run.log()
    changed = [e for e in run.events() if e["type"] == "plan_changed"]
    assert [(e["field"], e["new"]) for e in changed] == [("step_kind", "eager")]
    assert run.state().step_kind == "eager"


@pytest.mark.slow
@pytest.mark.parametrize("technique", ["head", "top:1"])
def test_a_run_that_falls_back_computes_frozen_layers_once(tmp_path, technique):
    run = packed_run(tmp_path, technique=technique)
    assert work(str(run.dir)), run.log()
    kinds = [event["type"] for event in run.events()]
    assert kinds.index("plan_changed") < kinds.index("frozen_layers_computed")


@pytest.mark.slow
def test_packed_steps_go_through_frozen_layers_that_are_not_kept(tmp_path):
    run = packed_run(tmp_path, technique="head")
    assert train(run) == 0, run.log()
    assert "frozen_layers_computed" not in [event["type"] for event in run.events()]
    assert run.state().step_kind == "graphed"


def packed_run(folder, **keywords):
    """Write a run whose plan is to take packed steps, which no plan on a CPU is."""
    run = make_run(folder, num_train_epochs=3, **keywords)
    plan = json.loads(run.paths.plan.read_text())
    run.paths.plan.write_text(json.dumps({**plan, "step_kind": "graphed"}))
    return type(run)(run.dir)


def work_packed(run_dir: str, at_step: int = -1, how: str = "") -> None:
    """Train with packed steps; at a step, be killed or be stopped by the control file."""
    take = GraphedStep.__call__

    def taken(self, rows, step):
        if step == at_step and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if step == at_step and how == "stop":
            change_control(type(run)(run.dir).paths.control, stop="interrupt")
        if step == at_step and how == "pause":
            change_control(run.paths.control, paused=True)
            # The loop's own way of waiting ends the pause.
            time.sleep = lambda _: change_control(run.paths.control, paused=False)
        if step == at_step and how == "slide":
            change_control(run.paths.control, learning_rate=3e-4)
        return take(self, rows, step)

    from nbtransfer.runs.run import Run

    run = Run(run_dir)
    stepping._why_not_graphed = lambda *_: None
    GraphedStep.__call__ = taken
    assert work(run_dir)


def last_bits(run):
    name = run.paths.checkpoint(run.state().step).name
    parts = ("model.safetensors", "optimizer.safetensors")
    return [load_file(run.paths.checkpoints_dir / name / part) for part in parts]


def same_bits(run, clean) -> bool:
    pairs = zip(last_bits(run), last_bits(clean), strict=True)
    losses = [[row.loss for row in r.state().steps] for r in (run, clean)]
    return losses[0] == losses[1] and all(
        ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
        for ours, theirs in pairs
    )


def train(run, *arguments):
    process = start(run, work_packed, *arguments)
    process.join()
    return process.exitcode


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    run = packed_run(tmp_path_factory.mktemp("packed"))
    assert train(run) == 0, run.log()
    return run


@pytest.mark.slow
def test_a_packed_run_learns_saves_and_reports(clean):
    state = clean.state()
    assert (clean.status, state.step_kind) == ("completed", "graphed")
    assert state.steps[-1].loss < state.steps[0].loss
    assert state.verified


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_packed_run_that_was_ended_goes_on_to_the_same_bits(tmp_path, clean, how):
    run = packed_run(tmp_path)
    train(run, 8, how)
    assert run.status == {"kill": "lost", "stop": "stopped"}[how]
    change_control(run.paths.control, stop=None)
    assert train(run) == 0, run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)


@pytest.mark.slow
def test_a_packed_run_that_was_paused_ends_with_the_same_bits(tmp_path, clean):
    run = packed_run(tmp_path)
    assert train(run, 8, "pause") == 0, run.log()
    kinds = [event["type"] for event in run.events()]
    assert kinds.index("run_paused") < kinds.index("run_unpaused")
    assert same_bits(run, clean)


@pytest.mark.slow
def test_the_live_rate_reaches_packed_steps(tmp_path, clean):
    run = packed_run(tmp_path)
    assert train(run, 5, "slide") == 0, run.log()
    ours, theirs = run.state().steps, clean.state().steps
    assert [row.loss for row in ours[:6]] == [row.loss for row in theirs[:6]]
    assert ours[7].learning_rate == pytest.approx(0.3 * theirs[7].learning_rate)
    assert ours[8].loss != theirs[8].loss


@pytest.mark.slow
def test_a_packed_checkpoint_is_not_taken_up_by_eager_steps(tmp_path):
    run = packed_run(tmp_path)
    train(run, 8, "stop")
    change_control(run.paths.control, stop=None)
    assert not work(str(run.dir))  # the worker in this process finds no CUDA
    assert "step kind 'graphed'" in run.state().error_message
