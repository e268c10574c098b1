"""Run folders for tests of the live panel, with events as a worker writes them."""

import dataclasses
import json
import os

from nbtransfer.panels.run_view import About
from nbtransfer.runs.events import EventWriter
from nbtransfer.runs.process import write_process
from nbtransfer.runs.run import Run
from nbtransfer.spec import RunSpec

PLAN = {
    "num_steps": 30,
    "steps_per_epoch": 10,
    "num_train_epochs": 3.0,
    "warmup_steps": 2,
    "learning_rate": 1e-4,
    "lr_scheduler_type": "linear",
    "per_device_train_batch_size": 16,
    "gradient_accumulation_steps": 1,
    "max_length": 64,
    "share_texts_cut": 0.0,
    "share_tokens_cut": 0.0,
    "technique": "full",
    "device": "cpu",
    "device_name": "CPU",
    "precision": "fp32",
    "precision_reason": "no bf16 units",
    "num_threads": 2,
    "step_kind": "eager",
    "step_reason": "",
    "eval_every_steps": 10,
    "num_train_rows": 1500,
    "num_validation_rows": 167,
    "num_trainable_parameters": 1000,
    "time_s": 60.0,
    "time_is_estimate": True,
    "memory_bytes": 1,
    "memory_total_bytes": 2,
    "disk_bytes": 1,
    "disk_free_bytes": 2,
    "baseline_accuracy": 0.5,
    "warnings": [],
    "notes": ["cut at 64 tokens"],
}
CARD = {
    "name": "df",
    "origin": "DataFrame",
    "task": "text-classification",
    "text_column": "review",
    "label_column": "sentiment",
    "columns": [],
    "num_rows": {"train": 1500, "validation": 167},
    "label_names": ["negative", "positive"],
    "class_counts": {"train": [750, 750], "validation": [84, 83]},
    "num_duplicates": 0,
    "num_overlap": {},
    "num_conflicts": 0,
    "majority_share": 0.5,
    "fingerprint": "",
    "notes": ["label column: sentiment"],
    "warnings": [],
}
ABOUT = About(
    name="calm-heron",
    model="demo:minilm",
    data="df",
    task="text-classification",
    num_train_rows=1500,
    num_validation_rows=167,
    num_classes=2,
    num_steps=30,
    num_train_epochs=3.0,
    learning_rate=1e-4,
    eval_every_steps=10,
    device="cpu",
    precision="fp32",
    step_kind="eager",
    baseline=0.5,
)


class LiveRun(Run):
    """A run whose worker is the test: `log` appends its events."""

    def __init__(self, folder, *, plan=None, card=None, spec=None):
        super().__init__(folder)
        self.dir.mkdir(parents=True)
        self.paths.data_dir.mkdir()
        chosen = spec or RunSpec(model="demo:minilm", data="df")
        self.paths.spec.write_text(json.dumps(chosen.to_json()))
        self.paths.plan.write_text(json.dumps({**PLAN, **(plan or {})}))
        self.paths.data_card.write_text(json.dumps({**CARD, **(card or {})}))
        write_process(self.paths.process, os.getpid())
        self._writer = EventWriter(self.paths.events)
        self.log = self._writer.append

    def __del__(self):
        if hasattr(self, "_writer"):
            self._writer.close()

    def start(self, num_steps=0):
        """Write what a worker does until its step `num_steps`."""
        self.log("worker_started", pid=os.getpid(), process_start=None, warm=False)
        for phase in ("loading", "tokenizing", "training"):
            self.log("phase_started", phase=phase)
        self.log(
            "training_started",
            num_steps=30,
            steps_per_epoch=10,
            num_train_epochs=3.0,
            learning_rate=1e-4,
            device="cpu",
            precision="fp32",
            step_kind="eager",
        )
        for step in range(1, num_steps + 1):
            self.step(step)
        return self

    def step(self, step, loss=0.5):
        """Write one step, a second after the one before."""
        self.log(
            "step_completed",
            step=step,
            epoch=step / 10,
            loss=loss,
            learning_rate=5e-5,
            grad_norm=1.0,
            num_examples=16,
            num_tokens=600,
            elapsed_s=float(step),
        )

    def evaluation(self, step, accuracy=0.8, *, is_best=True):
        """Write one evaluation and the checkpoint that follows it."""
        self.log(
            "evaluation_completed",
            step=step,
            epoch=step / 10,
            metrics={
                "eval_loss": 0.4,
                "eval_accuracy": accuracy,
                "eval_f1_macro": accuracy - 0.01,
            },
            train_loss=0.45,
            duration_s=1.0,
            elapsed_s=float(step),
            is_best=is_best,
            cause="schedule",
        )
        self.log(
            "checkpoint_saved",
            step=step,
            name=f"step-{step:06d}",
            reason="evaluation",
            num_bytes=1,
            duration_s=0.1,
        )

    def change(self, step, revision, **changes):
        """Write the worker's answer to a wish."""
        self.log(
            "control_applied",
            revision=revision,
            step=step,
            changes={name: list(pair) for name, pair in changes.items()},
            wanted={},
            num_steps=30,
        )

    def complete(self, step=30):
        """Write a good end."""
        self.log("model_saved", step=step, choice="best", metric="eval_f1_macro", value=0.79)
        self.log("run_completed", step=step, reason="finished", train_runtime_s=30.0)

    def fail(self, step=7):
        """Write a bad end."""
        self.log(
            "run_failed",
            step=step,
            error_type="RunError",
            message="the loss is NaN.",
            advice="Lower the learning rate.",
            traceback="",
        )


def about(**changes):
    """The facts of a run, with `changes`."""
    return dataclasses.replace(ABOUT, **changes)
