"""An interrupt in any phase stops the run at a step boundary and keeps a model (promise R8)."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from nbtransfer.engine.checkpoints import damage
from nbtransfer.models.load import load_finetuned
from nbtransfer.runs import faults
from nbtransfer.runs.control import change_control
from nbtransfer.runs.run import Run
from tests.engine.jobs import work
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def interrupt_at(monkeypatch):
    """Let the kernel's interrupt come while a run is at a point, for the count-th time."""

    def plan(run, point, count):
        monkeypatch.setattr(faults, "_strike", lambda *_: run.stop(reason="interrupt"))
        faults.plan_faults(f"{point}:{count}:raise")

    yield plan
    faults.plan_faults("")


@pytest.mark.parametrize(
    ("phase", "point", "count", "stops_at"),
    [
        ("importing", "event", 2, 0),
        ("loading", "event", 3, 0),
        ("tokenizing", "event", 5, 0),
        ("forward", "step.forward", 6, 6),
        ("backward", "step.backward", 6, 6),
        ("optimizer", "step.optimizer", 6, 6),
        ("evaluation", "evaluate.batch", 2, 8),
        ("save, of the files", "checkpoint.model", 2, None),
        ("save, before its rename", "checkpoint.rename", 2, None),
    ],
)
def test_interrupted_in_a_phase_it_stops_between_steps_and_goes_on_to_the_same_bits(
    tmp_path, make_job, clean, interrupt_at, phase, point, count, stops_at
):
    run = make_job(tmp_path)
    interrupt_at(run, point, count)
    assert work(str(run.dir)), run.log()
    faults.plan_faults("")
    state = run.state()
    # A save goes on beside the steps: where it is met depends on the machine.
    if stops_at is None:
        assert state.step >= 8
    else:
        assert state.step == stops_at
    assert (run.status, state.ending_reason) in (
        [("stopped", "interrupt")]
        if state.step < 12
        else [("stopped", "interrupt"), ("completed", "finished")]
    )
    assert damage(run.paths.checkpoint(state.step)) is None
    assert any(row.step == state.step for row in state.evaluations)
    assert state.verified and run.report().num_rows == 8
    model, tokenizer = load_finetuned(run.paths.model_dir, "AutoModelForSequenceClassification")
    assert model(**tokenizer(["a warm film"], return_tensors="pt")).logits.shape == (1, 2)
    if run.status == "stopped":
        change_control(run.paths.control, stop=None, paused=False)  # as resuming does
        assert work(str(run.dir)), run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)


def test_interrupted_while_the_model_is_saved_it_is_done(tmp_path, make_job, clean, interrupt_at):
    run = make_job(tmp_path)
    interrupt_at(run, "export.write", 1)
    assert work(str(run.dir)), run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)


_PREPARE = """
%load_ext nbtransfer
from nbtransfer.runs import launch
launch._WORKER_MODULE = "tests.faults.forking_worker"
words = ["lovely", "bright", "warm"], ["dull", "cold", "slow"]
rows = [{"text": f"a {words[i % 2][i % 3]} film", "label": i % 2} for i in range(80)]
"""
_START = "run = %finetune {model} rows --epochs {epochs} --eval-steps {every} --name {name}"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory, mini_model):
    """A real kernel, whose workers stand still for seconds where a test says so."""
    folder = tmp_path_factory.mktemp("kernel")
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "NBTRANSFER_RUNS_DIR": str(folder / "runs"),
    }
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=environment)
    try:
        kernel = _Kernel(manager, client, folder / "runs", mini_model)
        assert kernel.reply(kernel.start(_PREPARE))["status"] == "ok"
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


class _Kernel:
    """A kernel as a notebook uses it, without a front end that could draw widgets."""

    def __init__(self, manager, client, runs_dir, model):
        self.manager, self.client, self.runs_dir, self.model = manager, client, runs_dir, model

    def start(self, code):
        return self.client.execute(code, allow_stdin=False)

    def reply(self, request, timeout=60):
        deadline = time.monotonic() + timeout
        while True:
            answer = self.client.get_shell_msg(timeout=max(deadline - time.monotonic(), 0.01))
            if answer["parent_header"]["msg_id"] == request:
                return answer["content"]

    def value(self, expression):
        """The value of an expression in the kernel, as text."""
        request = self.client.execute("", user_expressions={"it": expression}, allow_stdin=False)
        return self.reply(request)["user_expressions"]["it"]["data"]["text/plain"]

    def begin(self, name, hangs="", epochs=900, every=100_000):
        self.runs_dir.mkdir(exist_ok=True)
        folder = self.runs_dir / name
        folder.with_suffix(".faults").write_text(hangs)
        line = _START.format(model=self.model, name=name, epochs=epochs, every=every)
        request = self.start(line)
        _wait_for((folder / "spec.json").is_file)
        return request, Run(folder)


def _wait_for(condition, timeout=120):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def _has(run, type_, **fields):
    """Whether the run's log has such an event."""
    return lambda: any(
        e["type"] == type_ and all(e[name] == value for name, value in fields.items())
        for e in run.events()
    )


def test_a_second_interrupt_frees_the_cell_within_a_second_while_the_worker_saves(kernel):
    request, run = kernel.begin("twice", "checkpoint.staging:1:hang 6")
    _wait_for(lambda: run.state().step >= 3)
    kernel.manager.interrupt_kernel()
    _wait_for(_has(run, "control_applied"))
    assert run.status == "running"
    began = time.monotonic()
    kernel.manager.interrupt_kernel()
    assert kernel.reply(request)["status"] == "ok"
    took = time.monotonic() - began
    assert run.status == "running", "the worker was done before the cell was freed"
    assert took < 1.0
    assert kernel.value("6 * 7") == "42"
    assert kernel.value("run.status") == "'running'"
    run.wait(timeout_s=60)
    _assert_kept(run)
    assert kernel.value("run.status") == "'stopped'"


def _assert_kept(run):
    state = run.state()
    assert run.status == "stopped"
    assert state.ending_reason == "interrupt"
    assert damage(run.paths.checkpoint(state.step)) is None
    assert state.verified


@pytest.mark.parametrize(
    ("name", "hangs", "event", "step"),
    [
        ("loading", "event:4", ("phase_started", {"phase": "loading"}), 0),
        ("evaluating", "evaluate.batch:1", ("phase_started", {"phase": "evaluating"}), 4),
        ("saving", "checkpoint.staging:1", ("evaluation_completed", {}), 4),
    ],
)
def test_an_interrupt_in_a_phase_stops_the_run_and_keeps_a_model(kernel, name, hangs, event, step):
    request, run = kernel.begin(name, f"{hangs}:hang 1.5", every=4)
    _wait_for(_has(run, event[0], **event[1]))
    kernel.manager.interrupt_kernel()
    assert kernel.reply(request)["status"] == "ok"
    # It is taken at the next boundary: the one after the phase, where steps go on beside it later.
    assert run.state().step >= step
    assert kernel.value("run.status") == "'stopped'"
    _assert_kept(run)


def test_an_interrupt_while_the_record_is_drawn_lets_it_be_drawn_whole(kernel, tmp_path):
    drawing, go_on = tmp_path / "drawing", tmp_path / "go-on"
    slow = f"""
import pathlib, time
from nbtransfer.panels import show
bundles = show.record_bundles

def slow(run, status):
    pathlib.Path({str(drawing)!r}).touch()
    while not pathlib.Path({str(go_on)!r}).exists():
        time.sleep(0.01)
    return bundles(run, status)

show.record_bundles = slow
"""
    assert kernel.reply(kernel.start(slow))["status"] == "ok"
    request, _ = kernel.begin("drawing", epochs=1)
    _wait_for(drawing.exists)
    kernel.manager.interrupt_kernel()
    time.sleep(0.2)
    go_on.touch()
    assert kernel.reply(request)["status"] == "ok"
    assert kernel.value("run.status") == "'completed'"
    assert kernel.value("show._OPEN") == "{}"
