"""Tests of nbtransfer.models.packing.why_not_packed: what cannot be packed, and why."""

from __future__ import annotations

import pytest
import torch

from nbtransfer.models.packing import why_not_flash, why_not_packed
from tests.models.families import tiny_model


@pytest.mark.parametrize(
    ("family", "options", "reason"),
    [
        ("mpnet", {}, "mpnet models have an attention of their own"),
        ("deberta-v2", {}, "deberta-v2 models have an attention of their own"),
        ("bert", {"is_decoder": True}, "set up as a decoder"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            "positions (dynamic)",
        ),
    ],
)
def test_what_cannot_be_packed_is_said_in_words(family, options, reason):
    assert reason in str(why_not_packed(tiny_model(family, **options)))


def test_heads_that_flash_attention_does_not_take_are_told_apart():
    model = tiny_model("bert", num_attention_heads=8)
    assert why_not_packed(model) is None
    assert "4 features" in str(why_not_flash(model))
    assert why_not_flash(tiny_model("bert")) is None


def test_a_layer_on_stored_features_is_not_packed():
    assert "stored features" in str(why_not_packed(torch.nn.Linear(2, 2)))


def test_a_head_of_another_kind_is_not_packed():
    assert "MultipleChoice" in str(why_not_packed(tiny_model("bert", "MultipleChoice")))
