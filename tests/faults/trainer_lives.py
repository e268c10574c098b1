"""The same small job under transformers' Trainer, each life in a process that can be killed."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.engine.jobs import reviews

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from transformers import Trainer

NUM_STEPS = 12
SAVE_STEPS = 4
_DONE = "life.json"


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
        fault: one of `_FAULTS`, with the step or call after a colon.
        rows: "reversed" or "relabelled" for other data than the job began with.
        arguments: of TrainingArguments.
    """
    import multiprocessing

    folder.mkdir(parents=True, exist_ok=True)
    (folder / _DONE).unlink(missing_ok=True)
    process = multiprocessing.get_context("forkserver").Process(
        target=_live, args=(model, str(folder), resume, fault, rows, arguments)
    )
    process.start()
    process.join()
    record: dict[str, Any] = {"error": "", "step": 0, "log": [], "rates": {}, "warnings": []}
    record["batches"] = []
    if (folder / _DONE).exists():
        record.update(json.loads((folder / _DONE).read_text()))
        record["rates"] = {int(step): rate for step, rate in record["rates"].items()}
    return Life(exitcode=process.exitcode, **record)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the model's weights as the last finished life left them."""
    from safetensors.torch import load_file

    return load_file(folder / "final.safetensors")


def same_weights(folder: Path, other: Path) -> bool:
    """Whether two jobs ended with the same bits."""
    ours, theirs = weights(folder), weights(other)
    return ours.keys() == theirs.keys() and all((ours[k] == theirs[k]).all() for k in ours)


def _live(
    model: str, folder: str, resume: bool, fault: str, rows: str, arguments: dict[str, object]
) -> None:
    import transformers
    from safetensors.torch import save_file
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    transformers.set_seed(42)
    network = AutoModelForSequenceClassification.from_pretrained(model, num_labels=2)
    tokenizer = AutoTokenizer.from_pretrained(model)
    told = _Told()
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
    trainer = Trainer(
        model=network,
        args=TrainingArguments(**chosen),
        train_dataset=_encoded(tokenizer, rows),
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    batches, rates = _watch(trainer)
    name, _, at = fault.partition(":")
    if name:
        _FAULTS[name](trainer, int(at))
    error = ""
    try:
        trainer.train(resume_from_checkpoint=True if resume else None)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    save_file(network.state_dict(), Path(folder, "final.safetensors"))
    record = {
        "error": error,
        "step": trainer.state.global_step,
        "log": [row for row in trainer.state.log_history if "loss" in row],
        "rates": rates,
        "warnings": told.texts,
        "batches": batches,
    }
    Path(folder, _DONE).write_text(json.dumps(record))


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


def _before(owner: Any, name: str, count: int, act: Callable[[], None]) -> None:
    """Call `act` before the count-th call of `owner.name`."""
    call = getattr(owner, name)
    calls = 0

    def called(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            act()
        return call(*arguments, **keywords)

    setattr(owner, name, called)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _disk_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _kill_before_model(trainer: Trainer, save: int) -> None:
    _before(trainer.model, "save_pretrained", save, _kill)


def _kill_before_optimizer(trainer: Trainer, save: int) -> None:
    _before(trainer, "_save_optimizer_and_scheduler", save, _kill)


def _kill_before_rng(trainer: Trainer, save: int) -> None:
    _before(trainer, "_save_rng_state", save, _kill)


def _kill_before_state(trainer: Trainer, save: int) -> None:
    from transformers.trainer_callback import TrainerState

    _before(TrainerState, "save_to_json", save, _kill)


def _kill_before_step(trainer: Trainer, step: int) -> None:
    _before(trainer, "training_step", step, _kill)


def _disk_full_at_optimizer(trainer: Trainer, save: int) -> None:
    _before(trainer, "_save_optimizer_and_scheduler", save, _disk_full)


def _nan_at_step(trainer: Trainer, step: int) -> None:
    def spoil() -> None:
        trainer.model.classifier.bias.data[0] = float("nan")

    _before(trainer, "training_step", step, spoil)


def _out_of_memory_at_step(trainer: Trainer, step: int) -> None:
    def refuse() -> None:
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory. (planned)")

    _before(trainer, "training_step", step, refuse)


_FAULTS: dict[str, Callable[[Trainer, int], None]] = {
    "kill before model": _kill_before_model,
    "kill before optimizer": _kill_before_optimizer,
    "kill before rng": _kill_before_rng,
    "kill before state": _kill_before_state,
    "kill before step": _kill_before_step,
    "disk full at optimizer": _disk_full_at_optimizer,
    "nan at step": _nan_at_step,
    "out of memory at step": _out_of_memory_at_step,
}
