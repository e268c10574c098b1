"""A run that has lost patience has lost it for good, whatever ends its process (promise R1)."""

from __future__ import annotations

import signal

import pytest

from nbtransfer import jobs
from nbtransfer.errors import RunError
from nbtransfer.runs import launch
from tests.engine.jobs import start, work, work_until_killed, work_with_faults
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def impatient(make_job, tmp_path_factory):
    """The job with patience 1, never disturbed: it ends after 8 of its 12 steps."""
    run = make_job(tmp_path_factory.mktemp("impatient"), early_stopping_patience=1)
    assert work(str(run.dir)), run.log()
    assert (run.state().step, run.state().ending_reason) == (8, "early_stopping")
    return run


# The checkpoint of the second evaluation is whole from its rename on; then comes the export.
@pytest.mark.parametrize(
    "fault", ["checkpoint.parent:2:kill", "checkpoint.clear:2:kill", "export.write:1:kill"]
)
def test_killed_after_its_last_evaluation_it_takes_no_further_step(
    tmp_path, make_job, impatient, fault
):
    run = make_job(tmp_path, early_stopping_patience=1)
    process = start(run, work_with_faults, fault)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert work(str(run.dir)), run.log()
    assert run.state().ending_reason == "early_stopping"
    assert same_bits(run, impatient)
    assert same_last_checkpoint(run, impatient)
    assert rows(run) == rows(impatient)


@pytest.fixture
def ended(tmp_path, make_job, monkeypatch):
    """Such a run that is over, and no worker that would take it up by itself."""
    monkeypatch.setattr(launch, "_hand_over", lambda run, *, restart: None)
    run = make_job(tmp_path, early_stopping_patience=1)
    assert work(str(run.dir)), run.log()
    return run


def test_with_more_patience_it_goes_on_where_it_ended(ended, clean):
    with pytest.raises(RunError, match=r"early_stopping_patience 1 -> 2\. If meant, add --allow"):
        jobs.resume_job(ended, {"early_stopping_patience": 2}, allow=False)
    run = jobs.resume_job(ended, {"early_stopping_patience": 2}, allow=True)
    assert work(str(run.dir)), run.log()
    assert run.state().resumed_from == 8
    assert rows(run) == rows(clean)
    assert same_last_checkpoint(run, clean)


def test_with_more_epochs_patience_is_counted_anew(ended):
    run = jobs.resume_job(ended, {"epochs": 5}, allow=True)
    assert work(str(run.dir)), run.log()
    state = run.state()
    assert [row.step for row in state.evaluations][:3] == [4, 8, 12]
    assert (state.step, state.ending_reason) == (12, "early_stopping")


def test_with_less_patience_than_is_lost_already_it_ends_at_once(tmp_path, make_job, monkeypatch):
    monkeypatch.setattr(launch, "_hand_over", lambda run, *, restart: None)
    run = make_job(tmp_path, early_stopping_patience=3)
    start(run, work_until_killed, 9).join()
    run = jobs.resume_job(run, {"early_stopping_patience": 1}, allow=True)
    assert work(str(run.dir)), run.log()
    assert (run.state().step, run.state().ending_reason) == (8, "early_stopping")
