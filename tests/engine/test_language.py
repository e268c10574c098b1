"""Tests of language modelling: logits where they are asked for, and runs from end to end."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch

from nbtransfer import api
from nbtransfer.data.encode import batches_of
from nbtransfer.data.encoding import IGNORED
from nbtransfer.engine.found import fetch
from nbtransfer.engine.language import continuations, hidden_logits
from nbtransfer.engine.loading import load_run
from nbtransfer.engine.objectives import objective_of
from nbtransfer.runs.events import EventWriter
from nbtransfer.tasks.catalog import task_named
from tests.engine import jobs
from tests.engine.jobs import reviews, work
from tests.engine.language_jobs import documents, make_run, write_model
from tests.faults.comparing import same_bits, same_last_checkpoint

pytestmark = pytest.mark.slow
FAMILIES = ("bert", "roberta", "distilbert", "electra", "mpnet")


def loaded(folder, auto_class):
    import transformers

    model = getattr(transformers, auto_class).from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_hidden_tokens_are_those_of_the_whole_model(tmp_path, family):
    model, _ = loaded(write_model(tmp_path, family), "AutoModelForMaskedLM")
    ids = torch.randint(5, 20, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    kept = torch.zeros_like(ids, dtype=torch.bool)
    kept[0, 2] = kept[1, 1] = kept[1, 5] = kept[2, 8] = True
    batch = {"input_ids": ids, "attention_mask": mask}
    whole = model(**batch).logits[kept]
    assert torch.allclose(hidden_logits(model, batch, kept), whole, atol=1e-6)
    assert model(**batch).logits.shape[:2] == ids.shape  # nothing is left hooked


def rows_and_model(tmp_path, family):
    folder = write_model(tmp_path, family)
    name = api.pretraining_task(folder)
    task = task_named(name)
    run = make_run(tmp_path / "runs", folder, max_length=24)
    model, tokenizer = loaded(folder, task.auto_class)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    from nbtransfer.runs.files import read_table

    table = read_table(run.paths.split("train"))
    encoded = batches_of(task.encode(tokenizer, table, 24, run.data_card), tokenizer)
    return encoded, model, objective_of(task.objective(run.data_card))


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_figures_do_not_depend_on_the_batch(tmp_path, family):
    from nbtransfer.engine.evaluate import score_rows
    from nbtransfer.tasks.language_metrics import language_metrics
    from tests.engine.test_evaluate import CPU

    encoded, model, objective = rows_and_model(tmp_path, family)
    model = model.double()  # padding then changes nothing that could be seen
    found = []
    for size in (1, 3, 16, 1000):
        scores = score_rows(CPU, model, encoded, objective, size)
        found.append(language_metrics(scores.answers, scores.loss))
    for name, value in found[0].items():
        assert all(abs(other[name] - value) <= 1e-6 * abs(value) for other in found), name
    assert len({other["eval_accuracy"] for other in found}) == 1


@torch.inference_mode()
@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_the_loss_is_what_transformers_says_and_perplexity_follows(tmp_path, family):
    encoded, model, objective = rows_and_model(tmp_path, family)
    batch = encoded.batch(np.arange(12), (3, 5))
    wanted = model(**batch).loss.item()
    labels = batch.pop("labels")
    total = objective.loss(objective.forward(model, batch, labels), labels)
    assert total.item() / objective.weight(encoded, np.arange(12)) == pytest.approx(
        wanted, rel=1e-5
    )
    answers = fetch(objective.answers(model, batch, labels))
    guessed = (labels[:, 1:] if family == "gpt2" else labels) != IGNORED
    assert answers["guessed"].tolist() == guessed.sum(1).tolist()
    assert answers["loss"].sum() / guessed.sum().item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_step_losses_and_weights_are_those_of_transformers_trainer(tmp_path, family):
    from torch.utils.data import SequentialSampler
    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments

    peer = (Seq2SeqTrainer, Seq2SeqTrainingArguments)
    trainer_class, arguments_class = peer if family == "t5" else (Trainer, TrainingArguments)
    folder = write_model(tmp_path / "model", family, dropout=0.0)
    run = make_run(tmp_path / "runs", folder, max_length=24, num_train_epochs=1, warmup_steps=2)
    assert work(str(run.dir)), run.log()
    state = run.state()
    ours = [row.loss for row in state.steps]
    start = load_run(run, EventWriter(tmp_path / "events.jsonl"))
    from nbtransfer.engine.batching import StepRows

    steps = StepRows(start.train.encoded.lengths, 8, run.spec.seed, run.plan.grouped_steps)
    theirs = []

    class Recording(trainer_class):
        def _get_train_sampler(self, *_):
            return SequentialSampler(range(len(ours)))

        def compute_loss(self, model, inputs, *args, **kwargs):
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            theirs.append(loss.item())
            return loss

    def collate(numbers):
        (step,) = numbers
        return start.train.encoded.batch(steps(step), (run.spec.seed, step))

    trainer = Recording(
        model=start.model,
        args=arguments_class(
            output_dir=str(tmp_path / "theirs"), per_device_train_batch_size=1,
            max_steps=len(ours), learning_rate=run.spec.learning_rate, warmup_steps=2,
            weight_decay=run.spec.weight_decay, save_strategy="no", report_to=[], use_cpu=True,
            remove_unused_columns=False, disable_tqdm=True, logging_strategy="no",
        ),
        train_dataset=list(range(len(ours))),
        data_collator=collate,
    )  # fmt: skip
    trainer.train()
    assert len(ours) > 5
    assert ours == pytest.approx(theirs, abs=1e-5)
    from safetensors.torch import load_file

    last = load_file(run.paths.checkpoint(state.step) / "model.safetensors")
    after = trainer.model.state_dict()
    for name, tensor in last.items():
        assert torch.allclose(tensor, after[name], atol=1e-4), name


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_a_run_measures_before_and_after_and_learns(tmp_path, family):
    run = make_run(tmp_path / "runs", write_model(tmp_path / "m", family), num_train_epochs=12)
    assert work(str(run.dir)), run.log()
    state = run.state()
    first, *_, last = state.evaluations
    assert (first.step, first.cause, first.is_best) == (0, "start", False)
    assert first.metrics["eval_perplexity"] == pytest.approx(math.exp(first.metrics["eval_loss"]))
    assert last.metrics["eval_perplexity"] < first.metrics["eval_perplexity"] / 3
    assert state.verified
    report = run.report()
    assert report.metrics["eval_perplexity"] == pytest.approx(
        min(row.metrics["eval_perplexity"] for row in state.evaluations), rel=1e-6
    )
    table = report.predictions()
    assert table.num_rows == 12
    total = (table["loss"].to_numpy() * table["num_tokens"].to_numpy()).sum()
    assert total / sum(table["num_tokens"].to_pylist()) == pytest.approx(
        report.metrics["eval_loss"]
    )


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_a_few_texts_are_shown_at_each_evaluation_and_cost_no_training_time(
    tmp_path, family, monkeypatch
):
    from nbtransfer.engine import samples, train

    def slowly(*arguments):
        time.sleep(2.0)
        return samples.samples_of(*arguments)

    monkeypatch.setattr(train, "samples_of", slowly)
    run = make_run(
        tmp_path / "runs", write_model(tmp_path / "m", family), num_train_epochs=30, eval_steps=90
    )
    assert work(str(run.dir)), run.log()
    state = run.state()
    texts = {tuple((s.text, s.right) for s in row.samples) for row in state.evaluations}
    assert len(texts) == 1 and len(texts.pop()) == 3  # the same ones each time
    said = [[sample.said for sample in row.samples] for row in state.evaluations]
    assert said[0] != said[-1]
    clock = {row.step: row.elapsed_s for row in state.steps}
    durations = [e["duration_s"] for e in run.events() if e["type"] == "evaluation_completed"]
    middle = state.evaluations[1]
    # Two seconds were slept after it; what else happened between two rows of the log is a moment.
    assert -0.001 <= middle.elapsed_s - clock[middle.step] - durations[1] < 1.5  # rounded to 1 ms
    assert clock[middle.step + 1] - middle.elapsed_s < 1.5
    if family == "gpt2":
        held_out = " ".join(run.report().predictions()["text"].to_pylist())
        for sample in state.evaluations[0].samples:
            assert sample.text.replace(" .", ".") in held_out


def test_samples_are_left_out_where_memory_runs_out(tmp_path, monkeypatch):
    from nbtransfer.engine import samples

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(samples, "continuations", full)
    run = make_run(tmp_path / "runs", write_model(tmp_path / "m", "gpt2"), max_steps=2)
    assert work(str(run.dir)), run.log()
    assert [row.samples for row in run.state().evaluations] == [(), ()]


def test_nothing_is_kept_of_a_model_that_only_got_worse(tmp_path):
    """The model as it was loaded has no checkpoint, so it is never the one that is kept."""
    run = make_run(tmp_path / "runs", write_model(tmp_path / "m", "bert"), learning_rate=0.5)
    assert work(str(run.dir)), run.log()
    assert run.state().saved_step > 0


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, family):
    model = write_model(tmp_path / "m", family)
    options = {"whole_word_mask": True} if family == "bert" else {}
    whole = make_run(tmp_path / "whole", model, name="run", max_length=16, **options)
    assert work(str(whole.dir)), whole.log()
    broken = make_run(tmp_path / "broken", model, name="run", max_length=16, **options)
    process = jobs.start(broken, jobs.work_until_killed, whole.plan.steps_per_epoch + 2)
    process.join()
    assert broken.status == "lost"
    assert work(str(broken.dir)), broken.log()
    assert same_last_checkpoint(broken, whole) and same_bits(broken, whole)
    starts = [row for row in broken.state().evaluations if row.cause == "start"]
    assert len(starts) == 1
    said = [[row.samples for row in run.state().evaluations] for run in (whole, broken)]
    assert said[0] == said[1] and all(said[0])


def test_the_worker_counts_the_blocks_where_the_kernel_could_not(tmp_path):
    import dataclasses

    from nbtransfer.runs.files import write_json

    run = make_run(tmp_path / "runs", write_model(tmp_path / "m", "bert"), max_length=12)
    true_steps = run.plan.num_steps
    wrong = dataclasses.replace(run.plan, num_steps=4, steps_per_epoch=2)
    write_json(run.paths.plan, wrong.to_json())
    run = type(run)(run.dir)
    assert work(str(run.dir)), run.log()
    state = run.state()
    assert state.step == state.num_steps == true_steps
    assert [(field, old, new) for field, old, new, _ in state.plan_changes] == [
        ("num_steps", 4, true_steps)
    ]
    assert type(run)(run.dir).plan.num_steps == true_steps


def test_an_adapted_model_is_a_backbone_and_says_where_it_comes_from(tmp_path):
    first = make_run(tmp_path, write_model(tmp_path / "m", "bert"), name="adapted")
    assert work(str(first.dir)), first.log()
    job = api.prepare_job(first, reviews(40), keywords={"max_steps": 2}, runs_dir=tmp_path)
    assert [(a.run, a.task) for a in job.model_card.lineage] == [
        ("adapted", "masked-language-modeling")
    ]
    assert any("masked-language-modeling on the corpus (adapted)" in note for note in job.notes)
    run = jobs.make_run(tmp_path, model="adapted", name="tuned", num_train_epochs=1)
    assert work(str(run.dir)), run.log()
    from safetensors.torch import load_file

    before = load_file(first.paths.model_dir / "model.safetensors")
    start = load_run(run, EventWriter(tmp_path / "events.jsonl")).model.state_dict()
    shared = [name for name in start if name.startswith("bert.encoder") and name in before]
    assert len(shared) > 10
    assert all(torch.equal(start[name], before[name]) for name in shared)
    card = (run.paths.model_dir / "README.md").read_text()
    assert "## Where it comes from" in card and "run `adapted`" in card
    third = api.prepare_job("tuned", reviews(40), keywords={}, runs_dir=tmp_path).model_card
    assert [a.run for a in third.lineage] == ["adapted", "tuned"]


def test_continuing_does_not_depend_on_the_other_texts(tmp_path):
    model, tokenizer = loaded(write_model(tmp_path, "gpt2"), "AutoModelForCausalLM")
    rows = [tokenizer(text)["input_ids"] for text in ("the worker", "a kernel reads the log .")]
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    together = continuations(model, {"input_ids": ids, "attention_mask": mask}, 8)
    for row, found in zip(rows, together, strict=True):
        one = {"input_ids": torch.tensor([row]), "attention_mask": torch.ones(1, len(row))}
        assert continuations(model, one, 8)[0].tolist() == found.tolist()
    long = torch.ones(1, 200, dtype=torch.long)
    assert len(continuations(model, {"input_ids": long, "attention_mask": long}, 8)[0]) <= 8


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_corpora_are_files_and_from_scratch_forgets_the_weights(tmp_path, family):
    (tmp_path / "corpus.txt").write_text("\n\n".join(documents(30)))
    folder = write_model(tmp_path / "m", family)
    corpus = str(tmp_path / "corpus.txt")
    run = make_run(tmp_path / "runs", folder, corpus, from_scratch=True, max_steps=2, seed=5)
    assert work(str(run.dir)), run.log()
    assert run.data_card.num_rows == {"train": 24, "validation": 6}
    start = load_run(run, EventWriter(tmp_path / "events.jsonl")).model.state_dict()
    trained, _ = loaded(folder, task_named(run.data_card.task).auto_class)
    name = next(
        n for n in start if n.endswith(("word_embeddings.weight", "wte.weight", "shared.weight"))
    )
    assert not torch.equal(start[name], trained.state_dict()[name])


@torch.inference_mode()
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_the_surest_wrong_guess_is_found_at_its_place(tmp_path, family):
    encoded, model, objective = rows_and_model(tmp_path, family)
    batch = encoded.batch(np.arange(6))
    labels = batch.pop("labels")
    logits = model(**batch).logits
    shift = 0 if family == "bert" else 1
    shares = torch.softmax(logits, 2)
    found = fetch(objective.answers(model, batch, labels))
    for row in range(6):
        guesses = []
        for place in range(shift, labels.shape[1]):
            share, token = shares[row, place - shift].max(0)
            if labels[row, place] not in (IGNORED, token):
                guesses.append((share.item(), place, token.item()))
        share, place, token = max(guesses)
        assert found["wrong_place"][row] == place
        assert found["wrong_token"][row] == token
        assert found["wrong_share"][row] == pytest.approx(share, rel=1e-4)
