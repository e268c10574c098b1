"""Decoders that translate in a prompt, by the real worker's code: parity, writing, going on."""

from __future__ import annotations

import json
import shutil
import signal

import numpy as np
import pytest
import torch

from nbtransfer import api
from nbtransfer.data.encoding import IGNORED
from tests.engine.jobs import make_run, start, work, work_until_killed
from tests.engine.pairs import pairs, write_model
from tests.faults.comparing import same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow


def _run(folder, family="gpt2", num_rows=60, *, dropout=0.0, **keywords):
    model = write_model(folder / "model", family, dropout=dropout)
    return make_run(
        folder / "runs", model=model, data=pairs(num_rows), **{"learning_rate": 1e-2, **keywords}
    )


_LEARNING = {
    "learning_rate": 5e-3,
    "per_device_train_batch_size": 16,
    "eval_steps": 400,
    "eval_generate_rows": 5,
}


@pytest.fixture(scope="module", params=["gpt2", "chat"])
def learned(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    run = _run(folder, request.param, num_rows=400, num_train_epochs=20, **_LEARNING)
    assert work(str(run.dir)), run.log()
    return run


# A GPT-2 of two blocks would need minutes to learn which word stands where.
@pytest.mark.parametrize("learned", ["chat"], indirect=True)
def test_a_decoder_learns_to_translate_and_where_to_end(learned):
    report = learned.report()
    assert report.metrics["eval_chrf"] > 70
    outputs = report.predictions()["output"].to_pylist()
    assert len(outputs) == 80 and all(outputs)
    assert learned.state().verified
    assert learned.data_card.settings["prompt"].startswith("Translate from English to French.")


def test_the_prompt_is_kept_with_the_model_and_the_folder_works_elsewhere(learned, tmp_path):
    kept = json.loads((learned.paths.model_dir / "decision.json").read_text())
    assert kept["prompt"] == learned.data_card.settings["prompt"]
    readme = (learned.paths.model_dir / "README.md").read_text()
    assert "    English: {source}\n    French:" in readme
    shutil.copytree(learned.dir, tmp_path / "moved")
    table = learned.report().predictions()
    sources = table["source"].to_pylist()[:5]
    found = api.predict(api.open_run(tmp_path / "moved"), sources)
    assert [one.text for one in found] == table["output"].to_pylist()[:5]


def test_a_user_who_asks_in_the_prompt_gets_the_same(learned):
    model, tokenizer = api.load_model(learned)
    table = learned.report().predictions()
    prompt = json.loads((learned.paths.model_dir / "decision.json").read_text())["prompt"]
    for row in table.slice(0, 5).to_pylist():
        source, output = row["source"], row["output"]
        text = prompt.replace("{source}", source)
        if tokenizer.chat_template:
            text = tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
            )
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.inference_mode():
            written = model.generate(**ids)[0, ids["input_ids"].shape[1] :]
        assert tokenizer.decode(written, skip_special_tokens=True).strip() == output


@pytest.mark.parametrize("num_beams", [1, 3])
def test_what_is_written_does_not_depend_on_the_batch(learned, num_beams):
    from accelerate import Accelerator

    from nbtransfer.data.encode import batches_of
    from nbtransfer.engine.evaluate import score_rows
    from nbtransfer.engine.objectives import Continuation
    from nbtransfer.runs.files import read_table
    from nbtransfer.tasks.translation import Translation

    model, tokenizer = api.load_model(learned)
    table = read_table(learned.paths.split("validation"))
    task, card = Translation(), learned.data_card
    encoded = batches_of(task.encode(tokenizer, table, 32, card), tokenizer)
    bare = batches_of(task.encode(tokenizer, table.select(["source"]), 32, card), tokenizer)
    accelerator = Accelerator(cpu=True)
    found = [
        score_rows(accelerator, model, rows, Continuation(num_beams, 8), size)
        for rows, size in ((encoded, 1), (encoded, 7), (encoded, 40), (bare, 7))
    ]
    for other in found[1:]:
        for part in ("values", "offsets"):
            ours, theirs = (getattr(x.answers["generated"], part) for x in (other, found[0]))
            assert np.array_equal(ours, theirs)
    assert found[1].loss == pytest.approx(found[0].loss, rel=1e-5)


def test_killed_and_resumed_with_adapters_it_ends_with_the_same_bits(tmp_path):
    options = {"technique": "lora", "dropout": 0.1, "num_train_epochs": 2}
    clean = _run(tmp_path / "a", **options)
    assert work(str(clean.dir)), clean.log()
    run = _run(tmp_path / "b", **options)
    process = start(run, work_until_killed, 9)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert work(str(run.dir)), run.log()
    assert same_bits(run, clean) and same_last_checkpoint(run, clean)


def test_a_batch_that_is_cut_in_parts_learns_the_same(tmp_path):
    options = {"max_steps": 5, "validation": False}
    whole = _run(tmp_path / "a", **options)
    parts = _run(
        tmp_path / "b", per_device_train_batch_size=2, gradient_accumulation_steps=4, **options
    )
    for run in (whole, parts):
        assert work(str(run.dir)), run.log()
    losses = [[row.loss for row in run.state().steps] for run in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "chat"])
def test_losses_are_those_of_trainer(tmp_path, family):
    """Same weights, rows, order and schedule; the rows are put together here, not by the task."""
    from torch.utils.data import SequentialSampler
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainingArguments,
    )

    from nbtransfer.engine.batching import StepRows
    from nbtransfer.runs.files import read_table

    run = _run(
        tmp_path, family, max_steps=10, warmup_steps=0, eval_steps=10, metric_for_best_model="loss"
    )
    assert work(str(run.dir)), run.log()
    ours = [row.loss for row in run.state().steps]
    tokenizer = AutoTokenizer.from_pretrained(run.model_card.location)
    tokenizer.pad_token = tokenizer.eos_token

    def encoded(split):
        table = read_table(run.paths.split(split))
        rows = []
        for row in table.to_pylist():
            source, target = row["source"], row["target"]
            text = f"Translate from English to French.\nEnglish: {source}\nFrench:"
            if family == "chat":
                text = f"<s> {text} </s> <s>"
            asked = tokenizer(text)["input_ids"]
            written = [*tokenizer(target)["input_ids"], tokenizer.eos_token_id]
            rows.append({"input_ids": asked + written, "labels": [IGNORED] * len(asked) + written})
        return rows

    train, held = encoded("train"), encoded("validation")
    step_rows = StepRows(np.array([len(r["input_ids"]) for r in train]), 8, run.spec.seed)
    assert [len(step_rows(step)) for step in range(10)] == [8] * 10
    theirs = []

    class InOrder(Trainer):
        def _get_train_sampler(self, *_):
            return SequentialSampler(self.train_dataset)

        def training_step(self, *arguments, **keywords):
            loss = super().training_step(*arguments, **keywords)
            theirs.append(float(loss))
            return loss

    trainer = InOrder(
        model=AutoModelForCausalLM.from_pretrained(run.model_card.location, dtype=torch.float32),
        args=TrainingArguments(
            output_dir=str(tmp_path / "trainer"),
            per_device_train_batch_size=8,
            per_device_eval_batch_size=64,
            max_steps=10,
            learning_rate=1e-2,
            weight_decay=0.01,
            lr_scheduler_type="linear",
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=[train[row] for step in range(10) for row in step_rows(step)],
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
    trainer.train()
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert len(ours) == 10 and ours[-1] < ours[0]
    found = trainer.evaluate(held)
    assert run.report().metrics["eval_loss"] == pytest.approx(found["eval_loss"], rel=1e-5)
