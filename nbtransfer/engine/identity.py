"""What makes a job the same job: a checkpoint goes on only with what it was made with.

transformers' Trainer takes up a checkpoint with other data, labels or options without a word; the
numbers that follow belong to neither job.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtransfer.choices import UNSORTED
from nbtransfer.errors import RunError, quoted
from nbtransfer.models.folder import CONFIG_FILE
from nbtransfer.models.freezing import frozen_digest
from nbtransfer.models.tokenizer_files import ALL_FILES
from nbtransfer.runs.files import read_json
from nbtransfer.spec import ROLES, RunSpec

if TYPE_CHECKING:
    from nbtransfer.engine.loading import Loaded
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

# Earlier versions did not write these down: what they were then is not known.
_LATER = ("pre-trained weights", "model configuration", "tokenizer files")
_DECIDED = "decided "


def job_identity(run: Run, loaded: Loaded) -> dict[str, Any]:
    """Return everything of a job that decides its steps, by what to call it.

    Args:
        run: the job.
        loaded: what it trains with, before its first step.
    """
    fields = {k: v for k, v in run.spec.to_json().items() if k not in FREE_FIELDS}
    plan = dataclasses.asdict(run.plan)
    decided = ("learning_rate", "warmup_steps", "max_length", "precision", "num_threads")
    card = run.model_card
    tokenizer = card.tokenizer_file
    splits = [run.paths.split(name) for name in ("train", "validation")]
    words = loaded.words
    data = {**run.data_card.settings, "scale": list(run.data_card.scale)}
    # A model of the hub is known by its revision.
    folder = Path(card.location) if card.source != "hub" else None
    return {
        **fields,
        **{name: plan[name] for name in decided},
        "label names": list(run.data_card.label_names),
        "model revision": card.revision,
        "tokenizer": _sha256(Path(tokenizer)) if tokenizer is not None else None,
        **({} if folder is None else _files_of(folder)),
        # What learns is in the checkpoint. The rest is not, or was read before it was taken up.
        "pre-trained weights": frozen_digest(
            loaded.model, *(() if words is None else (words.pretrained,))
        ),
        **{_DECIDED + name: value for name, value in data.items() if name not in FREE_FIELDS},
        # None in checkpoints of versions that had torch's alone.
        "products": None if run.plan.products == "torch" else run.plan.products,
        # None in checkpoints of versions that sorted the rows of several together, always.
        "steps sorted by length together": UNSORTED if run.plan.grouped_steps == UNSORTED else None,
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
    later = {name for name in now if name in _LATER or name.startswith(_DECIDED)}
    names = [name for name in {**made_with, **now} if name in made_with or name not in later]
    before = {name: made_with.get(name, defaults.get(name)) for name in names}
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


def _files_of(folder: Path) -> dict[str, str]:
    """Return hashes of what a model's folder says besides its weights."""
    configuration = hashlib.sha256()
    for name in (CONFIG_FILE, "generation_config.json"):
        if (folder / name).is_file():
            record = read_json(folder / name)
            record.pop("transformers_version", None)  # who saved it, not what it is
            configuration.update(json.dumps(record, sort_keys=True).encode())
    found = [f"{name} {digest}" for name in ALL_FILES if (digest := _sha256(folder / name))]
    tokenizer = hashlib.sha256("\n".join(found).encode())
    return {
        "model configuration": configuration.hexdigest()[:16],
        "tokenizer files": tokenizer.hexdigest()[:16],
    }


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except FileNotFoundError:
        return None
