"""Tests of nbtransfer.engine.evaluate: the figures do not depend on how the rows are batched."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from nbtransfer.data.encode import EncodedTexts
from nbtransfer.engine import evaluate
from nbtransfer.engine.evaluate import rows_held, score_rows
from nbtransfer.engine.memory import MemoryFull
from nbtransfer.engine.objectives import Classes
from nbtransfer.runs.faults import plan_faults
from nbtransfer.tasks.text_classification import TextClassification, metrics, probabilities

NAMES = ("a", "b", "c")
CPU = SimpleNamespace(device=torch.device("cpu"), autocast=contextlib.nullcontext)


class Sums(nn.Module):
    """Logits from sums of small whole numbers: exact, so that padding and order change no bit."""

    def __init__(self, num_tokens=50):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        weights = torch.randint(-8, 9, (num_tokens, len(NAMES)), generator=draw)
        self.register_buffer("weights", weights.float() / 8)

    def forward(self, input_ids, attention_mask):
        return (self.weights[input_ids] * attention_mask[:, :, None]).sum(1)


@pytest.fixture
def encoded():
    draw = np.random.default_rng(1)
    lengths = draw.integers(1, 30, 61)
    return EncodedTexts(
        tokens=draw.integers(0, 50, lengths.sum()).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        pad_token_id=0,
    )


@pytest.fixture
def labels():
    return np.random.default_rng(2).integers(0, len(NAMES), 61)


@pytest.fixture(autouse=True)
def no_faults_left():
    yield
    plan_faults("")


def measure(encoded, labels, batch_size):
    known = dataclasses.replace(encoded, targets=labels)
    scores = score_rows(CPU, Sums(), known, Classes(), batch_size)
    shares = probabilities(scores.answers, len(NAMES))
    return {**metrics(labels, shares, NAMES), "loss": scores.loss}, scores


@pytest.mark.parametrize("batch_size", range(1, 62))
def test_metrics_and_loss_are_equal_whatever_the_batch(encoded, labels, batch_size):
    whole, _ = measure(encoded, labels, 61)
    parts, _ = measure(encoded, labels, batch_size)
    assert parts.keys() == whole.keys()
    assert all(abs(parts[name] - whole[name]) <= 1e-12 for name in whole)


def test_metrics_and_loss_are_scikit_learn_s(encoded, labels):
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    found, scores = measure(encoded, labels, 7)  # and the last batch is smaller
    shares = probabilities(scores.answers, len(NAMES))
    predicted = shares.argmax(1)
    assert abs(found["loss"] - log_loss(labels, shares)) <= 1e-12
    assert abs(found["eval_accuracy"] - accuracy_score(labels, predicted)) <= 1e-12
    assert abs(found["eval_f1_macro"] - f1_score(labels, predicted, average="macro")) <= 1e-12


def test_probabilities_stand_at_their_rows(encoded):
    scores = score_rows(CPU, Sums(), encoded, Classes(), 8)
    shares = probabilities(scores.answers, len(NAMES))
    assert math.isnan(scores.loss)
    for row in (0, 17, 60):
        logits = Sums()(**encoded.batch(np.array([row]))).double()
        assert np.allclose(shares[row], torch.softmax(logits, 1)[0], atol=1e-15)


def test_nothing_is_read_from_the_device_before_all_is_asked(encoded, monkeypatch):
    asked, read = [], []
    whole = score_rows(CPU, Sums(), encoded, Classes(), 8, told=asked.append)
    fetch = evaluate.fetch
    monkeypatch.setattr(evaluate, "fetch", lambda found: read.append(len(asked)) or fetch(found))
    asked.clear()
    again = score_rows(CPU, Sums(), encoded, Classes(), 8, told=asked.append)
    assert set(read) == {len(asked)} and sum(asked) == 61
    monkeypatch.setattr(evaluate, "_FETCH_BYTES", 8 * 3 * 8 * 2)  # of two batches
    read.clear()
    asked.clear()
    parts = score_rows(CPU, Sums(), encoded, Classes(), 8, told=asked.append)
    assert read[:3] == [2, 2, 2] and len(read) == len(asked)
    for other in (again, parts):
        assert np.array_equal(other.answers["logits"], whole.answers["logits"])


def test_in_brief_metrics_and_loss_are_the_same_bits(encoded, labels):
    task, table = (
        TextClassification(),
        pa.table({"text": ["t"] * 61, "label": labels, "row": labels}),
    )
    known = dataclasses.replace(encoded, targets=labels)
    card = SimpleNamespace(label_names=NAMES)
    measured = []
    for brief in (False, True):
        scores = score_rows(CPU, Sums(), known, Classes(), 8, brief=brief)
        assert set(scores.answers) == (
            {"predicted", "probability", "loss"} if brief else {"logits", "loss"}
        )
        predictions = task.decode(scores.answers, None, table, card, None)
        found = task.measure(scores.answers, scores.loss, table, predictions, card)
        measured.append((found, predictions["predicted"], predictions["probability"].to_numpy()))
    (whole, classes, shares), (few, same_classes, same_shares) = measured
    assert whole == few and classes.equals(same_classes)
    assert np.abs(shares - same_shares).max() < 1e-15
    assert predictions.column_names == ["text", "label", "predicted", "probability", "row"]


@pytest.mark.parametrize(("faults", "held"), [("", 32), ("1", 13), ("1 2", 6)])
def test_a_pass_over_the_longest_rows_tells_how_many_the_memory_holds(encoded, faults, held):
    plan_faults(";".join(f"evaluate.batch:{n}:oom" for n in faults.split()))
    seen = []

    class Seen(Sums):
        def forward(self, input_ids, attention_mask):
            seen.append(input_ids.shape[1])
            return super().forward(input_ids, attention_mask)

    assert rows_held(CPU, Seen(), encoded, Classes(), 32) == held
    assert seen[0] == encoded.lengths.max() == 29  # of which 768 tokens hold 26 rows


def test_out_of_memory_halves_the_batch_and_keeps_what_is_done(encoded, labels):
    plan_faults("evaluate.batch:2:oom;evaluate.batch:3:oom")
    found, scores = measure(encoded, labels, 32)
    assert scores.batch_size == 8
    assert found == measure(encoded, labels, 32)[0]


def test_a_row_that_does_not_fit_is_said_in_words(encoded, labels):
    plan_faults("evaluate.batch:1:oom")
    with pytest.raises(MemoryFull, match="while evaluating, even with one row"):
        measure(encoded, labels, 1)


@pytest.mark.parametrize("kind", ["cuda", "raise"])
def test_another_error_is_not_tried_again(encoded, labels, kind):
    plan_faults(f"evaluate.batch:2:{kind}")
    with pytest.raises(RuntimeError):
        measure(encoded, labels, 8)


def test_no_rows_have_no_figures():
    empty = EncodedTexts(
        tokens=np.zeros(0, np.int32), offsets=np.zeros(1, np.int64), pad_token_id=0
    )
    scores = score_rows(CPU, Sums(), empty, Classes(), 8)
    assert len(probabilities(scores.answers, 3)) == 0 and math.isnan(scores.loss)


def test_without_a_limit_of_tokens_batches_are_as_large_as_asked():
    import numpy as np

    from nbtransfer.engine.evaluate import in_batches

    sizes: list[int] = []
    assert in_batches(np.array([9, 5, 7, 3, 8]), 2, lambda rows: sizes.append(len(rows))) == 2
    assert sizes == [2, 2, 1]
