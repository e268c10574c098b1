"""A run that is killed or stopped and goes on ends with the bits of one that never was."""

from __future__ import annotations

import os
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from nbtransfer.engine.products import why_not_onednn
from nbtransfer.runs.control import change_control
from nbtransfer.runs.run import Run
from tests.engine.jobs import make_run, start, work, work_until_killed

pytestmark = pytest.mark.slow


def _bits(run):
    return load_file(run.paths.model_dir / "model.safetensors")


def _rows(run):
    """The log's rows without the clock."""
    state = run.state()
    steps = [row._replace(elapsed_s=0.0) for row in state.steps]
    evaluations = [row._replace(elapsed_s=0.0) for row in state.evaluations]
    return steps, evaluations


def _assert_same(run, clean):
    ours, theirs = _bits(run), _bits(clean)
    assert ours.keys() == theirs.keys()
    assert all((ours[k] == theirs[k]).all() for k in ours)
    assert _rows(run) == _rows(clean)
    assert run.state().saved_step == clean.state().saved_step


def _wait_for(run, condition, timeout_s=60):
    end = time.monotonic() + timeout_s
    while not condition(run.state()):
        assert time.monotonic() < end, f"nothing happened: {run.log()}"
        time.sleep(0.002)


def _prepare_for_resume(run):
    change_control(run.paths.control, stop=None, paused=False)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The same job, never disturbed."""
    run = make_run(tmp_path_factory.mktemp("clean"), num_train_epochs=3)
    assert work(str(run.dir))
    return run


@pytest.mark.parametrize("kill_at", [0, 1, 7, 12, 17])
def test_sigkill_at_any_step_then_resume_ends_with_the_same_bits(tmp_path, clean, kill_at):
    run = make_run(tmp_path, num_train_epochs=3)
    process = start(run, work_until_killed, kill_at)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert run.status == "lost"
    assert work(str(run.dir)), run.log()
    assert run.status == "completed"
    _assert_same(run, clean)


def test_a_deterministic_run_resumes_to_the_same_bits_and_leaves_no_such_run_behind(
    tmp_path, clean
):
    run = make_run(tmp_path, num_train_epochs=3, deterministic=True)
    process = start(run, work_until_killed, 7)
    process.join()
    assert work(str(run.dir)), run.log()
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    _assert_same(run, clean)  # on a CPU every run is
    other = make_run(tmp_path, max_steps=1)
    assert work(str(other.dir))
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.skipif(why_not_onednn() is not None, reason="torch has no products of oneDNN here")
def test_run_on_other_products_keeps_them_and_resumes_to_the_same_bits(tmp_path, clean):
    undisturbed = make_run(tmp_path / "one", products="onednn", num_train_epochs=3)
    assert work(str(undisturbed.dir)), undisturbed.log()
    assert any("oneDNN" in note for note in undisturbed.state().notes)
    run = make_run(tmp_path / "two", products="onednn", num_train_epochs=3)
    process = start(run, work_until_killed, 7)
    process.join()
    assert work(str(run.dir)), run.log()
    assert run.plan.products == "onednn"
    assert run.status == "completed"
    _assert_same(run, undisturbed)
    ours, theirs = _bits(run), _bits(clean)
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-3) for name in ours)
    assert any((ours[name] != theirs[name]).any() for name in ours)  # they were taken at all


@pytest.mark.parametrize("stop_at", [1, 6, 9])
def test_stopped_at_a_step_it_holds_a_model_and_resumes_to_the_same_bits(tmp_path, clean, stop_at):
    run = make_run(tmp_path, num_train_epochs=3)
    process = start(run)
    _wait_for(run, lambda state: state.step >= stop_at)
    run.stop(reason="interrupt")
    process.join()
    state = run.state()
    assert run.status == "stopped"
    assert state.ending_reason == "interrupt"
    assert any(row.step == state.step for row in state.evaluations)
    assert run.report().num_rows == 12
    _prepare_for_resume(run)
    assert work(str(run.dir)), run.log()
    _assert_same(run, clean)


def test_sigterm_stops_at_a_step_boundary_and_keeps_a_model(tmp_path):
    run = make_run(tmp_path, num_train_epochs=30)
    process = start(run, _work_with_signals)
    _wait_for(run, lambda state: state.step >= 2)
    os.kill(process.pid, signal.SIGTERM)
    process.join()
    assert run.status == "stopped"
    assert run.state().ending_reason == "sigterm"
    assert (run.paths.model_dir / "model.safetensors").is_file()


def _work_with_signals(run_dir: str) -> None:
    from nbtransfer.engine.worker import StopSignal, run_job

    stop_signal = StopSignal()
    stop_signal.install()
    stop_signal.busy = True
    run_job({"job": "train", "dir": run_dir}, stop_signal, warm=True)


def _bend(run, process):
    """Change rate and length while it runs; return once both are applied."""
    _wait_for(run, lambda state: state.step >= 2)
    first = run.set(learning_rate=3e-4)
    _wait_for(run, lambda state: state.revision >= first)
    second = run.set(num_train_epochs=4)
    _wait_for(run, lambda state: state.revision >= second)


def test_live_changes_are_made_again_on_resume(tmp_path):
    bent = make_run(tmp_path / "a", num_train_epochs=12)
    process = start(bent)
    _bend(bent, process)
    process.join()
    assert bent.status == "completed"
    changes = bent.state().changes
    assert [set(row.changes) for row in changes] == [{"learning_rate"}, {"num_train_epochs"}]
    assert bent.state().num_steps == 6 * max(4, -(-changes[-1].step // 6))

    # The same life again, cut off after the changes and before a checkpoint knows of them.
    killed = make_run(tmp_path / "b", num_train_epochs=12)
    killed.paths.control.write_bytes(bent.paths.control.read_bytes())
    lines = bent.paths.events.read_bytes().splitlines(keepends=True)
    cut = next(i for i, line in enumerate(lines) if b'"num_train_epochs": [' in line)
    last = max(
        i
        for i, line in enumerate(lines)
        if i <= cut or (b'"step_completed"' in line and i < cut + 2)
    )
    # The changes may have come after the first checkpoint: this life has none.
    kept = [line for line in lines[: last + 1] if b'"checkpoint_saved"' not in line]
    killed.paths.events.write_bytes(b"".join(kept))
    assert work(str(killed.dir)), killed.log()
    _assert_same(killed, bent)
    assert [row.step for row in killed.state().changes] == [row.step for row in changes]


def test_a_pause_changes_nothing_but_the_time(tmp_path, clean):
    run = make_run(tmp_path, num_train_epochs=3)
    process = start(run)
    _wait_for(run, lambda state: state.step >= 3)
    run.pause()
    _wait_for(run, lambda state: state.paused)
    assert run.status == "paused"
    held_at = run.state().step
    time.sleep(0.3)
    assert run.state().step == held_at
    run.unpause()
    process.join()
    assert run.status == "completed"
    _assert_same(run, clean)


def test_evaluate_now_adds_an_evaluation(tmp_path):
    run = make_run(tmp_path, num_train_epochs=20)
    process = start(run)
    _wait_for(run, lambda state: state.step >= 1)
    run.evaluate_now()
    _wait_for(run, lambda state: any(row.cause == "asked" for row in state.evaluations))
    run.stop()
    process.join()
    assert run.status == "stopped"


def test_a_damaged_newest_checkpoint_is_skipped_with_the_reason(tmp_path, clean):
    run = make_run(tmp_path, num_train_epochs=3)
    start(run, work_until_killed, 14).join()
    newest = sorted(run.paths.checkpoints_dir.glob("step-*"))[-1]
    weights = newest / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    assert work(str(run.dir)), run.log()
    skipped = run.state().skipped_checkpoints
    assert skipped[0] == (newest.name, "model.safetensors differs from its sha256")
    _assert_same(run, clean)


def _work_asked(run_dir: str, kill: bool) -> None:
    """Train, asked for an evaluation after step 8 of 18; its checkpoint may be what kills."""
    from nbtransfer.engine.saving import CheckpointWriter
    from nbtransfer.engine.step import EagerStep

    take, save = EagerStep.__call__, CheckpointWriter.save

    def taken(self, rows, step):
        if step == 7 and not Run(run_dir).paths.control.exists():
            Run(run_dir).evaluate_now()
        return take(self, rows, step)

    def saved(self, folder, **keywords):
        if kill and keywords["step"] == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        save(self, folder, **keywords)

    EagerStep.__call__, CheckpointWriter.save = taken, saved
    try:
        work(run_dir)
    finally:
        EagerStep.__call__, CheckpointWriter.save = take, save


def test_an_evaluation_that_was_asked_for_is_made_again_at_its_step_on_resume(tmp_path):
    asked = make_run(tmp_path / "a", num_train_epochs=3)
    _work_asked(str(asked.dir), False)
    assert [(r.step, r.cause) for r in asked.state().evaluations][1] == (8, "asked")
    killed = make_run(tmp_path / "b", num_train_epochs=3)
    process = start(killed, _work_asked, True)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert killed.state().evaluations[-1].step == 8
    assert work(str(killed.dir)), killed.log()
    _assert_same(killed, asked)
