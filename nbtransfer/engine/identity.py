"""What makes a job the same job: a checkpoint goes on only with what it was made with.

transformers' Trainer takes up a checkpoint with other data, labels or options without a word; the
numbers that follow belong to neither job.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtransfer.errors import RunError, quoted
from nbtransfer.models.lora import frozen_digest, has_adapters
from nbtransfer.spec import ROLES, RunSpec

if TYPE_CHECKING:
    from torch import nn

    from nbtransfer.runs.run import Run

# These may change between the lives of a run: they decide no step that was taken.
FREE_FIELDS = (
    "num_train_epochs",
    "max_steps",
    "eval_steps",
    "early_stopping_patience",
    "per_device_eval_batch_size",
    "metric_for_best_model",
    "step",  # what it comes to is told by `step kind`
    "name",
    "model",
    "data",
    "eval_generate_rows",
    "validation",
    *ROLES,
)


def job_identity(run: Run, model: nn.Module) -> dict[str, Any]:
    """Return everything of a job that decides its steps, by what to call it.

    Args:
        run: the job.
        model: as it was loaded; the weights beside adapters are in no checkpoint.
    """
    fields = {k: v for k, v in run.spec.to_json().items() if k not in FREE_FIELDS}
    plan = dataclasses.asdict(run.plan)
    decided = ("learning_rate", "warmup_steps", "max_length", "precision", "num_threads")
    card = run.model_card
    tokenizer = card.tokenizer_file
    splits = [run.paths.split(name) for name in ("train", "validation")]
    return {
        **fields,
        **{name: plan[name] for name in decided},
        "label names": list(run.data_card.label_names),
        "model revision": card.revision,
        "tokenizer": _sha256(Path(tokenizer)) if tokenizer is not None else None,
        **({"pre-trained weights": frozen_digest(model)} if has_adapters(model) else {}),
        # None in checkpoints of versions that trained all words.
        "words that learn": "those used" if run.plan.trains_used_words else None,
        **{f"{path.stem} rows": _sha256(path) for path in splits if path.is_file()},
    }


def check_identity(made_with: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse a checkpoint of another job.

    Raises:
        RunError: listing what changed, old -> new.
    """
    # An option that an earlier version did not have was then as it is by default now.
    defaults = {field.name: field.default for field in dataclasses.fields(RunSpec)}
    before = {name: made_with.get(name, defaults.get(name)) for name in {**made_with, **now}}
    changed = [
        f"{name} {quoted(value)} -> {quoted(now.get(name))}"
        for name, value in before.items()
        if value != now.get(name)
    ]
    if changed:
        raise RunError(
            f"the checkpoint was made by another job: {'; '.join(changed)}. Put that back to go "
            "on, or start a new run."
        )


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except FileNotFoundError:
        return None
