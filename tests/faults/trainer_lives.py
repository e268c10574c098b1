"""The same small job under transformers' Trainer, each life in a process that can be killed."""

from __future__ import annotations

import json
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.engine.jobs import reviews
from tests.faults.trainer_faults import FAULTS

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    import torch
    from transformers import Trainer

NUM_STEPS = 12
SAVE_STEPS = 4


class Life(NamedTuple):
    """What a life of a Trainer job came to.

    Attributes:
        exitcode: of the process; -9 after SIGKILL.
        error: type and text of the exception that ended it; "" if none did.
        step: steps done in the end, those of earlier lives included.
        log: the Trainer's own log rows that hold a loss.
        rates: learning rate by step, read from the optimizer as the step is taken.
        warnings: everything logged or warned at WARNING or above.
        batches: rows of each batch trained on, in order.
    """

    exitcode: int
    error: str
    step: int
    log: list[dict[str, float]]
    rates: dict[int, float]
    warnings: list[str]
    batches: list[int]


def live(
    model: str,
    folder: Path,
    *,
    resume: bool = False,
    fault: str = "",
    rows: str = "",
    **arguments: object,
) -> Life:
    """Train the job in `folder` for one life.

    Args:
        model: folder of the pre-trained model.
        folder: the Trainer's output_dir.
        resume: train(resume_from_checkpoint=True).
        fault: one of `FAULTS`, with the step or call after a colon.
        rows: "reversed" or "relabelled" for other data than the job began with.
        arguments: of TrainingArguments.
    """
    return end(begin(model, folder, resume=resume, fault=fault, rows=rows, **arguments), folder)


def begin(
    model: str,
    folder: Path,
    *,
    resume: bool = False,
    fault: str = "",
    rows: str = "",
    **arguments: object,
) -> BaseProcess:
    """Start what `live` waits for."""
    import multiprocessing

    folder.mkdir(parents=True, exist_ok=True)
    process = multiprocessing.get_context("forkserver").Process(
        target=_live, args=(model, str(folder), resume, fault, rows, arguments)
    )
    process.start()
    return process


def end(process: BaseProcess, folder: Path) -> Life:
    """Wait for a life begun in `folder` and return what it came to."""
    process.join()
    done = _record_of(folder, process.pid)
    record: dict[str, Any] = {"error": "", "step": 0, "log": [], "rates": {}, "warnings": []}
    record["batches"] = []
    if done.exists():
        record.update(json.loads(done.read_text()))
        record["rates"] = {int(step): rate for step, rate in record["rates"].items()}
    return Life(exitcode=process.exitcode, **record)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the model's weights as the last finished life left them."""
    from safetensors.torch import load_file

    return load_file(_final_of(folder))


def same_weights(folder: Path, other: Path) -> bool:
    """Whether two jobs ended with the same bits."""
    ours, theirs = weights(folder), weights(other)
    return ours.keys() == theirs.keys() and all((ours[k] == theirs[k]).all() for k in ours)


def checkpoints(folder: Path) -> list[str]:
    """Return what the job has left, whole or not."""
    return sorted(path.name for path in folder.iterdir())


def _record_of(folder: Path, pid: int | None) -> Path:
    """Where the life in that process writes what it came to; the folder is the Trainer's alone."""
    return folder.with_name(f"{folder.name}.{pid}.json")


def _final_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.safetensors")


def _live(
    model: str, folder: str, resume: bool, fault: str, rows: str, arguments: dict[str, object]
) -> None:
    import transformers
    from safetensors.torch import save_file

    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    transformers.set_seed(42)
    trainer = make_trainer(model, folder, rows, arguments)
    told = _Told()  # loading says that the head is new
    network = trainer.model
    batches, rates = _watch(trainer)
    name, _, at = fault.partition(":")
    if name:
        FAULTS[name](trainer, int(at))
    error = ""
    try:
        trainer.train(resume_from_checkpoint=True if resume else None)
    except (Exception, KeyboardInterrupt) as raised:  # as a kernel shows either and goes on
        error = f"{type(raised).__name__}: {raised}"
    save_file(network.state_dict(), _final_of(Path(folder)))
    record = {
        "error": error,
        "step": trainer.state.global_step,
        "log": [row for row in trainer.state.log_history if "loss" in row],
        "rates": rates,
        "warnings": told.texts,
        "batches": batches,
    }
    _record_of(Path(folder), os.getpid()).write_text(json.dumps(record))


def make_trainer(model: str, folder: str, rows: str, arguments: dict[str, object]) -> Trainer:
    """Return the job as a notebook's cell makes it, with a new head drawn at random."""
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    torch.set_num_threads(
        1
    )  # as our runs in these tests: two wait for each other on a busy machine
    network = AutoModelForSequenceClassification.from_pretrained(model, num_labels=2)
    tokenizer = AutoTokenizer.from_pretrained(model)
    chosen: dict[str, Any] = {
        "output_dir": folder,
        "max_steps": NUM_STEPS,
        "per_device_train_batch_size": 8,
        "learning_rate": 3e-3,
        "save_steps": SAVE_STEPS,
        "logging_steps": 1,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        **arguments,
    }
    return Trainer(
        model=network,
        args=TrainingArguments(**chosen),
        train_dataset=_encoded(tokenizer, rows),
        eval_dataset=_encoded(tokenizer, "")[:8],
        data_collator=DataCollatorWithPadding(tokenizer),
    )


def _encoded(tokenizer: Any, rows: str) -> list[dict[str, Any]]:
    examples = []
    for row in reviews(32):
        label = int(row["label"] == "good")
        if rows == "relabelled":
            label = 1 - label
        examples.append({**tokenizer(row["text"]), "labels": label})
    return examples[::-1] if rows == "reversed" else examples


class _Told(logging.Handler):
    """Everything that is logged or warned to a user from now on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        for name in ("transformers", "accelerate", "torch"):
            logging.getLogger(name).addHandler(self)
        warnings.showwarning = lambda message, *_: self.texts.append(str(message))

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def _watch(trainer: Trainer) -> tuple[list[int], dict[int, float]]:
    """Note the rows of each batch and the learning rate of each step."""
    batches: list[int] = []
    rates: dict[int, float] = {}
    step = trainer.training_step

    def training_step(network: Any, inputs: Any, *others: Any) -> Any:
        batches.append(len(inputs["labels"]))
        rates[trainer.state.global_step + 1] = trainer.optimizer.param_groups[0]["lr"]
        return step(network, inputs, *others)

    trainer.training_step = training_step
    return batches, rates
