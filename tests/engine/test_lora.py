"""LoRA through the real worker's code: what is trained, kept, resumed, exported and verified."""

from __future__ import annotations

import shutil
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nbtransfer import api
from nbtransfer.errors import ModelError
from tests.engine import language_jobs
from tests.engine.jobs import (
    make_run,
    reviews,
    start,
    work,
    work_until_killed,
    write_mini_model,
)
from tests.engine.pairs import pairs, write_model
from tests.engine.question_jobs import questions
from tests.faults.comparing import same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow


def _classifier(folder, **keywords):
    return make_run(folder / "runs", technique="lora", **{"learning_rate": 1e-2, **keywords})


def _language_model(folder, **keywords):
    model = language_jobs.write_model(folder / "model", "gpt2", dropout=0.0)
    return language_jobs.make_run(folder / "runs", model, technique="lora", **keywords)


def _translator(folder, **keywords):
    model = write_model(folder / "model", "t5")
    options = {"learning_rate": 1e-2, "num_train_epochs": 2, **keywords}
    return make_run(folder / "runs", model=model, data=pairs(60), technique="lora", **options)


MAKERS = {"encoder": _classifier, "gpt2": _language_model, "t5": _translator}


@pytest.fixture(scope="module", params=MAKERS)
def trained(request, tmp_path_factory):
    run = MAKERS[request.param](tmp_path_factory.mktemp(request.param))
    assert work(str(run.dir)), run.log()
    return run


def test_the_saved_model_is_plain_and_verified(trained):
    state = trained.state()
    assert state.ending == "completed" and state.verified
    weights = load_file(trained.paths.model_dir / "model.safetensors")
    assert not [name for name in weights if "lora" in name or "base_layer" in name]
    assert "adapter/" in (trained.paths.model_dir / "README.md").read_text()
    assert any(note.startswith("LoRA r=8") for note in trained.plan.notes)


# Of demo:bert-tiny the pooling layer starts at random and is trained with the head; the plan does
# not count it.
@pytest.mark.parametrize("trained", ["gpt2", "t5"], indirect=True)
def test_the_kernel_counted_what_the_worker_trains(trained):
    assert trained.state().num_trainable_parameters == trained.plan.num_trainable_parameters


def test_checkpoints_hold_what_learns_and_nothing_else(trained):
    folder = trained.paths.checkpoints_dir / trained.state().checkpoints[-1].name
    kept = load_file(folder / "model.safetensors")
    assert sum(t.numel() for t in kept.values()) == trained.state().num_trainable_parameters
    whole = trained.paths.model_dir / "model.safetensors"
    if trained.model_card.model_type == "bert":
        assert (folder / "model.safetensors").stat().st_size < 0.1 * whole.stat().st_size


def test_base_and_adapter_answer_as_the_saved_model_does(trained):
    """The saved model equals the model that training began with, with the adapter applied."""
    import transformers
    from peft import PeftModel

    from nbtransfer.tasks.catalog import task_named

    merged, tokenizer = api.load_model(trained)
    torch.manual_seed(0)
    task = task_named(trained.data_card.task)
    config = {"num_labels": 2} if trained.data_card.label_names else {}
    base = getattr(transformers, task.auto_class).from_pretrained(
        trained.model_card.location, dtype=torch.float32, **config
    )
    beside = PeftModel.from_pretrained(base, trained.paths.model_dir / "adapter").eval()
    words = "open file" if trained.model_card.model_type == "t5" else "a lovely warm film"
    batch = tokenizer([words, "the log"], padding=True, return_tensors="pt")
    if trained.model_card.model_type == "t5":
        batch["labels"] = batch["input_ids"]
    with torch.inference_mode():
        ours, theirs = merged(**batch).logits, beside(**batch).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", MAKERS)
def test_killed_and_resumed_it_ends_with_the_same_bits(tmp_path, kind):
    clean = MAKERS[kind](tmp_path / "a", lora_dropout=0.1)
    assert work(str(clean.dir)), clean.log()
    run = MAKERS[kind](tmp_path / "b", lora_dropout=0.1)
    process = start(run, work_until_killed, clean.plan.steps_per_epoch + 1)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert work(str(run.dir)), run.log()
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)


def test_a_model_that_changed_since_the_checkpoint_is_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    run = make_run(tmp_path / "runs", model=write_mini_model(folder), technique="lora", num_rows=40)
    process = start(run, work_until_killed, 6)
    process.join()
    assert run.state().checkpoints
    weights = load_file(folder / "model.safetensors")
    name = next(n for n in weights if n.endswith("intermediate.dense.weight"))
    save_file({**weights, name: weights[name] + 1e-3}, folder / "model.safetensors")
    assert not work(str(run.dir))
    assert "pre-trained weights" in run.state().error_message


@pytest.mark.parametrize("trained", ["encoder"], indirect=True)
def test_a_run_with_adapters_is_a_model_for_the_next(trained, tmp_path):
    shutil.copytree(trained.dir.parent, tmp_path / "runs")
    found = api.predict(trained.id, ["a lovely bright film"], runs_dir=tmp_path / "runs")
    assert found[0].label in ("good", "bad")
    again = make_run(tmp_path / "runs", model=trained.id, technique="lora", num_train_epochs=1)
    assert work(str(again.dir)), again.log()


def _rows(kind):
    if kind == "several classes":
        return [{"text": r["text"], "labels": [r["label"], "any"]} for r in reviews(40)]
    if kind == "scores":
        return [{"text": r["text"], "score": len(r["text"]) / 10} for r in reviews(40)]
    if kind == "tags":
        return [
            {
                "tokens": r["text"].split(),
                "tags": ["O", "B-X"] + ["O"] * (len(r["text"].split()) - 2),
            }
            for r in reviews(40)
        ]
    if kind == "questions":
        return questions(40)
    return [r["text"] for r in reviews(40)]


@pytest.mark.parametrize(
    "kind", ["several classes", "scores", "tags", "questions", "hidden tokens"]
)
def test_every_other_task_takes_adapters_too(tmp_path, kind):
    task = "masked-language-modeling" if kind == "hidden tokens" else None
    run = make_run(
        tmp_path, data=_rows(kind), task=task, technique="lora", max_steps=3, eval_steps=3
    )
    assert work(str(run.dir)), run.log()
    assert run.state().verified and run.report().num_rows > 0
    assert (run.paths.model_dir / "adapter" / "adapter_model.safetensors").is_file()
    trained = run.state().num_trainable_parameters
    adapters = 2 * 2 * 8 * (128 + 128)  # queries and values of two layers
    assert adapters <= trained < adapters + 40_000


def test_a_layer_that_only_the_worker_can_miss_fails_in_words(tmp_path):
    import dataclasses

    from nbtransfer.runs.files import write_json

    run = _classifier(tmp_path)
    card = dataclasses.replace(run.model_card, linear_layers=())
    write_json(run.paths.model_card, card.to_json())
    spec = dataclasses.replace(run.spec, lora_target_modules="valeu")
    write_json(run.paths.spec, spec.to_json())
    assert not work(str(run.dir))
    assert ModelError.__name__ in run.log() or "no linear layer 'valeu'" in str(run.state())


@pytest.mark.parametrize("kind", MAKERS)
def test_losses_are_those_of_peft_and_trainer(tmp_path, kind):
    """Same weights, adapters, rows, order and schedule, dropout off: to 1e-5, step by step."""
    from tests.engine.peft_reference import train_with_peft

    options = {"max_steps": 10, "warmup_steps": 0, "validation": False}
    if kind == "encoder":
        from tests.engine.test_parity_trainer import without_dropout

        options["model"] = without_dropout("demo:bert-tiny", tmp_path / "still")
        run = _classifier(tmp_path, **options)
    elif kind == "gpt2":
        run = _language_model(tmp_path, **options)
    else:
        model = write_model(tmp_path / "model", "t5", dropout=0.0)
        run = make_run(
            tmp_path / "runs",
            data=pairs(60),
            technique="lora",
            learning_rate=1e-2,
            **{"model": model, **options},
        )
    ours, theirs = train_with_peft(run, tmp_path)
    assert len(ours) == len(theirs) == 10
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert ours[-1] < ours[0]
