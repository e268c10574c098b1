"""Tests of nbtransfer.estimates: numbers worked by hand, and steps measured elsewhere."""

import dataclasses

import pytest

from nbtransfer import estimates
from tests.plans import CPU, changed
from tests.plans import MODEL as MINILM

TINY = changed(
    MINILM,
    num_parameters=1000,
    num_embedding_parameters=400,
    num_layers=2,
    hidden_size=8,
    intermediate_size=32,
    num_heads=2,
    vocab_size=50,
    max_positions=64,
    weights_bytes=4000,
)
BERT_BASE = dataclasses.replace(
    TINY,
    num_parameters=109_482_240,
    num_embedding_parameters=23_835_648,
    num_layers=12,
    hidden_size=768,
    intermediate_size=3072,
    num_heads=12,
)
TWO_CORES = changed(CPU, memory_bytes=16 * 10**9, free_bytes=12 * 10**9)
H100 = dataclasses.replace(TWO_CORES, device="cuda", name="NVIDIA H100 80GB HBM3", bf16=True)


def step_s(model, hardware, **changes):
    arguments = {
        "batch_size": 32,
        "accumulation": 1,
        "tokens": 32,
        "technique": "full",
        "precision": "fp32",
        "num_trainable": model.num_parameters,
    }
    return estimates.step_seconds(model, hardware, **{**arguments, **changes})


@pytest.mark.parametrize(
    ("technique", "num_labels", "trainable"),
    [("full", 2, 1018), ("head", 2, 18), ("head", 5, 45), ("features", 2, 18)],
)
def test_trainable_parameters(technique, num_labels, trainable):
    assert estimates.num_trainable_parameters(TINY, num_labels, technique) == trainable


def test_a_head_with_a_dense_layer_has_more_to_train():
    roberta = dataclasses.replace(TINY, model_type="roberta")
    assert estimates.num_trainable_parameters(roberta, 2, "head") == 8 * 8 + 8 + 18
    assert estimates.num_trainable_parameters(roberta, 2, "features") == 18


def test_memory_of_full_training():
    # weights 4 x 1,018; gradients and moments 12 x 1,018;
    # activations: 2 blocks x 3 texts x 10 tokens x (4 x (8x8 + 2x32) + 2x8 + 9 x 2 heads x 10)
    expected = 4072 + 12216 + 60 * 708
    assert (
        estimates.memory_by_technique(TINY, batch_size=3, tokens=10, technique="full") == expected
    )


@pytest.mark.parametrize("technique", ["head", "features"])
def test_memory_of_a_frozen_backbone(technique):
    expected = 4072 + 12 * 18 + 30 * 708
    assert (
        estimates.memory_by_technique(TINY, batch_size=3, tokens=10, technique=technique)
        == expected
    )


def test_half_precision_keeps_a_second_copy_of_the_weights():
    arguments = {"batch_size": 3, "tokens": 10, "technique": "full"}
    half = estimates.memory_by_technique(TINY, precision="bf16", **arguments)
    assert half == 4072 + 2000 + 12216 + int(0.6 * 60 * 708)


def test_disk_holds_three_checkpoints_and_the_model():
    assert estimates.disk_bytes(TINY, 1018) == 3 * (4000 + 8 * 1018) + 4000


def test_flops_of_a_forward_pass():
    # 600 weights are stored, but two blocks of 4x8x8 + 2x8x32 run 1,536 a token
    assert estimates.forward_flops(TINY, tokens=10) == 10 * (2 * 1536 + 4 * 10 * 8 * 2)
    wide = dataclasses.replace(TINY, num_parameters=2400)
    assert estimates.forward_flops(wide, tokens=10) == 10 * (2 * 2000 + 4 * 10 * 8 * 2)


def test_a_measured_step_on_two_cores():
    assert step_s(MINILM, TWO_CORES) == pytest.approx(0.85, rel=0.05)
    assert step_s(MINILM, TWO_CORES, batch_size=16, tokens=30) == pytest.approx(0.41, rel=0.1)


@pytest.mark.parametrize(
    ("batch_size", "tokens", "precision", "measured_s"),
    [
        (16, 27, "fp32", 0.033),
        (64, 270, "fp32", 0.199),
        (16, 27, "bf16", 0.042),
        (64, 270, "bf16", 0.126),
    ],
)
def test_measured_steps_on_an_h100_within_a_factor_of_two(
    batch_size, tokens, precision, measured_s
):
    estimate = step_s(BERT_BASE, H100, batch_size=batch_size, tokens=tokens, precision=precision)
    assert measured_s / 2 < estimate < measured_s * 2


def test_accumulation_multiplies_the_passes_but_not_the_update():
    one, four = step_s(MINILM, TWO_CORES), step_s(MINILM, TWO_CORES, accumulation=4)
    assert 3.7 * one < four < 4 * one


def test_a_frozen_backbone_costs_a_third_and_more_threads_less():
    full = step_s(MINILM, TWO_CORES)
    head = step_s(MINILM, TWO_CORES, technique="head", num_trainable=770)
    assert head < full / 2.9
    eight = dataclasses.replace(TWO_CORES, num_threads=8)
    assert full / 4 < step_s(MINILM, eight) < full / 2.5
