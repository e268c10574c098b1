"""Question answering in the worker: it learns, resumes, and agrees with transformers' Trainer."""

from __future__ import annotations

import contextlib
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import load_file

from nbtransfer import api
from nbtransfer.engine.loading import load_run
from nbtransfer.runs.files import read_table
from nbtransfer.tasks.question_answering import QuestionAnswering
from tests.engine.jobs import start, work, work_until_killed, write_mini_model
from tests.engine.pairs import write_model
from tests.engine.question_jobs import make_question_run, questions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_mini_model(tmp_path_factory.mktemp("mini"))


@pytest.fixture(scope="module")
def done(tmp_path_factory, model):
    """A finished run whose contexts take several windows, on questions with and without answers."""
    run = make_question_run(
        tmp_path_factory.mktemp("done"),
        questions(60, unanswerable=True),
        model=model,
        max_length=28,
        num_train_epochs=3,
        name="done",
    )
    assert work(str(run.dir)), run.log()
    return run


def test_a_run_is_reported_verified_and_says_how_many_windows_there_are(done):
    state = done.state()
    assert done.status == "completed" and state.verified
    assert {"eval_f1", "eval_exact_match", "eval_loss", "eval_no_answer_accuracy"} <= set(
        done.metrics()
    )
    num_windows = next(e["num_train"] for e in done.events() if e["type"] == "data_encoded")
    assert num_windows > done.plan.num_train_rows == 48
    # The kernel has counted the windows without transformers, and was right.
    assert state.num_steps == done.plan.num_steps == 3 * -(-num_windows // 8)
    assert any(f"48 training rows become about {num_windows}" in note for note in done.plan.notes)
    assert [row.step for row in state.evaluations] == [state.steps_per_epoch * i for i in (1, 2, 3)]
    report = done.report()
    assert report.num_rows == 12 == report.predictions().num_rows
    assert report.answers and "F1" in str(report) and "is '" in str(report)
    readme = (done.paths.model_dir / "README.md").read_text()
    assert "question-answering" in readme and "eval_f1" in readme


def test_every_answer_is_where_it_says(done):
    for row in done.report().predictions().to_pylist():
        assert row["context"][row["start"] : row["end"]] == row["predicted"]
        assert 0 <= row["probability"] <= 1


def test_killed_and_resumed_ends_with_the_same_bits(tmp_path, done, model):
    data = questions(60, unanswerable=True)
    run = make_question_run(
        tmp_path, data, model=model, max_length=28, num_train_epochs=3, name="done"
    )
    process = start(run, work_until_killed, 9)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert work(str(run.dir)), run.log()
    ours, theirs = (load_file(r.paths.model_dir / "model.safetensors") for r in (run, done))
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    assert [row.metrics for row in run.state().evaluations] == [
        row.metrics for row in done.state().evaluations
    ]


def test_a_tiny_model_learns_to_answer(tmp_path):
    run = make_question_run(
        tmp_path, questions(240, seed=3), num_train_epochs=6, learning_rate=2e-3
    )
    assert work(str(run.dir)), run.log()
    losses = [row.loss for row in run.state().steps]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def score_with(run, batch_size):
    import torch

    from nbtransfer.data.encode import batches_of
    from nbtransfer.engine.evaluate import score_rows
    from nbtransfer.engine.objectives import Spans
    from nbtransfer.models.load import load_finetuned

    torch.set_num_threads(1)
    task, card = QuestionAnswering(), run.data_card
    network, tokenizer = load_finetuned(run.paths.model_dir, task.auto_class)
    table = read_table(run.paths.split("validation"))
    encoding = task.encode(tokenizer, table, run.plan.max_length, card)
    cpu = SimpleNamespace(device=torch.device("cpu"), autocast=contextlib.nullcontext)
    scores = score_rows(cpu, network.double(), batches_of(encoding, tokenizer), Spans(), batch_size)
    found = task.decode(scores.answers, encoding, table, card, tokenizer)
    return task.measure(scores.answers, scores.loss, table, found, card), found


def test_metrics_do_not_depend_on_the_batch(done):
    whole, answers = score_with(done, 64)
    for batch_size in (1, 3, 7):
        parts, others = score_with(done, batch_size)
        assert others["predicted"] == answers["predicted"]
        assert parts.keys() == whole.keys()
        for name in whole:
            assert parts[name] == pytest.approx(whole[name], abs=1e-12)


def test_answers_that_no_window_holds_are_told_of_whole(tmp_path):
    rows = questions(20)
    rows[3]["context"] = "anna lives in rome. " * 9
    rows[3]["answers"] = {"text": [rows[3]["context"].strip()], "answer_start": [0]}
    run = make_question_run(tmp_path, rows, validation=False, max_length=32)
    said = []
    load_run(run, SimpleNamespace(append=lambda kind, **fields: said.append((kind, fields))))
    (warning,) = [fields for kind, fields in said if kind == "warning_raised"]
    assert warning == {
        "code": "answers_lost",
        "headline": "train: no window holds 1 answer of 20 (5.0 %) whole, first in row 3.",
        "advice": "They are taught as if the context held none. A longer max_length keeps them.",
    }


@pytest.mark.parametrize("technique", ["head", "top:1"])
def test_frozen_layers_stay_as_they_were(tmp_path, technique):
    from transformers import AutoModel

    from nbtransfer.models.catalog import open_model

    run = make_question_run(tmp_path, num_rows=20, technique=technique, num_train_epochs=1)
    assert work(str(run.dir)), run.log()
    before = AutoModel.from_pretrained(open_model("demo:bert-tiny", runs_dir=tmp_path).location)
    after = load_file(run.paths.model_dir / "model.safetensors")
    changed = {
        name
        for name, tensor in before.state_dict().items()
        if f"bert.{name}" in after and not (after[f"bert.{name}"] == tensor).all()
    }
    assert all(name.startswith("encoder.layer.1.") for name in changed)
    assert bool(changed) == (technique == "top:1")


@pytest.mark.parametrize("technique", ["head", "lora"])
def test_t5_s_new_head_for_spans_learns(tmp_path, technique):
    model = write_model(tmp_path / "t5", "t5")
    run = make_question_run(
        tmp_path / "runs", num_rows=24, model=model, technique=technique, num_train_epochs=1
    )
    assert work(str(run.dir)), run.log()
    saved, _ = api.load_model(run)
    named = {name.rpartition(".")[2]: p for name, p in saved.qa_outputs.named_parameters()}
    assert named["bias"].abs().min() > 0  # it starts at zero
