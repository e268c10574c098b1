"""Run folders for tests: written as `create_run` writes them, with whatever events a test needs."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pyarrow as pa

from nbtransfer.data.card import ColumnInfo, DataCard
from nbtransfer.planning import Plan
from nbtransfer.runs.events import EventWriter
from nbtransfer.runs.files import write_json
from nbtransfer.runs.process import _boot, process_start, write_process
from nbtransfer.runs.store import create_run
from nbtransfer.spec import RunSpec
from tests import plans
from tests.plans import changed

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.runs.run import Run

SPLITS = {
    "train": pa.table(
        {
            "text": ["good film", "bad film", "good book"],
            "label": pa.array([1, 0, 1], pa.int32()),
            "row": pa.array([0, 1, 2], pa.int64()),
        }
    ),
    "validation": pa.table(
        {
            "text": ["bad book"],
            "label": pa.array([0], pa.int32()),
            "row": pa.array([3], pa.int64()),
        }
    ),
}

DATA_CARD = DataCard(
    name="df",
    origin="DataFrame",
    task="text-classification",
    text_column="text",
    label_column="label",
    columns=(ColumnInfo(name="text", type="string", num_missing=0, num_distinct=4, example="a"),),
    num_rows={"train": 3, "validation": 1},
    label_names=("bad", "good"),
    class_counts={"train": (1, 2), "validation": (1, 0)},
    num_duplicates=0,
    num_overlap={"validation": 0},
    num_conflicts=0,
    majority_share=0.0,
    fingerprint="0" * 64,
)

STARTED = ("worker_started", {"pid": 1, "process_start": 0.0, "warm": True})
TRAINING = (
    "training_started",
    {
        "num_steps": 6,
        "steps_per_epoch": 2,
        "num_train_epochs": 3.0,
        "learning_rate": 1e-4,
        "device": "cpu",
        "precision": "fp32",
        "step_kind": "eager",
    },
)

MODEL_CARD = changed(plans.MODEL, location="/nowhere/minilm")

PLAN = Plan(
    num_steps=6,
    steps_per_epoch=2,
    num_train_epochs=3.0,
    warmup_steps=0,
    learning_rate=1e-4,
    lr_scheduler_type="linear",
    per_device_train_batch_size=2,
    gradient_accumulation_steps=1,
    max_length=16,
    share_texts_cut=0.0,
    share_tokens_cut=0.0,
    technique="full",
    device="cpu",
    device_name="CPU",
    precision="fp32",
    precision_reason="full precision on a CPU",
    num_threads=1,
    step_kind="eager",
    step_reason="",
    eval_every_steps=2,
    num_train_rows=3,
    num_validation_rows=1,
    num_trainable_parameters=22_713_216,
    time_s=1.0,
    time_is_estimate=True,
    memory_bytes=1,
    memory_total_bytes=2,
    disk_bytes=1,
    disk_free_bytes=2,
    baseline_accuracy=0.5,
)


def make_run(runs_dir: Path, name: str | None = "calm-heron-0712", **changes: object) -> Run:
    """Write the folder of a run that nobody works on."""
    return create_run(
        runs_dir,
        spec=RunSpec(model="demo:minilm", data="df", name=name, **changes),
        plan=PLAN,
        data_card=DATA_CARD,
        model_card=MODEL_CARD,
        splits=SPLITS,
    )


def write_events(run: Run, *events: tuple[str, dict[str, object]]) -> None:
    """Append events to a run's log, as its worker would."""
    writer = EventWriter(run.paths.events)
    for type_, fields in events:
        writer.append(type_, **fields)
    writer.close()


def begun(run: Run) -> Run:
    """The run as a worker has just begun it: this process is its worker, alive."""
    write_events(run, ("worker_started", {"pid": os.getpid(), "process_start": 0.0, "warm": False}))
    write_process(run.paths.process, os.getpid())
    return run


def step(number: int, **changes: object) -> tuple[str, dict[str, object]]:
    """A step_completed event."""
    fields = {
        "step": number,
        "epoch": number / 2,
        "loss": 1 / number,
        "learning_rate": 1e-4,
        "grad_norm": 1.0,
        "num_examples": 2,
        "num_tokens": 20,
        "elapsed_s": number * 0.5,
    }
    return "step_completed", {**fields, **changes}


def evaluation(number: int, **changes: object) -> tuple[str, dict[str, object]]:
    """An evaluation_completed event."""
    fields = {
        "step": number,
        "epoch": number / 2,
        "metrics": {"eval_loss": 0.5, "eval_accuracy": 0.75, "eval_f1_macro": 0.7},
        "train_loss": 0.6,
        "duration_s": 0.1,
        "elapsed_s": number * 0.5 + 0.1,
        "is_best": True,
        "cause": "schedule",
    }
    return "evaluation_completed", {**fields, **changes}


def checkpoint(number: int) -> tuple[str, dict[str, object]]:
    """A checkpoint_saved event."""
    return "checkpoint_saved", {
        "step": number,
        "name": f"step-{number:06d}",
        "reason": "evaluation",
        "num_bytes": 10,
        "duration_s": 0.1,
    }


def control(revision: int, at: int, **changes: list[float]) -> tuple[str, dict[str, object]]:
    """A control_applied event: `learning_rate=[old, new]`."""
    return "control_applied", {
        "revision": revision,
        "step": at,
        "changes": changes,
        "wanted": {name: new for name, (_, new) in changes.items()},
        "num_steps": 6,
    }


def resumed(from_step: int, revision: int = 0, **changes: object) -> tuple[str, dict[str, object]]:
    """A run_resumed event."""
    fields = {
        "from_step": from_step,
        "revision": revision,
        "checkpoint": f"step-{from_step:06d}",
        "skipped": [],
    }
    return "run_resumed", {**fields, **changes}


def completed(at: int, **changes: object) -> tuple[str, dict[str, object]]:
    """A run_completed event."""
    return "run_completed", {"step": at, "reason": "finished", "train_runtime_s": 3.0, **changes}


def failed(at: int, **changes: object) -> tuple[str, dict[str, object]]:
    """A run_failed event."""
    fields = {
        "step": at,
        "error_type": "OutOfMemoryError",
        "message": "the GPU is full.",
        "advice": "Try a smaller --batch-size.",
        "traceback": "Traceback ...",
    }
    return "run_failed", {**fields, **changes}


def record(
    run: Run, *, pid: int | None = None, start_offset: float = 0.0, host: str | None = None
) -> None:
    """Write a process.json as a worker (this process, unless said otherwise) would have left it."""
    pid = pid or os.getpid()
    start = (process_start(os.getpid()) or 0.0) + start_offset
    host = host or socket.gethostname()
    fields = {"pid": pid, "process_start": start, "boot": _boot(), "host": host}
    write_json(run.paths.process, fields)


def gone(run: Run) -> None:
    """Let the worker be one whose number another process has by now."""
    record(run, start_offset=-1000.0)


def elsewhere(run: Run) -> None:
    """Let the worker be on another machine."""
    record(run, host="elsewhere", pid=4242)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below `folder`: kind and content by name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            found[str(path)] = (mode, path.read_bytes())
        else:
            found[str(path)] = (mode, str(path.readlink()).encode() if path.is_symlink() else b"")
    return found
