"""Frozen layers computed once must change nothing but the time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from nbtransfer.data.encode import EncodedFrozen, EncodedTexts
from nbtransfer.engine import frozen
from nbtransfer.engine.frozen import compute_once
from nbtransfer.models.freezing import cut_of, top_of
from nbtransfer.models.load import freeze, set_training_mode
from nbtransfer.runs.cache import Cache

CPU = Accelerator(cpu=True)
SMALL = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}
DISTIL = {"vocab_size": 60, "dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64}
FAMILIES = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**SMALL)),
    "bert tokens": lambda: BertForTokenClassification(BertConfig(**SMALL)),
    "roberta": lambda: RobertaForSequenceClassification(RobertaConfig(**SMALL)),
    "electra": lambda: ElectraForSequenceClassification(ElectraConfig(**SMALL, embedding_size=16)),
    "distilbert": lambda: DistilBertForSequenceClassification(
        DistilBertConfig(**DISTIL, max_position_embeddings=40)
    ),
}


@pytest.fixture(autouse=True)
def nothing_kept():
    frozen._kept.clear()
    yield
    frozen._kept.clear()


def rows_of(num_rows: int = 13) -> EncodedTexts:
    draw = np.random.default_rng(0)
    lengths = draw.integers(3, 20, num_rows)
    return EncodedTexts(
        tokens=draw.integers(5, 60, lengths.sum()).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        pad_token_id=1,
        targets=draw.integers(0, 2, num_rows),
    )


def make(family: str, technique: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = FAMILIES[family]()
    freeze(model, technique)
    return model


@pytest.mark.parametrize("technique", ["head", "top:1", "top:2"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_gradients_are_those_of_the_whole_model(family, technique, runs_dir):
    plain, short = make(family, technique), make(family, technique)
    cut = cut_of(short, short.base_model)
    assert cut is not None
    rows = rows_of()
    found = compute_once(CPU, short, cut, rows, 8, Cache(runs_dir))
    assert isinstance(found.rows, EncodedFrozen) and not found.hit
    assert found.rows.first_only == (technique == "head" and family != "bert tokens")
    chosen = np.array([3, 1, 12])
    outputs = []
    for model, encoded in ((plain, rows), (short, found.rows)):
        batch = encoded.batch(chosen)
        labels = batch.pop("labels")
        mask = rows.batch(chosen)["attention_mask"].bool()
        model.eval()  # dropout would draw for other shapes
        logits = model(**batch).logits
        own = logits[mask] if family == "bert tokens" else logits
        (own.square().sum() + labels.sum()).backward()
        outputs.append(own)
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-5, atol=1e-6)
    for (name, a), b in zip(plain.named_parameters(), short.named_parameters(), strict=True):
        assert (a.grad is None) == (b[1].grad is None) == (not a.requires_grad), name
        if a.grad is not None:
            torch.testing.assert_close(b[1].grad, a.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_the_model_is_whole_again_after_a_pass_and_after_an_error():
    model = make("bert", "top:1")
    names = list(model.state_dict())
    cut = cut_of(model, model.base_model)
    batch = rows_of().batch(np.array([0, 1]))
    del batch["labels"]
    hidden = cut.frozen(batch)
    model(**batch, frozen=hidden)
    with pytest.raises(RuntimeError):
        model(**batch, frozen=hidden[:, :, :5])
    assert list(model.state_dict()) == names
    assert len(model.bert.encoder.layer) == 3


def test_top_layers_learn_with_what_comes_after_them():
    model = make("bert", "top:2")
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    assert {n.split(".layer.")[1][0] for n in learning if ".layer." in n} == {"1", "2"}
    assert {"bert.pooler.dense.weight", "classifier.bias"} <= learning
    assert not any("embeddings" in name for name in learning)


def test_frozen_layers_drop_nothing_while_the_top_trains():
    model = make("bert", "top:1")
    set_training_mode(model, "top:1")
    layers = model.bert.encoder.layer
    assert [layer.training for layer in layers] == [False, False, True]
    assert not model.bert.embeddings.training and model.bert.pooler.training


def test_as_many_layers_as_there_are_cannot_be_the_top():
    model = make("bert", "full")
    with pytest.raises(ValueError, match="no 3 last layers"):
        top_of(model.base_model, 3)


def test_an_unknown_family_is_not_cut():
    config = GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=2, pad_token_id=0)
    model = GPT2ForSequenceClassification(config)
    freeze(model, "top:1")
    assert cut_of(model, model.base_model) is None


def test_nothing_is_cut_where_the_embeddings_learn():
    model = make("bert", "top:1")
    model.bert.embeddings.word_embeddings.weight.requires_grad_(True)
    assert cut_of(model, model.base_model) is None


def test_the_same_rows_and_weights_are_found_again(runs_dir):
    model = make("bert", "top:1")
    cut = cut_of(model, model.base_model)
    cache = Cache(runs_dir)
    assert not compute_once(CPU, model, cut, rows_of(), 8, cache).hit
    assert compute_once(CPU, model, cut, rows_of(), 8, cache).hit
    assert not compute_once(CPU, model, cut, rows_of(12), 8, cache).hit
    with torch.no_grad():  # what learns is no part of the key, what is frozen is
        model.bert.encoder.layer[2].output.dense.weight += 1
    assert compute_once(CPU, model, cut, rows_of(), 8, cache).hit
    with torch.no_grad():
        model.bert.encoder.layer[1].output.dense.weight += 1
    assert not compute_once(CPU, model, cut, rows_of(), 8, cache).hit


def test_vectors_beyond_memory_are_mapped_from_a_file_and_found_there(runs_dir, monkeypatch):
    model = make("bert", "top:1")
    cut = cut_of(model, model.base_model)
    cache = Cache(runs_dir)
    in_memory = compute_once(CPU, model, cut, rows_of(), 8, cache)
    frozen._kept.clear()
    monkeypatch.setattr(frozen, "_MEMORY_BYTES", 0)
    first = compute_once(CPU, model, cut, rows_of(), 8, cache)
    second = compute_once(CPU, model, cut, rows_of(), 8, cache)
    assert (first.place, first.hit, second.place, second.hit) == ("disk", False, "disk", True)
    assert isinstance(second.rows.vectors, np.memmap)
    assert np.array_equal(second.rows.vectors, in_memory.rows.vectors)


def test_rows_that_neither_budget_holds_stay_as_they_are(runs_dir, monkeypatch):
    model = make("bert", "top:1")
    monkeypatch.setattr(frozen, "_MEMORY_BYTES", 0)
    monkeypatch.setattr(frozen, "_DISK_BYTES", 0)
    rows = rows_of()
    found = compute_once(CPU, model, cut_of(model, model.base_model), rows, 8, Cache(runs_dir))
    assert found.rows is rows and found.place is None
    assert not list(runs_dir.iterdir())
