"""The contestants of a benchmark: transformers' Trainer in three settings, and nbtransfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import logging

from nbtransfer import jobs
from nbtransfer.engine.train import Training
from nbtransfer.engine.worker import StopSignal
from nbtransfer.models.catalog import open_model
from nbtransfer.runs import store
from nbtransfer.runs.events import EventWriter

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

    from nbtransfer.bench.turns import Turn
    from nbtransfer.jobs import Job

PAD_TO_MAX, DYNAMIC, BEST, OURS = (
    "Trainer, padded to 128",
    "Trainer, dynamic padding",
    "Trainer, + length grouping",
    "nbtransfer",
)
TRAINERS = (PAD_TO_MAX, DYNAMIC, BEST)
_PADDED_TO = 128


@dataclass(frozen=True, kw_only=True)
class Match:
    """What all contestants do: the same rows, batches, updates and schedule.

    Attributes:
        model: as for `finetune`.
        train: rows to train on, each with "text" and "label".
        test: rows to evaluate on.
        batch_size: rows an update.
        epochs: passes over `train`.
        learning_rate: the peak; it falls linearly after a tenth of the updates.
        technique: what learns; see `finetune`.
        seed: of the new head, of dropout and of the order of rows.
        folder: where runs and Trainer's output go.
    """

    model: str
    train: list[dict[str, str]]
    test: list[dict[str, str]]
    batch_size: int
    epochs: int
    learning_rate: float
    technique: str
    seed: int
    folder: Path

    @property
    def num_steps(self) -> int:
        """Updates in all."""
        return self.epochs * -(-len(self.train) // self.batch_size)

    @property
    def labels(self) -> list[str]:
        """The classes, in the order of their numbers."""
        return sorted({row["label"] for row in self.train})


class _TakesTurns(TrainerCallback):  # type: ignore[misc]  # it has no types
    """Ends Trainer's turn after each of its steps."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._begun = False

    def on_step_begin(self, *args: object, **kwargs: object) -> None:
        if not self._begun:
            self._begun = True
            self._turn.begin()

    def on_step_end(self, *args: object, **kwargs: object) -> None:
        self._turn.end()


def make_trainer(match: Match, setting: str) -> Trainer:
    """Return Trainer on the match, in one of its three settings, its other options untouched."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(_location(match))
    padding = {"padding": "max_length"} if setting == PAD_TO_MAX else {}

    def rows_of(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
        encoded = tokenizer(
            [row["text"] for row in rows], truncation=True, max_length=_PADDED_TO, **padding
        )
        return [
            {**{name: values[i] for name, values in encoded.items()}, "label": label}
            for i, label in enumerate(match.labels.index(row["label"]) for row in rows)
        ]

    torch.manual_seed(match.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        _location(match), num_labels=len(match.labels), dtype=torch.float32
    )
    freeze_as(model, match)
    arguments = TrainingArguments(
        output_dir=str(match.folder / "trainer"),
        num_train_epochs=match.epochs,
        per_device_train_batch_size=match.batch_size,
        learning_rate=match.learning_rate,
        warmup_steps=round(0.1 * match.num_steps),
        weight_decay=0.01,
        seed=match.seed,
        train_sampling_strategy="group_by_length" if setting == BEST else "random",
        use_cpu=True,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=rows_of(match.train),
        eval_dataset=rows_of(match.test),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def train_with_trainer(match: Match, setting: str, turn: Turn) -> PreTrainedModel:
    """Let Trainer train, a step a turn; return its model."""
    trainer = make_trainer(match, setting)
    trainer.add_callback(_TakesTurns(turn))
    trainer.train()
    return trainer.model


def make_training(match: Match) -> Training:
    """Return nbtransfer's training of the match, as its worker would begin it in a run folder."""
    job = prepare(match)
    run = store.create_run(
        job.runs_dir,
        spec=job.spec,
        plan=job.plan,
        data_card=job.prepared.card,
        model_card=job.model_card,
        splits=job.prepared.splits,
    )
    events = EventWriter(run.paths.events)
    training = Training(run.paths, events, StopSignal(), restart=False)
    assert list(training.card.label_names) == match.labels
    training.validation = None  # evaluation is measured by itself
    training.resume()
    return training


def train_with_nbtransfer(match: Match, turn: Turn) -> Training:
    """Train in the real loop, with its event log and control file, a step a turn."""
    training = make_training(match)
    take = training.take_step

    class Taking:
        """The step, and the end of the turn after it."""

        def __init__(self) -> None:
            self._begun = False

        def __getattr__(self, name: str) -> object:
            return getattr(take, name)

        def __call__(self, *arguments: Any) -> object:  # noqa: ANN401 -- the step's own
            if self._begun:  # here, so that what the loop does after a step is in its turn
                turn.end()
            else:
                self._begun = True
                turn.begin()
            return take(*arguments)

    training.take_step = Taking()  # type: ignore[assignment]
    training.loop()
    turn.end()
    return training


def prepare(match: Match) -> Job:
    """Return the match as nbtransfer plans it."""
    return jobs.prepare_job(
        match.model,
        match.train,
        keywords={
            "validation": match.test,
            "num_train_epochs": match.epochs,
            "per_device_train_batch_size": match.batch_size,
            "learning_rate": match.learning_rate,
            "warmup_steps": 0.1,
            "technique": match.technique,
            "max_length": _PADDED_TO,
            "seed": match.seed,
            "use_cpu": True,
        },
        runs_dir=match.folder / "runs",
    )


def freeze_as(model: PreTrainedModel, match: Match) -> None:
    """Freeze for Trainer what nbtransfer's technique freezes, as a user of Trainer would."""
    if match.technique == "full":
        return
    card = open_model(match.model, runs_dir=match.folder)
    for parameter in model.base_model.parameters():
        parameter.requires_grad_(False)
    learning = []
    if match.technique.startswith("top:"):
        learning = list(model.base_model.encoder.layer[-int(match.technique[4:]) :])
    if learning or card.lacks_pooler:
        learning.append(model.base_model.pooler)
    for part in learning:
        part.requires_grad_(True)


def _location(match: Match) -> str:
    return open_model(match.model, runs_dir=match.folder).location
