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
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from nbtransfer.data.encode import EncodedFeatures, EncodedFrozen, EncodedTexts
from nbtransfer.engine import frozen
from nbtransfer.engine.frozen import below_cut, compute_once, mean_pooled
from nbtransfer.models.freezing import cut_of, top_of
from nbtransfer.models.load import MeanPooledClassifier, freeze, set_training_mode
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


TECHNIQUES = ("head", "top:1", "features")


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
    found = compute_once(CPU, short, below_cut(short, cut), rows, 8, Cache(runs_dir))
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


def frozen_model(technique: str) -> tuple[torch.nn.Module, frozen.FrozenPart]:
    """Return a model of three blocks with what is frozen of it."""
    if technique != "features":
        model = make("bert", technique)
        return model, below_cut(model, cut_of(model, model.base_model))
    torch.manual_seed(0)
    model = MeanPooledClassifier(BertModel(BertConfig(**SMALL)), 2)
    freeze(model, technique)
    return model, mean_pooled(model)


def test_features_are_the_means_that_the_whole_model_would_see(runs_dir):
    model, part = frozen_model("features")
    rows = rows_of()
    found = compute_once(CPU, model, part, rows, 8, Cache(runs_dir))
    assert isinstance(found.rows, EncodedFeatures)
    chosen = np.array([3, 1, 12])
    whole, short = rows.batch(chosen), found.rows.batch(chosen)
    assert torch.equal(whole.pop("labels"), short.pop("labels"))
    logits = model(**whole)
    torch.testing.assert_close(model.classifier(**short), logits, rtol=1e-5, atol=1e-6)
    # Where features cannot be kept, what learns is called with the texts themselves.
    assert torch.equal(model.classifier(**whole), logits)
    logits.sum().backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert list(model.classifier.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_the_same_rows_and_weights_are_found_again(runs_dir, technique):
    model, part = frozen_model(technique)
    cache = Cache(runs_dir)

    def is_hit(rows: EncodedTexts, batch_size: int = 8) -> bool:
        return compute_once(CPU, model, part, rows, batch_size, cache).hit

    assert not is_hit(rows_of())
    assert is_hit(rows_of())
    assert not is_hit(rows_of(12))
    head = model.bert.encoder.layer[2] if technique == "top:1" else model.classifier
    with torch.no_grad():  # what learns is no part of the key, what is frozen is
        next(head.parameters()).add_(1)
    assert is_hit(rows_of())
    with torch.no_grad():
        dict(part.weights)["encoder.layer.1.output.dense.weight"].add_(1)
    assert not is_hit(rows_of())


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_what_decides_a_bit_of_the_vectors_decides_whether_they_are_found(
    runs_dir, monkeypatch, technique
):
    model, part = frozen_model(technique)
    rows, cache = rows_of(), Cache(runs_dir)

    def is_hit(batch_size: int = 8) -> bool:
        return compute_once(CPU, model, part, rows, batch_size, cache).hit

    assert not is_hit()
    model.config.id2label = {0: "no", 1: "yes"}  # of the head
    assert is_hit()
    assert not is_hit(batch_size=4)  # other batches round otherwise
    model.config.num_attention_heads = 4  # of weights of the same shapes
    assert not is_hit()
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")  # tf32
    assert not is_hit()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    assert not is_hit()
    assert is_hit()


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_vectors_beyond_memory_are_mapped_from_a_file_and_found_there(
    runs_dir, monkeypatch, technique
):
    model, part = frozen_model(technique)
    cache = Cache(runs_dir)
    in_memory = compute_once(CPU, model, part, rows_of(), 8, cache)
    frozen._kept.clear()
    monkeypatch.setattr(frozen, "_MEMORY_BYTES", 0)
    first = compute_once(CPU, model, part, rows_of(), 8, cache)
    second = compute_once(CPU, model, part, rows_of(), 8, cache)
    assert (first.place, first.hit, second.place, second.hit) == ("disk", False, "disk", True)
    name = "features" if technique == "features" else "vectors"
    assert isinstance(getattr(second.rows, name), np.memmap)
    everything = np.arange(13)
    batches = [found.rows.batch(everything) for found in (in_memory, first, second)]
    for batch in batches[1:]:
        assert all(torch.equal(tensor, batches[0][name]) for name, tensor in batch.items())


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_rows_that_neither_budget_holds_stay_as_they_are(runs_dir, monkeypatch, technique):
    model, part = frozen_model(technique)
    monkeypatch.setattr(frozen, "_MEMORY_BYTES", 0)
    monkeypatch.setattr(frozen, "_DISK_BYTES", 0)
    rows = rows_of()
    found = compute_once(CPU, model, part, rows, 8, Cache(runs_dir))
    assert found.rows is rows and found.place is None
    assert not list(runs_dir.iterdir())
