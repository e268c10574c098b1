"""A run goes on as the job it was begun as, and as no other (promises R7, R16, R17)."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket

import pyarrow as pa
import pytest

from nbtransfer import jobs
from nbtransfer.engine.checkpoints import read_state
from nbtransfer.errors import RunError
from nbtransfer.runs import launch
from nbtransfer.runs.files import read_json, read_table, write_json, write_table
from nbtransfer.runs.lock import try_lock
from nbtransfer.runs.run import Run
from nbtransfer.runs.store import remove_run
from tests.engine.jobs import start, work, work_until_killed
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def killed(tmp_path, make_job):
    """A run that lost its worker at step 9 of 12, after two checkpoints."""
    run = make_job(tmp_path)
    start(run, work_until_killed, 9).join()
    return run


@pytest.fixture
def submitted(monkeypatch):
    """Runs handed to a worker, which does not come."""
    handed = []
    monkeypatch.setattr(launch, "_hand_over", lambda run, *, restart: handed.append(run))
    return handed


def _refusal(run):
    assert not work(str(run.dir))
    return Run(run.dir).state().error_message


def test_a_changed_row_is_refused(killed):
    path = killed.paths.split("train")
    table = read_table(path)
    texts = table["text"].to_pylist()
    write_table(path, table.set_column(0, "text", pa.array([texts[0] + "!", *texts[1:]])))
    assert "train rows" in _refusal(killed)


def test_a_row_of_the_validation_split_with_a_new_word_is_refused(killed):
    path = killed.paths.split("validation")
    table = read_table(path)
    texts = table["text"].to_pylist()
    write_table(path, table.set_column(0, "text", pa.array([*texts[:-1], "a zebra"])))
    assert "validation rows" in _refusal(killed)


def test_other_word_vectors_to_train_are_refused(killed):
    """Their number is a shape in the checkpoint: it is compared before the tensors are."""
    plan = read_json(killed.paths.plan)
    write_json(killed.paths.plan, {**plan, "trains_used_words": False})
    message = _refusal(killed)
    assert "words that learn 'those used' -> None" in message
    assert "another job" in message


def test_another_order_by_the_plan_is_refused(killed):
    plan = read_json(killed.paths.plan)
    assert plan["grouped_steps"] == 1
    del plan["grouped_steps"]  # as in plans of versions that always sorted 50 steps' rows
    write_json(killed.paths.plan, plan)
    assert "steps sorted by length together 1 -> None" in _refusal(killed)


def test_runs_of_a_version_that_sorted_eight_steps_and_did_not_note_it_go_on(tmp_path, make_job):
    run = make_job(tmp_path)
    write_json(run.paths.plan, {**read_json(run.paths.plan), "grouped_steps": 8, "packed": False})
    run = Run(run.dir)
    assert work(str(run.dir)), run.log()
    (newest, *_) = sorted(run.paths.checkpoints_dir.iterdir(), reverse=True)
    assert read_state(newest)["identity"]["steps sorted by length together"] is None


def test_changed_order_is_refused(killed):
    path = killed.paths.split("train")
    table = read_table(path)
    write_table(path, table.take(list(reversed(range(table.num_rows)))))
    assert "train rows" in _refusal(killed)


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 7), ("per_device_train_batch_size", 4), ("weight_decay", 0.5), ("technique", "head")],
)
def test_a_changed_option_is_refused_with_old_and_new(killed, name, value):
    spec = read_json(killed.paths.spec)
    old = spec[name]
    write_json(killed.paths.spec, {**spec, name: value})
    message = _refusal(killed)
    assert f"{name} {old!r} -> {value!r}" in message


def test_another_learning_rate_in_the_plan_is_refused(killed):
    plan = read_json(killed.paths.plan)
    write_json(killed.paths.plan, {**plan, "learning_rate": 0.1})
    assert "learning_rate 0.003 -> 0.1" in _refusal(killed)


def test_another_revision_of_the_model_is_refused(killed):
    card = read_json(killed.paths.model_card)
    write_json(killed.paths.model_card, {**card, "revision": "abc123"})
    assert "model revision None -> 'abc123'" in _refusal(killed)


def test_another_tokenizer_is_refused(killed, tmp_path):
    card = read_json(killed.paths.model_card)
    other = tmp_path / "tokenizer.json"
    shutil.copy(card["tokenizer_file"], other)
    with other.open("a") as file:
        file.write(" ")
    write_json(killed.paths.model_card, {**card, "tokenizer_file": str(other)})
    assert "tokenizer" in _refusal(killed)


def test_changed_labels_are_refused(killed):
    card = read_json(killed.paths.data_card)
    write_json(killed.paths.data_card, {**card, "label_names": card["label_names"][::-1]})
    assert "label names" in _refusal(killed)


def test_put_back_the_refused_run_goes_on_to_the_same_bits(killed, clean):
    spec = read_json(killed.paths.spec)
    write_json(killed.paths.spec, {**spec, "seed": 7})
    _refusal(killed)
    write_json(killed.paths.spec, spec)
    run = Run(killed.dir)
    assert work(str(run.dir)), run.log()
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)


def test_an_option_given_on_resuming_that_makes_another_job_is_refused(killed, submitted):
    with pytest.raises(RunError, match=r"learning_rate 0.003 -> 0.1.*Leave out learning_rate"):
        jobs.resume_job(killed, {"lr": 0.1}, allow=True)
    assert submitted == []


def test_more_epochs_are_taken_when_allowed_and_only_then(killed, submitted):
    with pytest.raises(RunError, match=r"num_train_epochs 3 -> 5\. If meant, add --allow"):
        jobs.resume_job(killed, {"epochs": 5}, allow=False)
    run = jobs.resume_job(killed, {"epochs": 5}, allow=True)
    assert submitted
    assert run.spec.num_train_epochs == 5
    assert work(str(run.dir)), run.log()
    state = run.state()
    assert state.num_steps == state.step == 5 * run.plan.steps_per_epoch
    rates = [row.learning_rate for row in state.steps]
    assert rates[9:] == sorted(rates[9:], reverse=True), "the decay is not stretched to the new end"
    assert rates[-1] > 0


def test_another_evaluation_interval_is_taken_and_changes_no_step(killed, submitted, clean):
    with pytest.raises(RunError, match=r"eval_steps None -> 3\..*add --allow"):
        jobs.resume_job(killed, {"eval_steps": 3}, allow=False)
    run = jobs.resume_job(killed, {"eval_steps": 3}, allow=True)
    assert submitted
    assert work(str(run.dir)), run.log()
    assert [row.step for row in run.state().evaluations] == [4, 8, 9, 12]
    assert rows(run)[0] == rows(clean)[0]
    assert same_last_checkpoint(run, clean)


def test_a_finished_run_is_lengthened(tmp_path, make_job, submitted):
    run = make_job(tmp_path, num_train_epochs=1)
    assert work(str(run.dir))
    with pytest.raises(RunError, match="finished"):
        jobs.resume_job(run, {}, allow=True)
    run = jobs.resume_job(run, {"epochs": 2}, allow=True)
    assert work(str(run.dir)), run.log()
    assert run.state().step == 2 * run.plan.steps_per_epoch


def test_a_moved_run_folder_goes_on(killed, clean, tmp_path):
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    shutil.move(killed.dir, moved)
    run = Run(moved)
    assert work(str(moved)), run.log()
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)


def test_a_folder_that_cannot_be_written_says_what_to_do(killed, monkeypatch, submitted):
    def refuse(path, data):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("nbtransfer.runs.files.write_bytes", refuse)
    with pytest.raises(RunError, match=r"Read-only file system.*Copy the folder"):
        launch.resume_run(killed)
    assert submitted == []


def test_of_two_workers_on_one_run_the_second_leaves_it_alone(killed, clean):
    held = try_lock(killed.paths.lock)
    before = killed.paths.events.read_bytes()
    assert work(str(killed.dir), patience_s=0.0)
    assert killed.paths.events.read_bytes() == before
    held.close()
    assert work(str(killed.dir))
    assert same_bits(killed, clean)
    assert same_last_checkpoint(killed, clean)


def test_the_lock_of_a_killed_worker_is_free(tmp_path, make_job):
    run = make_job(tmp_path)
    start(run, work_until_killed, 2).join()
    lock = try_lock(run.paths.lock)
    assert lock is not None
    lock.close()


def test_a_second_kernel_is_refused_while_the_worker_lives(killed, submitted):
    record = json.loads(killed.paths.process.read_text())
    from nbtransfer.runs.process import write_process

    write_process(killed.paths.process, os.getpid())
    here = f"running already, in process {os.getpid()} on {socket.gethostname()!r}"
    with pytest.raises(RunError, match=re.escape(here)):
        launch.resume_run(killed)
    spec = killed.paths.spec.read_bytes()
    with pytest.raises(RunError, match=re.escape(here)):
        jobs.resume_job(killed, {"epochs": 5}, allow=True)
    assert killed.paths.spec.read_bytes() == spec, "a running job was changed"
    write_json(killed.paths.process, record)
    assert not _is_running(record["pid"])
    launch.resume_run(killed)
    assert submitted == [killed]


def test_changes_are_not_written_where_another_kernel_was_quicker(killed, submitted, monkeypatch):
    spec = killed.paths.spec.read_bytes()
    monkeypatch.setattr("nbtransfer.runs.run._PATIENCE_S", 0.0)
    with try_lock(killed.paths.lock), pytest.raises(RunError, match="running already"):
        jobs.resume_job(killed, {"epochs": 5}, allow=True)
    assert killed.paths.spec.read_bytes() == spec
    assert submitted == []


def _move_away(run, ago_s=0.0):
    """Let the run's worker have been on a machine that is gone, so many seconds ago."""
    record = read_json(run.paths.process)
    boot = {"host": "preempted-7", "boot": "another", "time": record["time"] - ago_s}
    write_json(run.paths.process, {**record, **boot})
    run.paths.lock.unlink()
    lines = [json.loads(line) for line in run.paths.events.read_text().splitlines()]
    dated = [{**line, "time": line["time"] - ago_s} for line in lines]
    run.paths.events.write_text("".join(json.dumps(line) + "\n" for line in dated))
    return Run(run.dir)


def test_a_run_lost_on_another_machine_goes_on_here(killed, clean, submitted, monkeypatch):
    run = _move_away(killed, ago_s=600.0)
    assert run.status == "lost"
    with pytest.raises(RunError, match=r"lost its worker, last seen on 'preempted-7', at step 8"):
        run.wait()
    monkeypatch.setattr("nbtransfer.runs.run._PATIENCE_S", 0.0)
    with try_lock(run.paths.lock):
        assert run.status == "running"
        for refused in (lambda: jobs.resume_job(run, {}, allow=True), lambda: remove_run(run)):
            with pytest.raises(RunError, match="is running"):
                refused()
    jobs.resume_job(run, {}, allow=False)
    assert submitted == [run]
    assert work(str(run.dir)), run.log()
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)


def test_a_run_heard_of_on_another_machine_a_moment_ago_is_taken_when_allowed(killed, submitted):
    run = _move_away(killed)
    assert run.status == "running"
    with pytest.raises(RunError, match=r"was running on 'preempted-7' \d+ s ago.*--allow"):
        jobs.resume_job(run, {}, allow=False)
    assert submitted == []
    jobs.resume_job(run, {}, allow=True)
    assert submitted == [run]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
