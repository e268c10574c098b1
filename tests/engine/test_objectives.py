"""Tests of nbtransfer.engine.objectives: sums over micro-batches, answers row by row."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from nbtransfer.data.encode import EncodedTexts
from nbtransfer.data.encoding import Ragged
from nbtransfer.engine.found import exact, fetch
from nbtransfer.engine.objectives import Classes, objective_of

DRAW = torch.Generator().manual_seed(1)
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def logits(*shape):
    return torch.randn(*shape, generator=DRAW)


def output_of(kind):
    if kind == "classes":
        return logits(2, 3), torch.tensor([2, 0])
    if kind == "several classes":
        return logits(2, 3), torch.tensor([[1.0, 0, 1], [0, 0, 1]])
    if kind == "score":
        return logits(2, 1), torch.tensor([0.5, -1.0])
    if kind == "spans":
        spans = SimpleNamespace(start_logits=logits(2, 5), end_logits=logits(2, 5))
        return spans, torch.tensor([[1, 3], [0, 2]])
    return logits(2, 5, 7), torch.tensor([[-100, 1, 6, -100, 2], [0, -100, 3, -100, -100]])


KINDS = ("classes", "several classes", "score", "spans", "tokens", "hidden tokens", "next tokens")


def part(output, rows):
    if isinstance(output, torch.Tensor):
        return output[rows]
    return SimpleNamespace(**{name: value[rows] for name, value in vars(output).items()})


@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_of_rows_add_up_to_that_of_the_batch(kind):
    objective = objective_of(kind)
    output, labels = output_of(kind)
    whole = objective.loss(output, labels)
    parts = [objective.loss(part(output, [i]), labels[[i]]) for i in range(2)]
    assert torch.allclose(sum(parts), whole, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_counts_the_loss_that_training_does(kind):
    objective = objective_of(kind)
    output, labels = output_of(kind)
    batch = {"attention_mask": MASK}
    answers = fetch(objective.answers(lambda **_: output, batch, labels))
    assert answers["loss"].dtype == np.float64
    trained = objective.loss(objective.forward(lambda **_: output, batch, labels), labels)
    assert answers["loss"].sum() == pytest.approx(trained.item(), rel=1e-6)


def test_classes_are_transformers_mean_loss_and_weights_torch_s():
    output, labels = output_of("classes")
    assert torch.allclose(
        Classes().loss(output, labels) / 2, functional.cross_entropy(output, labels)
    )
    weights = torch.tensor([3.0, 1.0, 0.5])
    weighted = Classes(weights)
    encoded = EncodedTexts(
        tokens=np.zeros(2, np.int32),
        offsets=np.arange(3),
        pad_token_id=0,
        targets=labels.numpy(),
    )
    mean = weighted.loss(output, labels) / weighted.weight(encoded, np.arange(2))
    assert torch.allclose(mean, functional.cross_entropy(output, labels, weight=weights))


def test_tokens_are_averaged_over_the_labelled_ones_alone():
    output, labels = output_of("tokens")
    encoded = EncodedTexts(
        tokens=np.zeros(8, np.int32),
        offsets=np.array([0, 5, 8]),
        pad_token_id=0,
        targets=Ragged(np.array([-100, 1, 6, -100, 2, 0, -100, 3]), np.array([0, 5, 8])),
    )
    objective = objective_of("tokens")
    mean = objective.loss(output, labels) / objective.weight(encoded, np.arange(2))
    wanted = functional.cross_entropy(output.reshape(-1, 7), labels.reshape(-1))
    assert torch.allclose(mean, wanted)
    assert encoded.num_targets.tolist() == [3, 2]


def test_next_tokens_are_judged_by_the_token_that_follows():
    output, labels = output_of("next tokens")
    wanted = functional.cross_entropy(
        output[:, :-1].reshape(-1, 7), labels[:, 1:].reshape(-1), reduction="sum"
    )
    assert torch.allclose(objective_of("next tokens").loss(output, labels), wanted)


def test_answers_about_tokens_leave_padding_out():
    output, labels = output_of("tokens")
    batch = {"attention_mask": MASK}
    found = fetch(objective_of("tokens").answers(lambda **_: output, batch, labels))
    assert [len(row) for row in found["tags"]] == [5, 3]
    assert found["tags"][0].tolist() == output[0].argmax(1).tolist()
    spans, _ = output_of("spans")
    found = fetch(objective_of("spans").answers(lambda **_: spans, batch, None))
    assert [len(row) for row in found["start"]] == [5, 3]
    assert "loss" not in found


def test_rows_without_a_labelled_token_divide_nothing():
    encoded = EncodedTexts(
        tokens=np.zeros(2, np.int32),
        offsets=np.array([0, 2]),
        pad_token_id=0,
        targets=Ragged(np.array([-100, -100]), np.array([0, 2])),
    )
    assert objective_of("tokens").weight(encoded, np.array([0])) == 1.0


def test_on_an_apple_gpu_which_has_no_float64_answers_come_to_the_host_first():
    class OnApple:
        device = torch.device("mps")

        def cpu(self):
            return torch.tensor([0.1], dtype=torch.float32)

    assert exact(OnApple()).dtype == torch.float64
    assert exact(torch.tensor([0.1], dtype=torch.bfloat16)).dtype == torch.float64
