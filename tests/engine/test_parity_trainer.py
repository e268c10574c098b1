"""transformers' Trainer is the reference: same weights, rows and options give the same losses."""

from __future__ import annotations

import copy
import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from nbtransfer.engine.train import Training
from nbtransfer.engine.worker import StopSignal
from nbtransfer.models.catalog import open_model
from nbtransfer.runs.events import EventWriter
from nbtransfer.runs.files import read_table
from tests.engine.jobs import make_run, write_mini_model
from tests.engine.trainer_reference import train_in_our_order

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn
    from transformers import PreTrainedTokenizerBase

pytestmark = pytest.mark.slow

NUM_ROWS = 48  # whole steps only: Trainer gets our rows in our order and cuts them evenly
OFF = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}


def without_dropout(name: str, folder: Path) -> str:
    """Return the folder of a copy of that model whose configuration drops nothing."""
    if name == "mini":
        folder.mkdir()
        write_mini_model(folder)
    else:
        shutil.copytree(open_model(name, runs_dir=folder.parent).location, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **OFF}))
    return str(folder)


def train_with_trainer(
    training: Training,
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    loss_function: Callable[..., torch.Tensor] | None,
) -> tuple[list[float], list[float]]:
    """Let Trainer train `model` on the rows of each of our steps; return losses and norms."""
    from transformers import DataCollatorWithPadding, TrainerCallback

    plan = training.plan
    table = read_table(training.paths.split("train"))
    rows = [
        {**tokenizer(text, truncation=True, max_length=plan.max_length), "label": label}
        for text, label in zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True)
    ]
    norms: list[float] = []

    class Norms(TrainerCallback):
        def on_pre_optimizer_step(self, *args, **kwargs):
            # Trainer has clipped already: what is left is at most the limit.
            grads = [p.grad for p in kwargs["model"].parameters() if p.grad is not None]
            norms.append(float(torch.nn.utils.get_total_norm(grads)))

    _, losses = train_in_our_order(
        training,
        model,
        rows,
        folder,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_loss_func=loss_function,
        callbacks=[Norms()],
    )
    each = training.spec.gradient_accumulation_steps
    return [sum(losses[i : i + each]) for i in range(0, len(losses), each)], norms


@pytest.mark.parametrize(
    ("name", "accumulation", "weighted", "technique"),
    [
        ("mini", 1, False, "full"),
        ("mini", 2, False, "full"),
        ("mini", 1, True, "full"),
        ("demo:bert-tiny", 1, False, "full"),
        ("demo:bert-tiny", 2, False, "full"),
        ("demo:bert-tiny", 1, False, "head"),
    ],
)
def test_losses_agree_with_trainer_step_by_step(
    tmp_path, runs_dir, name, accumulation, weighted, technique
):
    weights = {"bad": 1.0, "good": 3.0}
    run = make_run(
        runs_dir,
        num_rows=NUM_ROWS,
        model=without_dropout(name, tmp_path / "model"),
        num_train_epochs=2,
        gradient_accumulation_steps=accumulation,
        validation=False,
        class_weights=weights if weighted else None,
        technique=technique,
    )
    training = Training(run.paths, EventWriter(run.paths.events), StopSignal(), restart=False)
    reference = copy.deepcopy(training.model)
    if training.loaded.words is not None:  # Trainer trains the whole vocabulary
        reference.get_input_embeddings().restore()
    start = copy.deepcopy(reference.state_dict())
    tokenizer = training.loaded.tokenizer
    training.resume()
    training.loop()
    loss_function = None
    if accumulation > 1:
        # Left to itself, Trainer 5.23 adds up the mean losses of a step's micro-batches for models
        # that take any keyword, BERT among them: twice the loss and twice the gradient.
        def loss_function(outputs, labels, num_items_in_batch=None):
            assert num_items_in_batch == accumulation * run.spec.per_device_train_batch_size
            return cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch

    if weighted:
        by_class = torch.tensor([weights[label] for label in run.data_card.label_names])

        def loss_function(outputs, labels, num_items_in_batch=None):
            return cross_entropy(outputs.logits, labels, weight=by_class)

    losses, norms = train_with_trainer(
        training,
        reference,
        tokenizer,
        tmp_path / "trainer",
        loss_function,
    )
    steps = [event for event in run.events() if event["type"] == "step_completed"]
    assert len(steps) == len(losses) == run.plan.num_steps
    np.testing.assert_allclose([s["loss"] for s in steps], losses, rtol=1e-5)
    clipped = [min(s["grad_norm"], run.spec.max_grad_norm) for s in steps]
    np.testing.assert_allclose(clipped, norms, rtol=1e-3)
    used = slice(None)
    if training.loaded.words is not None:
        used = training.loaded.words.words
        training.loaded.words.restore()
    ours = training.plain_learner().state_dict()
    for key, theirs in reference.state_dict().items():
        if key.endswith(".key.bias"):  # it moves all of a softmax's scores alike: its gradient is
            continue  # rounding alone, which Adam makes as large as any other
        if key.endswith("word_embeddings.weight"):  # Trainer's decay reaches words without use
            theirs, ours[key], start[key] = theirs[used], ours[key][used], start[key][used]
        moved, apart = float((theirs - start[key]).norm()), float((ours[key] - theirs).norm())
        assert apart <= 1e-3 * moved, (key, apart, moved)
