"""NaN and infinities end a run at once, and what was good is kept (promise R13)."""

from __future__ import annotations

import math
import re

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from nbtransfer.engine import export, train
from nbtransfer.engine.checkpoints import damage, newest_checkpoint
from nbtransfer.engine.saving import CheckpointWriter
from nbtransfer.engine.step import EagerStep
from nbtransfer.runs.faults import plan_faults
from nbtransfer.runs.files import read_table
from tests.engine.jobs import reviews, work
from tests.faults.comparing import rows, same_bits
from tests.faults.poison import answers_changed, scaled

pytestmark = pytest.mark.slow


def _poison(patch, what, value, at_step):
    """Put `value` into the loss, a gradient or a weight of the step of that number."""
    take = EagerStep.__call__

    def poisoned(self, rows_, step):
        if step + 1 != at_step:
            return take(self, rows_, step)
        parameter = self._learning[-1]
        if what == "gradient":
            hook = parameter.register_hook(lambda gradient: gradient * value)
            result = take(self, rows_, step)
            hook.remove()
        elif what == "loss":
            with answers_changed(self, lambda batch, output: scaled(output, value)):
                result = take(self, rows_, step)
        else:
            result = take(self, rows_, step)
        if what == "weight":
            with torch.no_grad():
                parameter[0] = value
        return result

    patch.setattr(EagerStep, "__call__", poisoned)


def _all_finite(folder):
    return all(
        bool(tensor.isfinite().all())
        for path in folder.rglob("*.safetensors")
        for tensor in load_file(path).values()
    )


@pytest.mark.parametrize(
    ("what", "value", "at_step"),
    [
        ("loss", math.nan, 7),
        ("loss", math.inf, 8),  # an evaluation follows this step
        ("gradient", math.nan, 6),
        ("gradient", math.inf, 12),  # the last
        ("weight", math.nan, 7),
        ("weight", math.nan, 8),
        ("weight", math.inf, 12),
    ],
)
def test_it_stops_keeps_the_best_and_goes_on_to_the_same_bits(
    tmp_path, make_job, clean, what, value, at_step
):
    run = make_job(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        _poison(patch, what, value, at_step)
        assert not work(str(run.dir))
    state = run.state()
    assert run.status == "failed"
    assert state.error_type == "TrainingDiverged"
    message = state.error_message
    # Weights show in the next step's loss, or when they are to be saved.
    found = int(re.search(r"at step (\d+) ", message)[1])
    assert at_step <= found <= at_step + (what == "weight")
    assert state.step <= at_step + 50
    row = state.steps[found - 1]
    assert f"learning rate {row.learning_rate:.2g}, gradient norm {row.grad_norm:.3g}" in message
    assert re.search(r"fp32; rows \d+(, \d+)+ of the training data\)\. Try a lower --lr", message)
    # What is on disk is finite and whole: checkpoints, and the best model evaluated.
    good = newest_checkpoint(run.paths.checkpoints_dir)
    assert good.folder is not None and good.skipped == ()
    assert [damage(folder) for folder in run.paths.checkpoints_dir.iterdir()].count(None) >= 1
    assert _all_finite(run.dir)
    best = max(
        (e for e in state.evaluations if math.isfinite(e.metrics["eval_loss"])),
        key=lambda e: (e.metrics["eval_accuracy"], -e.step),
    )
    assert (state.saved_choice, state.saved_step) == ("best", best.step)
    assert (run.paths.model_dir / "config.json").is_file()
    assert run.report().metrics["eval_accuracy"] == pytest.approx(best.metrics["eval_accuracy"])
    # It was the fault's doing: without it the run goes on.
    assert work(str(run.dir)), run.log()
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert rows(run) == rows(clean)


def test_before_the_first_evaluation_there_is_no_model_to_keep(tmp_path, make_job, clean):
    run = make_job(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        _poison(patch, "loss", math.nan, 2)
        assert not work(str(run.dir))
    assert run.status == "failed"
    assert not run.paths.model_dir.exists()
    assert not list(run.paths.checkpoints_dir.glob("*"))
    assert work(str(run.dir)), run.log()
    assert same_bits(run, clean)


def test_where_the_best_model_cannot_be_kept_the_run_still_tells_what_ended_it(tmp_path, make_job):
    run = make_job(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        _poison(patch, "loss", math.nan, 7)
        plan_faults("export.write:1:enospc")
        assert not work(str(run.dir))
    plan_faults("")
    state = run.state()
    assert state.error_type == "TrainingDiverged"
    assert "loss became nan at step 7" in state.error_message
    (warning,) = [w for w in state.warnings if w.code == "model_not_kept"]
    assert "the disk is full: the trained model" in warning.headline


def test_where_the_best_weights_are_no_numbers_the_best_before_them_is_kept(tmp_path, make_job):
    """An evaluation need not meet the weight that is none; the checkpoint of it does."""
    run = make_job(tmp_path)
    order: dict[float, int] = {}
    save = CheckpointWriter.save

    def poisoned(self, folder, *, learner, step, **keywords):
        if step == 8:
            with torch.no_grad():
                next(p for p in learner.parameters() if p.requires_grad)[0] = math.nan
        save(self, folder, learner=learner, step=step, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointWriter, "save", poisoned)
        # Each evaluation is better than the one before.
        rank = lambda _, metrics: order.setdefault(metrics["eval_loss"], len(order))  # noqa: E731
        for module in (train, export):
            patch.setattr(module, "worth", rank)
        assert not work(str(run.dir))
    state = run.state()
    assert state.error_type == "TrainingDiverged"
    assert [row.is_best for row in state.evaluations] == [True, True]
    assert (state.saved_choice, state.saved_step) == ("best", 4)
    assert _all_finite(run.paths.model_dir)
    (warning,) = [w for w in state.warnings if w.code == "best_not_kept"]
    assert "of step 8, are gone" in warning.headline and "of step 4" in warning.advice


def test_it_is_found_within_50_steps_however_fast_they_are(tmp_path, make_job):
    run = make_job(tmp_path, num_train_epochs=40, eval_steps=150)
    with pytest.MonkeyPatch.context() as patch:
        _poison(patch, "loss", math.nan, 20)
        patch.setattr("nbtransfer.engine.steplog._FLUSH_EVERY_S", 1e9)
        taken = []
        take = EagerStep.__call__
        patch.setattr(
            EagerStep, "__call__", lambda self, r, step: taken.append(step) or take(self, r, step)
        )
        assert not work(str(run.dir))
    assert len(taken) <= 20 + 50


def _poison_word(patch, word, model):
    """Let a loss be NaN where a batch holds `word`."""
    token = AutoTokenizer.from_pretrained(model).convert_tokens_to_ids(word)
    take = EagerStep.__call__

    def poisoned(self, rows_, step):
        def spoil(batch, output):
            return scaled(output, math.nan) if (batch["input_ids"] == token).any() else output

        with answers_changed(self, spoil):
            return take(self, rows_, step)

    patch.setattr(EagerStep, "__call__", poisoned)


def _marked_reviews(at):
    found = reviews(20)
    found[at]["text"] += " zebra"
    return found, {}


def _marked_sentences(at):
    """Sentences of several windows each, of which the last one holds the word."""
    words = ["ada", "moved", "to", "oslo", *["and", "so", "on"] * 6]
    tokens = [[*words, str(row), "zebra" if row == at else "."] for row in range(20)]
    tags = [["B-PER", "O", "O", "B-LOC", *["O"] * (len(row) - 4)] for row in tokens]
    return {"tokens": tokens, "ner_tags": tags}, {"max_length": 16}


@pytest.mark.parametrize("marked", [_marked_reviews, _marked_sentences])
def test_the_rows_that_are_named_are_those_of_the_users_data(
    tmp_path, make_job, mini_model, marked
):
    """Whatever was held out, however the rest is ordered, and into how many parts a row is cut."""
    data, options = marked(14)
    run = make_job(
        tmp_path, data=data, per_device_train_batch_size=1, num_train_epochs=1, **options
    )
    kept = read_table(run.paths.split("train"))["row"].to_pylist()
    assert 14 in kept and kept.index(14) != 14
    with pytest.MonkeyPatch.context() as patch:
        _poison_word(patch, "zebra", mini_model)
        assert not work(str(run.dir))
    message = run.state().error_message
    assert "fp32; row 14 of the training data). Try a lower --lr" in message
