"""Tests of nbtransfer.engine.identity: what must be the same for a job to be the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nbtransfer.engine.identity import check_identity
from nbtransfer.errors import RunError
from nbtransfer.models.freezing import frozen_digest


def test_everything_that_differs_is_listed_old_and_new():
    with pytest.raises(RunError, match=r"seed 1 -> 2; decided prefix 'a: ' -> 'b: '\. Put that"):
        check_identity({"seed": 1, "decided prefix": "a: "}, {"seed": 2, "decided prefix": "b: "})


def test_what_an_earlier_version_did_not_write_down_is_not_compared():
    now = {"seed": 1, "pre-trained weights": "ab", "tokenizer files": "cd", "decided scale": [0, 1]}
    check_identity({"seed": 1}, now)


def test_an_option_that_an_earlier_version_did_not_have_was_as_it_is_by_default():
    check_identity({"seed": 1}, {"seed": 1, "lora_r": None})
    with pytest.raises(RunError, match="lora_r None -> 8"):
        check_identity({"seed": 1}, {"seed": 1, "lora_r": 8})


def test_what_is_gone_since_is_a_difference():
    with pytest.raises(RunError, match="tokenizer files 'cd' -> None"):
        check_identity({"tokenizer files": "cd"}, {})


def test_the_hash_is_of_weights_that_do_not_learn_and_where_all_do_there_is_none():
    model = nn.Linear(2, 2)
    assert frozen_digest(model) is None
    outside = torch.ones(3)
    before = frozen_digest(model, outside)
    assert before != frozen_digest(model, outside * 2)
    with torch.no_grad():
        model.weight.add_(1)
    assert frozen_digest(model, outside) == before
    model.weight.requires_grad_(False)
    assert frozen_digest(model, outside) != before
