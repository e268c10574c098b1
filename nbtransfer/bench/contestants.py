"""The contestants of a benchmark: transformers' Trainer in several settings, and nbtransfer."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
from nbtransfer.bench.match import BEST, DYNAMIC, GPU_CONTESTANTS, OURS, PAD_TO_MAX, Match
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
_WIDTHS = 4  # that an expert's batches are padded to: each is compiled and recorded


class _Setting(NamedTuple):
    """How Trainer is set; `half` and `compiles` are for GPUs."""

    pads_to_max: bool = False
    groups: bool = False
    half: bool = False
    compiles: bool = False


_SETTINGS = {
    PAD_TO_MAX: _Setting(pads_to_max=True),
    DYNAMIC: _Setting(),
    BEST: _Setting(groups=True),
    GPU_CONTESTANTS["recipe"]: _Setting(pads_to_max=True),
    GPU_CONTESTANTS["dynamic"]: _Setting(),
    GPU_CONTESTANTS["bf16"]: _Setting(half=True),
    GPU_CONTESTANTS["expert"]: _Setting(groups=True, half=True, compiles=True),
}
# nbtransfer's contestants, and the way of taking steps each asks for.
_STEPS = {
    OURS: "auto",
    GPU_CONTESTANTS["eager"]: "eager",
    GPU_CONTESTANTS["graphed"]: "graphed",
}


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


def make_trainer(match: Match, name: str) -> Trainer:
    """Return Trainer on the match, in one of its settings, its other options untouched."""
    setting = _SETTINGS[name]
    on_gpu = match.device == "cuda"
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(_location(match))
    padding = {"padding": "max_length"} if setting.pads_to_max else {}

    def rows_of(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
        encoded = tokenizer(
            [row["text"] for row in rows], truncation=True, max_length=match.max_length, **padding
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
        max_steps=match.max_steps,
        per_device_train_batch_size=match.batch_size,
        learning_rate=match.learning_rate,
        warmup_steps=round(0.1 * match.num_steps),
        weight_decay=0.01,
        seed=match.seed,
        train_sampling_strategy="group_by_length" if setting.groups else "random",
        bf16=on_gpu and setting.half,
        tf32=True if on_gpu and setting.compiles else None,
        torch_compile=on_gpu and setting.compiles,
        torch_compile_mode="reduce-overhead" if on_gpu and setting.compiles else None,
        use_cpu=not on_gpu,
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
        data_collator=DataCollatorWithPadding(
            tokenizer, pad_to_multiple_of=match.max_length // _WIDTHS if setting.compiles else None
        ),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def train_with_trainer(match: Match, setting: str, turn: Turn) -> Trainer:
    """Let Trainer train, a step a turn; return it."""
    trainer = make_trainer(match, setting)
    trainer.add_callback(_TakesTurns(turn))
    trainer.train()
    return trainer


def make_training(match: Match, name: str = OURS) -> Training:
    """Return nbtransfer's training of the match, as its worker would begin it in a run folder."""
    job = prepare(match, name)
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


def train_with_nbtransfer(match: Match, name: str, turn: Turn) -> Training:
    """Train in the real loop, with its event log and control file, a step a turn."""
    training = make_training(match, name)
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


def prepare(match: Match, name: str = OURS) -> Job:
    """Return the match as nbtransfer plans it."""
    return jobs.prepare_job(
        match.model,
        match.train,
        keywords={
            "validation": match.test,
            "num_train_epochs": match.epochs,
            "max_steps": match.max_steps,
            "per_device_train_batch_size": match.batch_size,
            "learning_rate": match.learning_rate,
            "warmup_steps": 0.1,
            "technique": match.technique,
            "max_length": match.max_length,
            "seed": match.seed,
            "step": _STEPS[name],
            "use_cpu": match.device == "cpu",
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
    clock = _Clock(match.device, {1})
    _train(match, name, clock)  # type: ignore[arg-type]
    peak = _peak_bytes()
    return {
        "first_step_s": clock.ends[1] - started,
        "first_step_after_imports_s": clock.ends[1] - imported,
        "peak_bytes": peak,
        "peak_above_imports_bytes": peak - base,
    }


def whole(match: Match, name: str, turn: Turn) -> dict[str, float]:
    """Train alone, from the text to the last step; return what a user waits for.

    Milliseconds a step are those of the last third, when all is compiled and recorded.
    """
    began = time.time()
    last = match.num_steps
    mark = max(1, 2 * last // 3)
    clock = _Clock(match.device, {1, mark, last})
    trained = _train(match, name, clock)  # type: ignore[arg-type]
    figures = {
        "first_step_s": clock.ends[1] - began,
        "run_s": clock.ends[last] - began,
        "ms_per_step": 1e3 * (clock.ends[last] - clock.ends[mark]) / (last - mark),
        "peak_bytes": _peak_bytes() if match.device == "cpu" else torch.cuda.max_memory_reserved(),
    }
    if isinstance(trained, Training) and trained.step_kind == "graphed":
        figures["num_graphs"] = trained.take_step.num_graphs  # type: ignore[union-attr]
    return figures


class _Clock:
    """The interface of a turn for a contestant that waits for nobody; notes when steps end."""

    def __init__(self, device: str, noted: set[int]) -> None:
        self._device, self._noted = device, noted
        self._count = 0
        self.ends: dict[int, float] = {}

    def begin(self) -> None:
        pass

    def end(self) -> None:
        self._count += 1
        if self._count in self._noted:
            if self._device == "cuda":
                torch.cuda.synchronize()
            self.ends[self._count] = time.time()


JOBS = {"train": train, "score": score, "evaluate": evaluate, "start": start, "whole": whole}


def _train(match: Match, name: str, turn: Turn) -> Training | Trainer:
    if name in _STEPS:
        return train_with_nbtransfer(match, name, turn)
    return train_with_trainer(match, name, turn)


def _ask(training: Training) -> tuple[Any, Any]:
    """Return the logits of the test rows, and their classes."""
    assert training.loaded.validation is not None
    size = training.spec.eval_batch_size
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
