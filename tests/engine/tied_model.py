"""A small model with tied weights, its optimizer, and checkpoints of both."""

from __future__ import annotations

import torch
from torch import nn

from nbtransfer.engine.checkpoints import Snapshot, save_checkpoint
from nbtransfer.engine.optim import make_optimizer, set_learning_rate
from nbtransfer.spec import RunSpec

FILES = ["manifest.json", "model.safetensors", "optimizer.safetensors", "state.json"]


class Tied(nn.Module):
    """As a language model: the output reads the embedding's weight; a buffer counts."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.norm = nn.LayerNorm(4)
        self.output = nn.Linear(4, 7)
        self.output.weight = self.embedding.weight
        self.register_buffer("count", torch.tensor(3))

    def forward(self, tokens):
        return self.output(self.norm(self.embedding(tokens))).square().mean()


def make(seed: int = 0):
    torch.manual_seed(seed)
    model = Tied()
    optimizer = make_optimizer(model, RunSpec(model="m", data="d"))
    set_learning_rate(optimizer, 0.1)
    return model, optimizer


def learn(model, optimizer, num_steps=2):
    for step in range(num_steps):
        optimizer.zero_grad()
        model(torch.tensor([step % 7, 3])).backward()
        optimizer.step()


def save(folder, trained, step=1, **state):
    path = folder / f"step-{step:06d}"
    save_checkpoint(path, Snapshot.take(*trained, {"progress": {"step": step}, **state}))
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())
