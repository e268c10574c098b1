"""There is always a good checkpoint, and the best is kept (promise R18)."""

from __future__ import annotations

import signal
from itertools import count

import pytest

from nbtransfer.engine import checkpoints, train
from nbtransfer.engine.checkpoints import damage, newest_checkpoint
from nbtransfer.runs.faults import plan_faults
from tests.engine.jobs import start, work, work_with_faults
from tests.faults.comparing import rows, same_bits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def often(make_job, tmp_path_factory):
    """The job with an evaluation every two steps: six saves, of which three are pruned."""
    run = make_job(tmp_path_factory.mktemp("often"), eval_steps=2)
    assert work(str(run.dir))
    return run


def _steps(run):
    return sorted(int(path.name[-6:]) for path in run.paths.checkpoints_dir.iterdir())


def test_the_last_two_and_the_best_are_left(often):
    best = often.state().best_evaluation.step
    assert _steps(often) == sorted({best, 10, 12})
    assert all(damage(path) is None for path in often.paths.checkpoints_dir.iterdir())


def test_the_best_is_kept_though_it_is_the_oldest(tmp_path, make_job, monkeypatch):
    worse = count(1)  # at each evaluation; what was measured first stays the best
    monkeypatch.setattr(train, "worth", lambda *_: -float(next(worse)))
    run = make_job(tmp_path, eval_steps=2, num_train_epochs=4)
    assert work(str(run.dir)), run.log()
    assert run.state().best_evaluation.step == 2
    assert _steps(run) == [2, 14, 16]
    assert all(damage(path) is None for path in run.paths.checkpoints_dir.iterdir())
    assert run.state().saved_step == 2


def test_with_a_limit_of_one_there_is_always_a_good_one(tmp_path, make_job, often, monkeypatch):
    monkeypatch.setattr(checkpoints, "KEEP", 1)
    run = make_job(tmp_path, eval_steps=2)
    plan_faults("checkpoint.rename:4:eio")  # the fourth save fails once its files are written
    try:
        assert work(str(run.dir)), run.log()
    finally:
        plan_faults("")
    assert _steps(run) == sorted({often.state().best_evaluation.step, 12} - {8})
    assert newest_checkpoint(run.paths.checkpoints_dir) == (run.paths.checkpoint(12), ())
    assert same_bits(run, often)


@pytest.mark.parametrize("count", [1, 2])
def test_one_that_cannot_be_removed_is_removed_with_the_next(tmp_path, make_job, often, count):
    run = make_job(tmp_path, eval_steps=2)
    plan_faults(f"checkpoint.prune:{count}:eio")
    try:
        assert work(str(run.dir)), run.log()
    finally:
        plan_faults("")
    assert [row.step for row in run.state().checkpoints] == [2, 4, 6, 8, 10, 12]
    assert run.state().warnings == often.state().warnings
    assert _steps(run) == _steps(often)
    assert same_bits(run, often)


@pytest.mark.parametrize("count", [1, 3])
def test_killed_while_it_removes_one_it_goes_on_to_the_same_bits(tmp_path, make_job, often, count):
    run = make_job(tmp_path, eval_steps=2)
    process = start(run, work_with_faults, f"checkpoint.prune:{count}:kill")
    process.join()
    assert process.exitcode == -signal.SIGKILL
    found = newest_checkpoint(run.paths.checkpoints_dir)
    assert found.folder is not None and found.skipped == ()
    assert work(str(run.dir)), run.log()
    assert same_bits(run, often)
    assert rows(run) == rows(often)
    assert set(_steps(run)) >= set(_steps(often))


def test_where_the_best_could_not_be_saved_the_best_of_the_others_is_kept_and_it_is_told(
    tmp_path, make_job
):
    run = make_job(tmp_path)
    plan_faults("checkpoint.rename:1:enospc")
    assert work(str(run.dir)), run.log()
    plan_faults("")
    state = run.state()
    assert state.best_evaluation.step == 4
    values = {row.step: row.metrics["eval_accuracy"] for row in state.evaluations if row.step > 4}
    assert state.saved_step == max(values, key=lambda step: (values[step], -step))
    (warning,) = [w for w in state.warnings if w.code == "best_not_kept"]
    assert "of step 4, are gone" in warning.headline
    assert f"of step {state.saved_step}" in warning.advice


def test_one_that_somebody_took_away_at_once_is_no_reason_to_remove_others(often):
    before = _steps(often)
    checkpoints.prune(often.paths.checkpoints_dir, "step-000099", None)
    assert _steps(often) == before
