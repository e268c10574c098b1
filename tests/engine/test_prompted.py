"""Decoders that translate in a prompt, by the real worker's code: parity, writing, going on."""

from __future__ import annotations

import json
import shutil
import signal

import numpy as np
import pytest
import torch

from nbtransfer import api
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
