"""Entities in the worker: a run learns them, ends the same after a kill, and answers in places."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from nbtransfer import api
from nbtransfer.data.encode import EncodedTexts
from nbtransfer.data.encoding import Encoding, Ragged
from nbtransfer.engine.evaluate import score_rows
from nbtransfer.engine.objectives import Tokens
from nbtransfer.tasks.token_classification import TokenClassification
from tests.engine.jobs import make_run, start, work, work_until_killed

pytestmark = pytest.mark.slow

PEOPLE = ["Ada", "Grace", "Alan", "Linus", "Mary", "Edsger"]
PLACES = ["Leeds", "Paris", "Oslo", "Lima", "Kyoto"]


def moves(num_rows: int, seed: int = 0) -> dict[str, list[list[str]]]:
    """Made-up sentences of various lengths, each with a person and a place."""
    draw = random.Random(seed)
    tokens, tags = [], []
    for _ in range(num_rows):
        rest = ["and", "so", "on"] * draw.randint(0, 4)
        tokens.append([draw.choice(PEOPLE), "moved", "to", draw.choice(PLACES), ".", *rest])
        tags.append(["B-PER", "O", "O", "B-LOC", "O", *["O"] * len(rest)])
    return {"tokens": tokens, "ner_tags": tags}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = make_run(
        tmp_path_factory.mktemp("run"),
        data=moves(90),
        num_train_epochs=4,
        learning_rate=3e-3,
        max_length=10,
    )
    assert work(str(run.dir)), run.log()
    return run


def test_a_run_learns_reports_and_is_kept(finished):
    metrics = finished.metrics()
    assert finished.status == "completed"
    assert metrics["eval_f1"] >= 0.9
    report = finished.report()
    assert [row.label for row in report.per_class] == ["LOC", "PER"]
    assert len(report.confusion_matrix) == len(report.labels) == 5
    table = report.predictions()
    assert table.num_rows == report.num_rows == 18
    assert sum(map(sum, report.confusion_matrix)) == sum(map(len, table["tokens"].to_pylist()))


def test_long_sentences_become_windows_and_the_plan_says_so(finished):
    (change,) = finished.state().plan_changes
    assert change[0] == "num_steps" and "rows of the training texts" in change[3]
    assert finished.plan.num_steps == finished.state().num_steps == change[2] > change[1]
    assert finished.plan.steps_per_epoch * 4 == finished.plan.num_steps


def test_predictions_give_places_in_the_raw_text(finished):
    task = TokenClassification()
    text = "Ada moved to  Paris, and so on and so on and so on and so on, then Mary moved to Oslo."
    rows = task.inputs([text, "", ["Linus", "moved", "to", "Lima", "."]], finished.data_card)
    found = task.results(_predicted(finished, rows), finished.data_card)
    assert [len(each.entities) for each in found] == [4, 0, 2]
    for each in found:
        for entity in each.entities:
            assert each.text[entity.start : entity.end] == entity.text
            assert 0.3 < entity.score <= 1
    assert [(e.text, e.label) for e in found[0].entities] == [
        ("Ada", "PER"),
        ("Paris", "LOC"),
        ("Mary", "PER"),
        ("Oslo", "LOC"),
    ]


def _predicted(run, rows):
    """What the worker's job does with the rows, without a worker."""
    from nbtransfer.data.encode import batches_of

    model, tokenizer = api.load_model(run)
    task, card = TokenClassification(), run.data_card
    encoding = task.encode(tokenizer, rows, run.plan.max_length, card)
    encoded = batches_of(encoding, tokenizer)
    scores = score_rows(CPU, model, encoded, Tokens(), 2)
    return task.decode(scores.answers, encoding, rows, card, tokenizer)


def test_transformers_own_pipeline_reads_the_saved_model(finished):
    from transformers import pipeline

    ask = pipeline("token-classification", str(finished.paths.model_dir), device="cpu")
    found = [(token["word"], token["entity"]) for token in ask("Ada moved to Paris .")]
    assert found == [("ada", "B-PER"), ("paris", "B-LOC")]


def test_the_saved_model_s_card_names_task_and_tags(finished):
    text = (finished.paths.model_dir / "README.md").read_text()
    assert "- token-classification" in text and "- B-PER" in text and "eval_f1" in text


def test_killed_and_resumed_it_ends_with_the_same_bits(tmp_path, finished):
    run = make_run(tmp_path, data=moves(90), num_train_epochs=4, learning_rate=3e-3, max_length=10)
    process = start(run, work_until_killed, 15)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert work(str(run.dir)), run.log()
    ours, clean = (load_file(r.paths.model_dir / "model.safetensors") for r in (run, finished))
    assert ours.keys() == clean.keys()
    assert all(torch.equal(ours[name], clean[name]) for name in clean)
    assert [row.loss for row in run.state().steps] == [row.loss for row in finished.state().steps]


def test_head_alone_leaves_the_backbone_as_it_was(tmp_path):
    from transformers import AutoModel

    run = make_run(tmp_path, data=moves(40), technique="head", max_steps=4, learning_rate=1e-2)
    assert work(str(run.dir)), run.log()
    tuned, _ = api.load_model(run)
    before = AutoModel.from_pretrained(run.model_card.location, dtype=torch.float32).state_dict()
    after = tuned.base_model.state_dict()
    assert after and all(torch.equal(after[name], before[name]) for name in after)
    assert run.state().num_trainable_parameters == run.plan.num_trainable_parameters


CPU = SimpleNamespace(device=torch.device("cpu"), autocast=contextlib.nullcontext)


class Sums(nn.Module):
    """Logits of each token from small whole numbers: exact, whatever the batch and padding."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        weights = torch.randint(-8, 9, (50, num_classes), generator=draw)
        self.register_buffer("weights", weights.float() / 8)

    def forward(self, input_ids, attention_mask):
        return self.weights[input_ids]


def test_metrics_and_loss_are_equal_whatever_the_batch():
    names = ("O", "B-x", "I-x", "B-y", "I-y")
    draw = np.random.default_rng(1)
    lengths = draw.integers(1, 12, 41)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    total = int(lengths.sum())
    tokens = Ragged(draw.integers(0, 50, total).astype(np.int32), offsets)
    tags = draw.integers(0, len(names), total)
    encoded = EncodedTexts(
        tokens=tokens.values, offsets=offsets, pad_token_id=0, targets=Ragged(tags, offsets)
    )
    details = {
        "token": np.concatenate([*map(np.arange, lengths)]),
        "is_first": np.ones(total, bool),
    }
    encoding = Encoding(tokens=tokens, sources=np.arange(41), details=details)
    words = [["w"] * n for n in lengths]
    table = pa.table(
        {
            "text": [" ".join(row) for row in words],
            "tokens": words,
            "starts": pa.array([list(range(0, 2 * n, 2)) for n in lengths], pa.list_(pa.int32())),
            "tags": [tags[a:b].tolist() for a, b in itertools.pairwise(offsets)],
            "row": list(range(41)),
        }
    )
    task, card = TokenClassification(), SimpleNamespace(label_names=names)

    def measured(batch_size):
        scores = score_rows(CPU, Sums(len(names)), encoded, Tokens(), batch_size)
        predictions = task.decode(scores.answers, encoding, table, card, None)
        return task.measure(scores.answers, scores.loss, table, predictions, card)

    whole = measured(41)
    for batch_size in range(1, 41):
        parts = measured(batch_size)
        assert parts.keys() == whole.keys()
        assert all(abs(parts[name] - whole[name]) <= 1e-12 for name in whole), batch_size
