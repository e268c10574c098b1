"""Loading what a run trains with: the device, the model, and the rows as the model takes them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from nbtransfer.choices import count_steps
from nbtransfer.data.encode import EncodedTexts, batches_of
from nbtransfer.engine.encoding_once import EncodesOnce
from nbtransfer.engine.frozen import below_cut, compute_once, mean_pooled
from nbtransfer.engine.memory import keep_freed_memory, smaller_evaluation_warning
from nbtransfer.engine.precision import set_determinism, set_precision, usable_precision
from nbtransfer.engine.products import take_products, usable_products
from nbtransfer.engine.stepping import usable_kind
from nbtransfer.language_plan import confirmed_plan
from nbtransfer.models.freezing import Cut, cut_of
from nbtransfer.models.load import MeanPooledClassifier, backbone_of, load_for_training
from nbtransfer.models.vocabulary import train_used_words
from nbtransfer.runs.cache import Cache
from nbtransfer.runs.files import read_table, write_json
from nbtransfer.runs.run import Run
from nbtransfer.tasks.catalog import task_named

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from nbtransfer.data.encode import Encoded
    from nbtransfer.data.encoding import Encoding
    from nbtransfer.engine.frozen import FrozenPart
    from nbtransfer.models.vocabulary import UsedWords
    from nbtransfer.runs.events import EventWriter
    from nbtransfer.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a split.

    Attributes:
        encoded: as the learner takes them, with their targets.
        encoding: as the task made them.
        path: the parquet file with the rows as they were prepared.
    """

    encoded: Encoded
    encoding: Encoding
    path: Path

    def table(self) -> pa.Table:
        """Read the rows as they were prepared: anew each time, for there may be very many."""
        return read_table(self.path)

    def numbers(self) -> np.ndarray:
        """Return which row of the user's data each encoded row came from, int array (N,).

        Rows were held out, and long ones were cut into several.
        """
        return read_table(self.path, ["row"])["row"].to_numpy()[self.encoding.sources]


@dataclass(kw_only=True)
class Loaded:
    """What a run trains with.

    Attributes:
        accelerator: places tensors and chooses the arithmetic.
        model: the whole model with its head, on its device.
        learner: what the loop trains: the model, or for frozen features its linear layer alone.
        tokenizer: the model's own.
        train: the training rows.
        validation: the validation rows, if there are any.
        words: which word vectors learn, where not all of them do.
        precision: arithmetic of the passes: `fp32`, `tf32`, `bf16` or `fp16`.
        step_kind: how steps are taken: `eager` or `graphed`.
        cut: leaves out the blocks whose answers the rows bring, if they do.
    """

    accelerator: Accelerator
    model: nn.Module
    learner: nn.Module
    tokenizer: PreTrainedTokenizerBase
    train: Rows
    validation: Rows | None
    words: UsedWords | None
    precision: str
    step_kind: str
    cut: Cut | None = None


def load_run(run: Run, events: EventWriter) -> Loaded:
    """Load what `run` trains with, saying in its log what is being done."""
    torch.set_num_threads(run.plan.num_threads)
    keep_freed_memory()
    events.append("phase_started", phase="loading")
    AcceleratorState._reset_state(reset_partial_state=True)  # a warm worker had another job before
    set_determinism(run.spec.deterministic)
    precision = usable_precision(run.plan, events)
    accelerator = Accelerator(
        cpu=run.plan.device == "cpu", mixed_precision=set_precision(precision)
    )
    card = run.data_card
    task = task_named(card.task)
    model, tokenizer, notes = load_for_training(
        run.model_card, run.spec, task, card, run.plan.max_length
    )
    model = model.to(accelerator.device)
    take_products(model, products := usable_products(run.plan, precision, events))
    if products == "onednn":
        notes = (*notes, f"Matrix products are oneDNN's: {run.plan.products_reason}.")
    events.append(
        "model_loaded",
        num_parameters=sum(p.numel() for p in model.parameters()),
        num_trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        notes=list(notes),
    )
    events.append("phase_started", phase="tokenizing")

    cache = Cache(run.dir.parent)
    encode_once = EncodesOnce(task, tokenizer, run.plan.max_length, card, cache)
    kept: list[str] = []

    def rows_of(split: str) -> Rows:
        path = run.paths.split(split)
        encoding, found = encode_once(path)
        kept.append(found)
        pad_multiple = 8 if accelerator.device.type == "cuda" else 1
        encoded = batches_of(encoding, tokenizer, pad_multiple=pad_multiple)
        return Rows(encoded=encoded, encoding=encoding, path=path)

    train = rows_of("train")
    validation = rows_of("validation") if run.paths.split("validation").is_file() else None
    words = None
    if run.plan.trains_used_words:
        splits = (train,) if validation is None else (train, validation)
        words = train_used_words(model, [rows.encoded for rows in splits])
    lengths = train.encoded.lengths
    _say_what_is_lost(train, validation, events)
    events.append(
        "data_encoded",
        num_train=len(lengths),
        num_validation=0 if validation is None else validation.encoding.tokens.num_rows,
        num_tokens=int(lengths.sum()),
        share_texts_cut=run.plan.share_texts_cut,
        share_tokens_cut=run.plan.share_tokens_cut,
        cache="miss" if "miss" in kept else kept[0],
        words=None if words is None else list(words.num_words),
    )
    learner: nn.Module = model
    part = cut = None
    if isinstance(model, MeanPooledClassifier):
        learner, part = model.classifier, mean_pooled(model)
    kind = usable_kind(run.plan.step_kind, accelerator, learner, train.encoded, events)
    if (
        run.spec.technique not in ("full", "lora", "features")  # adapters learn in every layer
        and kind == "eager"  # packed steps go through all layers
        and (cut := cut_of(model, backbone_of(model))) is not None
    ):
        part = below_cut(model, cut)
    if part is not None:
        events.append("phase_started", phase="computing frozen layers")

        def above_frozen(rows: Rows) -> Rows:
            return _above_frozen(run, accelerator, model, part, rows, cache, events)

        train = above_frozen(train)
        validation = None if validation is None else above_frozen(validation)
    return Loaded(
        accelerator=accelerator,
        model=model,
        learner=learner,
        tokenizer=tokenizer,
        train=train,
        validation=validation,
        words=words,
        precision=precision,
        step_kind=kind,
        cut=cut,
    )


def _above_frozen(
    run: Run,
    accelerator: Accelerator,
    model: nn.Module,
    part: FrozenPart,
    rows: Rows,
    cache: Cache,
    events: EventWriter,
) -> Rows:
    """Return the rows with what the frozen part says of them, if there is room to keep it."""
    encoded = rows.encoded
    if not isinstance(encoded, EncodedTexts) or encoded.masking is not None:
        return rows
    wanted = run.spec.eval_batch_size
    found = compute_once(accelerator, model, part, encoded, wanted, cache)
    if found.batch_size < wanted:
        warning = smaller_evaluation_warning("before the first step", wanted, found.batch_size)
        events.append("warning_raised", **warning._asdict())
    events.append(
        "frozen_layers_computed",
        num_rows=len(encoded.lengths),
        num_layers=part.num_layers,
        cache=("hit" if found.hit else "miss") if found.place else "no room",
        place=found.place,
        num_bytes=found.num_bytes,
    )
    return dataclasses.replace(rows, encoded=found.rows)


def with_counted_steps(run: Run, num_rows: int, events: EventWriter) -> Run:
    """Return the run with the steps that `num_rows` encoded training rows make.

    Long documents become several rows, and the kernel can only estimate how many. What is resumed
    later, or shown, is the plan with the true number: it takes the place of the first one.
    """
    plan, counted = run.plan, count_steps(run.spec, num_rows)
    if counted.per_epoch == plan.steps_per_epoch:
        return run
    changed = ("num_steps", plan.num_steps, counted.total)
    if counted.total == plan.num_steps:  # as many as were asked for, in longer or shorter epochs
        changed = ("steps_per_epoch", plan.steps_per_epoch, counted.per_epoch)
    events.append(
        "plan_changed",
        field=changed[0],
        old=changed[1],
        new=changed[2],
        reason=f"the model's own tokenizer makes {num_rows:,} rows of the training texts",
    )
    write_json(run.paths.plan, confirmed_plan(plan, run.spec, counted).to_json())
    return Run(run.dir)


def _say_what_is_lost(train: Rows, validation: Rows | None, events: EventWriter) -> None:
    for split, rows in (("train", train), ("validation", validation)):
        lost = None if rows is None else rows.encoding.lost
        if lost is not None and lost.num_lost:
            events.append(
                "warning_raised",
                code="answers_lost",
                headline=f"{split}: {lost.headline}",
                advice=lost.advice,
            )


def class_weights(
    spec: RunSpec, targets: object, label_names: tuple[str, ...]
) -> torch.Tensor | None:
    """Return weights by class, mean 1 over the rows for `balanced` (King and Zeng, 2001)."""
    wanted = spec.class_weights
    if wanted is None:
        return None
    if wanted == "balanced":
        assert isinstance(targets, np.ndarray)
        counts = torch.bincount(torch.from_numpy(targets), minlength=len(label_names)).float()
        return counts.sum() / (counts.clamp(min=1) * len(counts))
    assert isinstance(wanted, dict)
    return torch.tensor([float(wanted.get(name, 1.0)) for name in label_names])
