"""Encoder-decoder models through the real worker's code: learning, generating, going on, parity."""

from __future__ import annotations

import signal

import numpy as np
import pytest

from nbtransfer import api
from tests.engine.jobs import make_run, start, work, work_until_killed
from tests.engine.pairs import pairs, write_model

pytestmark = pytest.mark.slow


def _run(folder, family="bart", num_rows=60, *, dropout=0.1, **keywords):
    model = write_model(folder / "model", family, dropout=dropout)
    return make_run(
        folder / "runs", model=model, data=pairs(num_rows), **{"learning_rate": 1e-2, **keywords}
    )


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learned")
    run = _run(folder, num_rows=120, num_train_epochs=40, eval_steps=240, eval_generate_rows=5)
    assert work(str(run.dir)), run.log()
    return run


def test_a_run_learns_to_translate_and_its_report_generates_for_every_row(learned):
    report = learned.report()
    assert report.metrics["eval_chrf"] > 90
    assert report.predictions()["output"].null_count == 0
    assert report.num_rows == 24
    assert learned.metrics()["eval_chrf"] == report.metrics["eval_chrf"]
    assert learned.plan.eval_generate_rows == 5
    assert any("5 of 24 validation rows" in note for note in learned.plan.notes)


def test_the_report_keeps_signatures_and_examples_and_survives_the_disk(learned):
    report = learned.report()
    assert set(report.signatures) == {"bleu", "chrf"}
    assert report.examples[0].source and report.examples[0].target
    assert "target:" in str(report)


def test_each_evaluation_tells_examples(learned):
    rows = learned.state().evaluations
    assert [len(row.examples) for row in rows] == [4] * len(rows)
    assert rows[-1].examples[0].target


def test_the_saved_model_writes_the_same_by_itself(learned):
    import torch

    model, tokenizer = api.load_model(learned)
    table = learned.report().predictions()
    batch = tokenizer(table["source"].to_pylist(), padding=True, return_tensors="pt")
    with torch.inference_mode():
        written = model.generate(batch["input_ids"], attention_mask=batch["attention_mask"])
    texts = tokenizer.batch_decode(written, skip_special_tokens=True)
    assert texts == table["output"].to_pylist()


@pytest.mark.parametrize("num_beams", [1, 3])
def test_what_is_written_does_not_depend_on_the_batch(learned, num_beams):
    from accelerate import Accelerator

    from nbtransfer.data.encode import batches_of
    from nbtransfer.engine.evaluate import score_rows
    from nbtransfer.engine.objectives import Sequence
    from nbtransfer.runs.files import read_table
    from nbtransfer.tasks.translation import Translation

    model, tokenizer = api.load_model(learned)
    table = read_table(learned.paths.split("validation"))
    encoding = Translation().encode(tokenizer, table, 32, learned.data_card)
    encoded = batches_of(encoding, tokenizer)
    found = [
        score_rows(Accelerator(cpu=True), model, encoded, Sequence(num_beams, 8), size)
        for size in (1, 5, 24)
    ]
    for other in found[1:]:
        assert np.array_equal(
            other.answers["generated"].values, found[0].answers["generated"].values
        )
        assert np.array_equal(
            other.answers["generated"].offsets, found[0].answers["generated"].offsets
        )
        assert other.loss == pytest.approx(found[0].loss, rel=1e-6)
    few = score_rows(Accelerator(cpu=True), model, encoded, Sequence(num_beams, 8), 5, 6)
    rows = np.flatnonzero(few.answers["is_generated"])
    assert len(rows) == 6
    for row in rows:
        assert np.array_equal(
            few.answers["generated"].row(row), found[0].answers["generated"].row(row)
        )


@pytest.mark.parametrize("family", ["t5", "marian"])
def test_each_family_trains_saves_and_is_verified(tmp_path, family):
    run = _run(tmp_path, family, num_train_epochs=1)
    assert work(str(run.dir)), run.log()
    state = run.state()
    assert state.verified
    # T5 was trained with its tasks in words; the languages are those of the columns.
    prefix = run.data_card.settings["prefix"]
    assert prefix == ("translate English to French: " if family == "t5" else "")
    assert run.report().num_rows == 12
    assert set(run.metrics()) >= {"eval_chrf", "eval_bleu", "eval_loss"}


def test_summaries_are_measured_by_rouge(tmp_path):
    model = write_model(tmp_path / "model", "t5")
    rows = [{"article": row["en"], "summary": row["en"].split()[0]} for row in pairs(40)]
    run = make_run(tmp_path, model=model, data=rows, num_train_epochs=1, learning_rate=1e-2)
    assert work(str(run.dir)), run.log()
    assert run.plan.metric_for_best_model == "rougeL"
    assert run.data_card.settings["prefix"] == "summarize: "
    assert set(run.metrics()) >= {"eval_rouge1", "eval_rouge2", "eval_rougeL", "eval_loss"}
    assert "rouge-score" in run.report().signatures["rougeL"]


def test_killed_and_resumed_it_ends_with_the_same_bits(tmp_path):
    from safetensors.torch import load_file

    clean = _run(tmp_path / "a", "t5", num_train_epochs=2)
    assert work(str(clean.dir))
    run = _run(tmp_path / "b", "t5", num_train_epochs=2)
    process = start(run, work_until_killed, 9)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert work(str(run.dir)), run.log()
    ours, theirs = (load_file(r.paths.model_dir / "model.safetensors") for r in (run, clean))
    assert all((ours[k] == theirs[k]).all() for k in theirs)
    assert [r.metrics for r in run.state().evaluations] == [
        r.metrics for r in clean.state().evaluations
    ]


def test_accumulation_changes_memory_and_nothing_else(tmp_path):
    options = {"max_steps": 5, "validation": False, "dropout": 0.0}
    whole = _run(tmp_path / "a", **options)
    parts = _run(
        tmp_path / "b", per_device_train_batch_size=2, gradient_accumulation_steps=4, **options
    )
    for run in (whole, parts):
        assert work(str(run.dir)), run.log()
    losses = [[row.loss for row in run.state().steps] for run in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
