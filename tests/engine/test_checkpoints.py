"""Tests of nbtransfer.engine.checkpoints: weights, moments and state come back bit for bit."""

from __future__ import annotations

import copy
import json
import math
import os

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from nbtransfer.engine.checkpoints import (
    Snapshot,
    damage,
    load_checkpoint,
    load_model_state,
    read_state,
    save_checkpoint,
)
from nbtransfer.engine.optim import make_optimizer
from nbtransfer.spec import RunSpec
from tests.engine.tied_model import FILES, learn, make, save


def test_weights_moments_and_state_come_back_bit_for_bit(folder, trained):
    path = save(folder, trained, loss=0.1 + 0.2)
    model, optimizer = make(seed=1)
    load_checkpoint(path, model, optimizer)
    state = read_state(path)
    assert state["progress"] == {"step": 1}
    assert state["loss"] == 0.1 + 0.2
    for (name, a), b in zip(
        trained[0].state_dict().items(), model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    for a, b in zip(trained[0].parameters(), model.parameters(), strict=True):
        before, after = trained[1].state[a], optimizer.state[b]
        assert before.keys() == after.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_training_goes_on_to_the_same_bits(folder, trained):
    path = save(folder, trained)
    model, optimizer = make()
    load_checkpoint(path, model, optimizer)
    other, other_optimizer = make()
    learn(other, other_optimizer, 2)
    for pair in ((model, optimizer), (other, other_optimizer)):
        learn(*pair, 3)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_a_checkpoint_before_the_first_step_has_no_moments(folder):
    fresh = make()
    path = save(folder, fresh, 0)
    model, optimizer = make(seed=1)
    load_checkpoint(path, model, optimizer)
    assert not optimizer.state
    assert torch.equal(model.embedding.weight, fresh[0].embedding.weight)


def test_tied_weights_are_saved_once_and_restored(folder, trained):
    path = save(folder, trained)
    saved = load_file(path / "model.safetensors")
    assert "embedding.weight" in saved
    assert "output.weight" not in saved
    aliases = json.loads((path / "state.json").read_text())["aliases"]
    assert aliases == {"output.weight": "embedding.weight"}
    model, _ = make(seed=1)
    load_model_state(path, model)
    assert model.output.weight is model.embedding.weight
    assert torch.equal(model.output.weight, trained[0].output.weight)


class Views(nn.Module):
    """Two buffers on one storage, of which one is the other's transpose."""

    def __init__(self):
        super().__init__()
        square = torch.arange(9.0).reshape(3, 3)
        self.register_buffer("a", square)
        self.register_buffer("b", square.T)


def test_a_transposed_view_of_the_same_storage_is_not_taken_for_it(folder, trained):
    model = Views()
    snapshot = Snapshot.take(model, trained[1], {})
    assert snapshot.aliases == {}
    path = folder / "step-000001"
    save_checkpoint(path, snapshot)
    assert torch.equal(load_file(path / "model.safetensors")["b"], model.a.T)


def test_a_snapshot_stays_as_it_was_while_training_goes_on(folder):
    model, optimizer = make()
    learn(model, optimizer)
    state = {"progress": {"step": 2, "losses": [0.5]}}
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()["state"]))
    snapshot = Snapshot.take(model, optimizer, state)
    learn(model, optimizer)
    state["progress"]["losses"].append(0.25)
    path = folder / "step-000002"
    save_checkpoint(path, snapshot)
    other, other_optimizer = make(seed=1)
    load_checkpoint(path, other, other_optimizer)
    assert read_state(path)["progress"] == {"step": 2, "losses": [0.5]}
    assert all(torch.equal(before[0][k], v) for k, v in other.state_dict().items())
    moments = other_optimizer.state_dict()["state"]
    assert all(torch.equal(before[1][i][k], moments[i][k]) for i in moments for k in moments[i])


def test_frozen_weights_are_kept_and_have_no_moments(folder):
    model, _ = make()
    model.embedding.requires_grad_(False)
    optimizer = make_optimizer(model, RunSpec(model="m", data="d"))
    learn(model, optimizer)
    path = save(folder, (model, optimizer))
    assert "embedding.weight" in load_file(path / "model.safetensors")
    moments = {key.rpartition("/")[0] for key in load_file(path / "optimizer.safetensors")}
    assert moments == {"norm.weight", "norm.bias", "output.bias"}


def test_a_state_with_a_loss_that_is_no_number_is_saved(folder, trained):
    path = save(folder, trained, losses=[[0.5, math.nan], [0.5, math.inf]])
    state = read_state(path)
    assert math.isnan(state["losses"][0][1])
    assert damage(path) is None


def test_saving_returns_the_bytes_on_disk(folder, trained):
    path = folder / "step-000001"
    num_bytes = save_checkpoint(path, Snapshot.take(*trained, {}))
    assert num_bytes == sum((path / name).stat().st_size for name in FILES[1:])


def test_saving_changes_neither_model_nor_optimizer(folder, trained):
    before = copy.deepcopy((trained[0].state_dict(), trained[1].state_dict()))
    save(folder, trained)
    after = (trained[0].state_dict(), trained[1].state_dict())
    assert all(torch.equal(before[0][k], after[0][k]) for k in before[0])
    assert str(before[1]) == str(after[1])


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_modes_the_umask_says(folder, trained, umask, mode, monkeypatch):
    set_umask, before = os.umask, os.umask(umask)
    # To look at it is to set it, for every thread of the process.
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask was set"))
    try:
        path = save(folder, trained)
    finally:
        set_umask(before)
    assert {name: (path / name).stat().st_mode & 0o777 for name in FILES[1:]} == dict.fromkeys(
        FILES[1:], mode
    )
