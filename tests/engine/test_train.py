"""Training a real tiny model in this process."""

from __future__ import annotations

import pytest
from safetensors import SafetensorError

from nbtransfer import api
from tests.engine.jobs import make_run, work

pytestmark = pytest.mark.slow


def test_a_run_learns_saves_and_reports(tmp_path):
    run = make_run(tmp_path, num_train_epochs=6)
    assert work(str(run.dir))
    assert run.status == "completed"
    metrics = run.metrics()
    assert metrics["eval_accuracy"] >= 0.9
    assert metrics["num_steps"] == 36
    state = run.state()
    assert [row.step for row in state.steps] == list(range(1, 37))
    assert [row.step for row in state.evaluations] == [6, 12, 18, 24, 30, 36]
    assert state.steps[-1].loss < state.steps[0].loss
    report = run.report()
    assert report.metrics["eval_accuracy"] == pytest.approx(metrics["eval_accuracy"])
    assert report.predictions().num_rows == report.num_rows == 12


def test_the_kept_model_gives_the_reported_probabilities(tmp_path, capfd):
    import torch
    from transformers.utils import logging

    run = make_run(tmp_path, num_train_epochs=3)
    work(str(run.dir))
    logging.enable_progress_bar()  # the worker, which is this process here, has put them out
    capfd.readouterr()
    model, tokenizer = api.load_model(run)
    assert "Loading weights" not in capfd.readouterr().err
    assert logging.is_progress_bar_enabled()
    table = run.report().predictions()
    batch = tokenizer(table["text"].to_pylist(), padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    ours = torch.softmax(logits.double(), 1)
    reported = torch.tensor([table["p_bad"].to_pylist(), table["p_good"].to_pylist()]).T
    assert torch.allclose(ours, reported.double(), atol=1e-5)
    assert model.config.id2label == {0: "bad", 1: "good"}


def test_a_disk_too_full_for_checkpoints_is_a_warning_in_words(tmp_path, monkeypatch):
    def full(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("nbtransfer.engine.checkpoints.save_file", full)
    run = make_run(tmp_path)
    assert work(str(run.dir)), run.log()
    state = run.state()
    warning = next(row for row in state.warnings if row.code == "checkpoint_failed")
    assert "could not be written" in warning.headline
    assert "safetensors" not in warning.headline.lower()
    assert "free" in warning.advice
    assert state.checkpoints == []
    assert state.verified


def test_the_best_evaluated_model_is_kept_not_the_last(tmp_path):
    run = make_run(tmp_path, num_train_epochs=4, learning_rate=5e-3, metric_for_best_model="loss")
    work(str(run.dir))
    state = run.state()
    best = min(state.evaluations, key=lambda row: row.metrics["eval_loss"])
    assert state.saved_step == best.step
    assert run.report().metrics["eval_loss"] == pytest.approx(best.metrics["eval_loss"], rel=1e-5)


@pytest.mark.parametrize("technique", ["head", "features"])
def test_frozen_techniques_leave_the_encoder_alone(tmp_path, technique):
    import torch
    from transformers import AutoModel

    run = make_run(tmp_path, technique=technique, learning_rate=1e-2)
    work(str(run.dir))
    assert run.status == "completed", run.log()
    tuned, _ = api.load_model(run)
    before = AutoModel.from_pretrained(run.model_card.location, dtype=torch.float32).state_dict()
    encoder = tuned.encoder if technique == "features" else tuned.base_model
    after = encoder.state_dict()
    shared = [k for k in after if k.startswith("encoder") and k in before]
    assert shared
    assert all(torch.equal(after[k], before[k]) for k in shared)
    # The pooling layer of this checkpoint starts at random, so `head` trains it too.
    trained = {"head": 128 * 128 + 128 + 2 * 128 + 2, "features": 2 * 128 + 2}
    assert run.state().num_trainable_parameters == trained[technique]


def test_gradient_accumulation_changes_memory_and_nothing_else(tmp_path):
    whole = make_run(tmp_path / "a", per_device_train_batch_size=8, max_steps=4, technique="head")
    parts = make_run(
        tmp_path / "b",
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
        max_steps=4,
        technique="head",
    )
    for run in (whole, parts):
        assert work(str(run.dir))
    # Dropout is drawn per forward pass, so only its absence lets the two be compared: the head of
    # a frozen encoder has a dropout of its own, hence the tolerance.
    losses = [[row.loss for row in run.state().steps] for run in (whole, parts)]
    assert [row.num_examples for row in whole.state().steps] == [
        row.num_examples for row in parts.state().steps
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.15)


def test_early_stopping_ends_a_run_that_does_not_gain(tmp_path):
    run = make_run(tmp_path, num_train_epochs=30, early_stopping_patience=2, learning_rate=1e-7)
    work(str(run.dir))
    state = run.state()
    assert state.ending == "completed"
    assert state.ending_reason == "early_stopping"
    assert state.step < state.num_steps


def test_class_weights_shift_the_loss_towards_the_rare_class(tmp_path):
    plain = make_run(tmp_path / "a", max_steps=1, technique="head")
    heavy = make_run(
        tmp_path / "b", max_steps=1, technique="head", class_weights={"good": 9.0, "bad": 1.0}
    )
    for run in (plain, heavy):
        assert work(str(run.dir)), run.log()
    assert plain.state().steps[0].loss != heavy.state().steps[0].loss


def test_the_same_job_twice_gives_the_same_bits(tmp_path):
    from safetensors.torch import load_file

    runs = [make_run(tmp_path / name) for name in "ab"]
    for run in runs:
        work(str(run.dir))
    first, second = (load_file(run.paths.model_dir / "model.safetensors") for run in runs)
    assert first.keys() == second.keys()
    assert all((first[k] == second[k]).all() for k in first)


def test_a_run_without_validation_keeps_the_last_model(tmp_path):
    run = make_run(tmp_path, validation=False, num_train_epochs=1)
    assert work(str(run.dir)), run.log()
    state = run.state()
    assert state.saved_choice == "last"
    assert state.evaluations == []
    assert state.reports == []
    assert (run.paths.model_dir / "model.safetensors").is_file()


def test_a_loss_that_is_no_number_fails_the_run_in_words(tmp_path, monkeypatch):
    from nbtransfer.engine.step import EagerStep

    take = EagerStep.__call__

    def poisoned(self, rows, step):
        result = take(self, rows, step)
        return result._replace(loss=result.loss * float("nan")) if step == 2 else result

    monkeypatch.setattr(EagerStep, "__call__", poisoned)
    run = make_run(tmp_path)
    assert not work(str(run.dir))
    state = run.state()
    assert run.status == "failed"
    assert state.error_type == "TrainingDiverged"
    assert "became nan at step 3" in state.error_message
    assert "lower --lr" in state.error_message
