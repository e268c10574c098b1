"""A run that has lost every checkpoint says so before it trains, and starts over only when told to
(promise R6)."""

from __future__ import annotations

import shutil

import pytest

from nbtransfer import jobs
from nbtransfer.errors import RunError
from nbtransfer.panels.run_card import card_bundle
from nbtransfer.panels.run_view import About
from nbtransfer.runs import launch
from tests.engine.jobs import start, work, work_until_killed
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def killed(tmp_path, make_job):
    """A run that lost its worker at step 9 of 12, after two checkpoints."""
    run = make_job(tmp_path)
    start(run, work_until_killed, 9).join()
    return run


def _ruin(run):
    for path in run.paths.checkpoints_dir.glob("*/model.safetensors"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


def _remove(run):
    shutil.rmtree(run.paths.checkpoints_dir)


def _assert_refused(run):
    events = len(list(run.events()))
    assert not work(str(run.dir))
    new = [event["type"] for event in run.events()][events:]
    assert new == ["worker_started", "phase_started", "checkpoints_lost", "run_failed"]
    assert run.state().error_type == "NoGoodCheckpoint"
    return run.state().error_message


@pytest.mark.parametrize(
    ("lose", "named"),
    [
        (_ruin, "step-000008 (model.safetensors differs from its sha256); step-000004 (model"),
        (_remove, "step-000008 (it is missing)"),
    ],
)
def test_it_is_refused_before_anything_is_loaded_and_says_what_to_do(killed, lose, named):
    lose(killed)
    for _ in range(2):  # the second time too
        message = _assert_refused(killed)
        assert f"no checkpoint of run {killed.id!r} is good any more: {named}" in message
        assert f"begin again at step 0: %finetune --resume {killed.reference} --allow" in message
        with pytest.raises(RunError, match="no checkpoint of run") as caught:
            killed.raise_if_failed()
        assert "Go on" not in str(caught.value)
        words = card_bundle(About.of(killed), killed.state(), killed.status, killed.dir).data
        assert f"%finetune --resume {killed.reference} --allow" in words["text/plain"]
        assert "Go on from" not in words["text/plain"]


@pytest.mark.parametrize("lose", [_ruin, _remove])
def test_told_to_begin_again_it_ends_with_the_same_bits(killed, clean, lose):
    lose(killed)
    _assert_refused(killed)
    assert work(str(killed.dir), restart=True), killed.log()
    assert killed.status == "completed"
    assert killed.state().resumed_from == 0
    assert same_bits(killed, clean)
    assert same_last_checkpoint(killed, clean)
    assert rows(killed) == rows(clean)


def test_having_begun_again_it_need_not_be_told_twice(killed, clean):
    _ruin(killed)
    start(killed, _begin_again_and_die).join()
    assert killed.status == "lost"
    assert not killed.state().checkpoints
    with pytest.raises(RunError, match="There is no checkpoint yet"):
        killed.raise_if_failed()
    assert work(str(killed.dir)), killed.log()
    assert same_bits(killed, clean)
    assert rows(killed) == rows(clean)


def _begin_again_and_die(run_dir):
    from nbtransfer.runs.faults import plan_faults

    plan_faults("step.forward:3:kill")
    work(run_dir, restart=True)


def test_a_good_checkpoint_is_gone_on_from_though_it_was_told_to_begin_again(killed, clean):
    assert work(str(killed.dir), restart=True), killed.log()
    assert killed.state().resumed_from == 8
    assert same_bits(killed, clean)


def test_a_good_copy_put_back_is_gone_on_from(killed, clean, tmp_path):
    shutil.copytree(killed.paths.checkpoints_dir, tmp_path / "copy")
    _ruin(killed)
    _assert_refused(killed)
    shutil.rmtree(killed.paths.checkpoints_dir)
    shutil.copytree(tmp_path / "copy", killed.paths.checkpoints_dir)
    assert work(str(killed.dir)), killed.log()
    assert killed.state().resumed_from == 8
    assert same_bits(killed, clean)
    assert rows(killed) == rows(clean)


def test_only_allow_without_changes_means_to_begin_again(killed, monkeypatch):
    handed = []
    monkeypatch.setattr(launch, "_hand_over", lambda run, *, restart: handed.append(restart))
    jobs.resume_job(killed, {}, allow=False)
    jobs.resume_job(killed, {"epochs": 5}, allow=True)
    jobs.resume_job(killed, {}, allow=True)  # nothing was refused yet
    _ruin(killed)
    _assert_refused(killed)
    jobs.resume_job(killed, {}, allow=False)
    jobs.resume_job(killed, {}, allow=True)
    assert handed == [False] * 4 + [True]
