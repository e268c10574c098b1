"""The contestants of a benchmark: transformers' Trainer in three settings, and nbtransfer."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
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
from nbtransfer.bench.match import BEST, OURS, PAD_TO_MAX, PADDED_TO, Match
from nbtransfer.engine.evaluate import score_rows
from nbtransfer.engine.train import Training
from nbtransfer.engine.worker import StopSignal
from nbtransfer.models.catalog import open_model
from nbtransfer.runs import store
from nbtransfer.runs.events import EventWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel

    from nbtransfer.bench.turns import Turn
    from nbtransfer.jobs import Job

_ROUNDS = 7


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
            [row["text"] for row in rows], truncation=True, max_length=PADDED_TO, **padding
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


def train_with_trainer(match: Match, setting: str, turn: Turn) -> Trainer:
    """Let Trainer train, a step a turn; return it."""
    trainer = make_trainer(match, setting)
    trainer.add_callback(_TakesTurns(turn))
    trainer.train()
    return trainer


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
            "max_length": PADDED_TO,
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


def train(match: Match, name: str, turn: Turn) -> dict[str, float]:
    """Train, a step a turn, after a pass that spends what the first one of a process costs."""
    model = make_trainer(match, BEST).model
    ids = torch.full((match.batch_size, 32), 5)
    model(input_ids=ids).logits.sum().backward()
    del model
    _train(match, name, turn)
    return {}


def score(match: Match, name: str, turn: Turn) -> dict[str, float]:
    """Train, a step a turn; return the accuracy on the test rows."""
    trained = _train(match, name, turn)
    if isinstance(trained, Training):
        logits, labels = _ask(trained)
    else:
        logits, labels, _ = trained.predict(trained.eval_dataset)
    return {"accuracy": float((logits.argmax(1) == labels).mean())}


def evaluate(match: Match, name: str, turn: Turn) -> dict[str, float]:
    """Evaluate the test rows, once a turn, after one time that does not count."""
    call: Callable[[], object]
    if name == OURS:
        call = partial(_ask, make_training(match))
    else:
        trainer = make_trainer(match, name)
        if name == BEST:
            trainer.args.per_device_eval_batch_size = 64
        call = trainer.evaluate
    call()
    turn.begin()
    for _ in range(_ROUNDS):
        call()
        turn.end()
    return {}


def start(match: Match, name: str, turn: Turn) -> dict[str, float]:
    """Train without giving way to others; return seconds to the first step, and peak memory."""
    started, imported, base = psutil.Process().create_time(), time.time(), _peak_bytes()
    first = 0.0

    class Alone:
        """The interface of `turn`, which waits for nobody."""

        def begin(self) -> None:
            pass

        def end(self) -> None:
            nonlocal first
            first = first or time.time()

    _train(match, name, Alone())  # type: ignore[arg-type]
    peak = _peak_bytes()
    return {
        "first_step_s": first - started,
        "first_step_after_imports_s": first - imported,
        "peak_bytes": peak,
        "peak_above_imports_bytes": peak - base,
    }


JOBS = {"train": train, "score": score, "evaluate": evaluate, "start": start}


def _train(match: Match, name: str, turn: Turn) -> Training | Trainer:
    if name == OURS:
        return train_with_nbtransfer(match, turn)
    return train_with_trainer(match, name, turn)


def _ask(training: Training) -> tuple[Any, Any]:
    """Return the logits of the test rows, and their classes."""
    assert training.loaded.validation is not None
    size = training.spec.per_device_eval_batch_size
    rows = training.loaded.validation.encoded
    scores = score_rows(training.accelerator, training.learner, rows, training.objective, size)
    return scores.answers["logits"], rows.targets


def _peak_bytes() -> int:
    """Return the most memory this process has held, where the system tells; otherwise 0."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    # ru_maxrss would do, but a new process inherits its parent's.
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _location(match: Match) -> str:
    return open_model(match.model, runs_dir=match.folder).location
