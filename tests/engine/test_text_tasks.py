"""Tests of text tasks end to end on tiny models: several classes, numbers, pairs, decoders."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import torch

from nbtransfer import api
from nbtransfer.runs import store
from nbtransfer.runs.files import read_json
from tests.engine import jobs
from tests.engine.jobs import work, write_mini_model
from tests.engine.pairs import write_model
from tests.faults.comparing import same_bits, same_last_checkpoint

_TOPICS = {"food": ("soup", "bread", "cake"), "film": ("actor", "scene", "plot")}


def rows_of(kind: str, count: int = 48) -> list[dict[str, object]]:
    """Made-up rows: topics in lists, a score by number of words, or two texts and how alike."""
    draw = random.Random(1)
    rows = []
    for i in range(count):
        topics = [name for name in _TOPICS if draw.random() < 0.6]
        words = [draw.choice(_TOPICS[name]) for name in topics]
        text = " ".join(["a", *words, *["warm"] * (i % 4), "day"])
        if kind == "several":
            rows.append({"text": text, "labels": topics})
        elif kind == "score":
            rows.append({"text": text, "score": 100.5 + 40 * (i % 4)})
        elif kind == "similar":
            other, score = ((text, 4.8), (f"{text} cold", 2.5), ("night", 0.2))[i % 3]
            rows.append({"sentence1": text, "sentence2": other, "score": score})
        elif kind == "entailed":
            other, label = ((text, "yes"), (f"not {text}", "no"), ("a cold night", "maybe"))[i % 3]
            rows.append({"premise": text, "hypothesis": other, "label": label})
        else:
            other = text if i % 2 else "a cold night"
            rows.append({"sentence1": text, "sentence2": other, "label": ("no", "yes")[i % 2]})
    return rows


def make_run(runs_dir, kind, model="demo:bert-tiny", **keywords):
    job = api.prepare_job(
        model,
        rows_of(kind),
        keywords={
            "per_device_train_batch_size": 8,
            "num_train_epochs": 3,
            "validation": 0.25,
            "learning_rate": 2e-3,
            "use_cpu": True,
            **keywords,
        },
        runs_dir=runs_dir,
    )
    return store.create_run(
        job.runs_dir,
        spec=job.spec,
        plan=dataclasses.replace(job.plan, num_threads=1, products="torch"),
        data_card=job.prepared.card,
        model_card=job.model_card,
        splits=job.prepared.splits,
    )


def write_mini_gpt2(folder) -> str:
    """Write a GPT-2 of two layers with random weights and no padding token; return its folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

    words = sorted({w for row in rows_of("several", 200) for w in row["text"].split()})
    vocabulary = {word: i for i, word in enumerate(["<|endoftext|>", *words, "cold", "night"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", unk_token="<|endoftext|>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(vocabulary), n_embd=32, n_layer=2, n_head=2, n_positions=64)
    GPT2Model(config).save_pretrained(folder)
    return str(folder)


def test_several_classes_a_text_are_learned_and_their_thresholds_kept(tmp_path):
    run = make_run(tmp_path, "several", num_train_epochs=6)
    assert work(str(run.dir))
    assert run.status == "completed"
    report = run.report()
    assert report.task == "multi-label-classification"
    assert report.metrics["eval_f1_micro"] > 0.8
    assert report.confusion_matrix == ()
    decision = read_json(run.paths.model_dir / "decision.json")
    assert len(decision["thresholds"]) == 2
    assert (run.paths.evaluation("validation").confusion_png).is_file() is False


@pytest.mark.parametrize("form", ["lists", "columns"])
def test_a_zero_or_one_for_each_class_is_read_alike_in_training_and_evaluation(
    tmp_path, monkeypatch, form
):
    def as_flags(row):
        flags = [int(name in row["labels"]) for name in ("dull", *_TOPICS)]
        if form == "lists":
            return {"text": row["text"], "labels": flags}
        return {"text": row["text"], **dict(zip(("dull", *_TOPICS), flags, strict=True))}

    rows = [as_flags(row) for row in rows_of("several", 64)]
    job = {"label": ["dull", *_TOPICS]} if form == "columns" else {}
    run = jobs.make_run(tmp_path, data=rows[:48], validation=rows[48:], num_train_epochs=1, **job)
    assert work(str(run.dir))
    jobs.score_here(monkeypatch)
    own = run.report()
    assert api.evaluate(run, rows[48:]).metrics == own.metrics
    names = ("0", "1", "2") if form == "lists" else ("dull", *_TOPICS)
    assert own.labels == names


@pytest.mark.parametrize("technique", ["full", "features"])
def test_numbers_are_learned_on_their_own_scale(tmp_path, technique):
    run = make_run(tmp_path, "score", technique=technique, learning_rate=None, num_train_epochs=8)
    assert work(str(run.dir))
    metrics = run.report().metrics
    assert metrics["eval_pearson"] > 0.5
    assert metrics["eval_rmse"] < 60  # the deviation is 45, a model without scale is off by 160
    said = run.report().predictions()["predicted"].to_numpy()
    assert 80 < np.mean(said) < 250


def test_pairs_are_read_together(tmp_path):
    run = make_run(tmp_path, "pairs", num_train_epochs=6)
    assert work(str(run.dir))
    assert run.data_card.roles["text_pair"] == "sentence2"
    assert run.report().metrics["eval_accuracy"] > 0.9


def test_how_alike_two_texts_are_is_learned_as_a_number(tmp_path, monkeypatch):
    run = make_run(tmp_path, "similar", num_train_epochs=10)
    assert work(str(run.dir))
    assert run.data_card.roles == {"text": "sentence1", "text_pair": "sentence2", "label": "score"}
    assert run.report().metrics["eval_pearson"] > 0.5
    jobs.score_here(monkeypatch)
    far, near = api.answers.predict(run, [("a warm day", "night"), ("a warm day", "a warm day")])
    assert near.score > far.score


def test_three_relations_of_two_texts_are_told_apart(tmp_path):
    run = make_run(tmp_path, "entailed", num_train_epochs=6)
    assert work(str(run.dir))
    assert run.data_card.roles["text_pair"] == "hypothesis"
    report = run.report()
    assert report.labels == ("maybe", "no", "yes")
    assert report.metrics["eval_accuracy"] > 0.6


@pytest.mark.parametrize("batch_size", [1, 5])
def test_a_decoder_without_a_padding_token_classifies_by_its_last_word(tmp_path, batch_size):
    model = write_mini_gpt2(tmp_path / "gpt2")
    run = make_run(
        tmp_path / "runs",
        "pairs",
        model,
        text="sentence2",
        num_train_epochs=6,
        per_device_eval_batch_size=batch_size,
    )
    assert work(str(run.dir))
    assert run.report().metrics["eval_accuracy"] > 0.9
    notes = run.state().notes
    assert any("no padding token" in note for note in notes)


@pytest.mark.parametrize("kind", ["several", "score", "pairs"])
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, kind):
    whole = make_run(tmp_path / "whole", kind, num_train_epochs=1, name="run")
    assert work(str(whole.dir))
    broken = make_run(tmp_path / "broken", kind, num_train_epochs=1, name="run")
    process = jobs.start(broken, jobs.work_until_killed, 3)
    process.join()
    assert broken.status == "lost"
    assert work(str(broken.dir))
    assert same_last_checkpoint(broken, whole) and same_bits(broken, whole)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_a_text_that_spells_out_the_end_token_is_read_as_text(tmp_path, monkeypatch, family):
    model = write_model(tmp_path / "model", family)
    rows = [{"text": f"open {'</s> ' * (i % 3)}file", "label": "ab"[i % 2]} for i in range(24)]
    run = jobs.make_run(tmp_path / "runs", model=model, data=rows, num_train_epochs=1)
    assert work(str(run.dir)), run.log()
    jobs.score_here(monkeypatch)
    assert len(api.answers.predict(run, ["open file", "the </s> end </s>"])) == 2


@pytest.mark.parametrize("kept", [True, False])
def test_a_head_with_the_data_s_classes_is_kept_where_that_is_asked(tmp_path, kept):
    from transformers import AutoTokenizer, BertForSequenceClassification

    folder = write_mini_model(tmp_path / "mini")
    names = {0: "good", 1: "bad"}  # the data's are in the order of the alphabet
    before = BertForSequenceClassification.from_pretrained(folder, id2label=names)
    before.save_pretrained(tmp_path / "model")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "model")
    run = jobs.make_run(
        tmp_path / "runs",
        model=str(tmp_path / "model"),
        keep_head=kept,
        learning_rate=1e-6,
        max_steps=1,
    )
    assert work(str(run.dir)), run.log()
    after, _ = api.load_model(run)
    same = torch.allclose(after.classifier.weight, before.classifier.weight, atol=1e-5)
    said = "The checkpoint's head has other classes; a new one is trained." in run.state().notes
    assert (same, said) == (kept, not kept)
    assert run.report().labels == (("good", "bad") if kept else ("bad", "good"))
