"""The names users bring from transformers' Trainer, old and new, and what became of each."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from nbtransfer.errors import SpecError, nearest, quoted
from nbtransfer.spec import RunSpec

# A Trainer name that nbtransfer has under another name.
RENAMED = {
    "warmup_ratio": "warmup_steps",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "no_cuda": "use_cpu",
    "full_determinism": "deterministic",
    "batch_size": "per_device_train_batch_size",
    "epochs": "num_train_epochs",
    "lr": "learning_rate",
}

# A Trainer name that has no effect here, and why that is well.
DROPPED = {
    "output_dir": "a run is kept in its own folder under runs_dir (choose it with runs_dir=)",
    "overwrite_output_dir": "a run never overwrites another",
    "logging_dir": "every step is in the run's event log",
    "logging_strategy": "every step is logged",
    "logging_steps": "every step is logged",
    "logging_first_step": "every step is logged",
    "report_to": "the run folder holds the log",
    "run_name": "name= names the run",
    "disable_tqdm": "the panel shows progress",
    "do_train": "finetune trains",
    "do_eval": "finetune evaluates when there is validation data",
    "do_predict": "use predict",
    "save_strategy": "checkpoints are made at every evaluation, every 5 minutes and on stop",
    "save_steps": "checkpoints are made at every evaluation, every 5 minutes and on stop",
    "save_total_limit": "the last two checkpoints and the best are kept",
    "save_safetensors": "always on",
    "load_best_model_at_end": "always on",
    "greater_is_better": "known for each metric",
    "group_by_length": "rows come in any order; where that pads much, batches have no padding",
    "length_column_name": "lengths are counted",
    "remove_unused_columns": "only the text and label columns are read",
    "dataloader_num_workers": "rows are tokenized once, before training",
    "dataloader_pin_memory": "chosen by the device",
    "dataloader_drop_last": "every row is used",
    "optim": "fused AdamW is used",
    "tokenizer": "the model's own tokenizer is used",
    "processing_class": "the model's own tokenizer is used",
    "data_collator": "batches are padded to their longest row, or not at all",
    "compute_metrics": "accuracy and macro F1 are computed",
    "prediction_loss_only": "metrics are always computed",
    "eval_accumulation_steps": "evaluation needs memory for one batch only",
}


_STRATEGIES = ("eval_strategy", "evaluation_strategy")
_PRECISIONS = ("fp16", "bf16", "tf32")


class Keywords(NamedTuple):
    """Fields of RunSpec, and a sentence on each keyword that was renamed or dropped."""

    fields: dict[str, Any]
    notes: tuple[str, ...]


def sort_keywords(keywords: dict[str, Any]) -> Keywords:
    """Translate Trainer's names into RunSpec's fields.

    Returns:
        The fields, and what was renamed or dropped in words.

    Raises:
        SpecError: naming every keyword that is neither, with the nearest one that is.
    """
    known = {f.name for f in dataclasses.fields(RunSpec)}
    fields: dict[str, Any] = {}
    notes: list[str] = []
    problems: list[str] = []
    given: dict[str, str] = {}
    if keywords.get("tf32") and (keywords.get("bf16") or keywords.get("fp16")):
        keywords = {name: value for name, value in keywords.items() if name != "tf32"}
        notes.append("tf32 is not used: products are in half precision already.")
    for name, value in keywords.items():
        field = _field_of(name, value, known)
        if field is not None and field in given:
            problems.append(f"{given[field]} and {name} are the same option; give one of them.")
        elif field is not None:
            given[field] = name
        if name in known:
            fields[name] = value
        elif name in RENAMED:
            fields[RENAMED[name]] = value
            if name not in ("lr", "epochs", "batch_size"):
                notes.append(f"{name} is {RENAMED[name]} here.")
        elif name in _PRECISIONS:
            if value:
                fields["precision"] = name
                notes.append(f"{name}=True is precision={name!r} here.")
        elif name in _STRATEGIES:
            _take_strategy(name, value, fields, notes, problems)
        elif name == "num_processes":
            if value != 1:
                problems.append(
                    f"num_processes={quoted(value)} is not built: a run trains in one process, on "
                    "one device. Leave it out."
                )
        elif name in DROPPED:
            notes.append(f"{name} is not used: {DROPPED[name]}.")
        else:
            close = nearest(name, [*known, *RENAMED, *DROPPED, "eval_strategy", *_PRECISIONS])
            problems.append(f"no option {name!r}." + (f" Did you mean {close!r}?" if close else ""))
    if problems:
        raise SpecError(problems)
    for name in _STRATEGIES:
        if getattr(keywords.get(name), "value", keywords.get(name)) == "steps" and not keywords.get(
            "eval_steps"
        ):
            notes.append(f"{name}='steps' needs eval_steps=; each epoch is evaluated instead.")
    return Keywords(fields, tuple(notes))


def _field_of(name: str, value: object, known: set[str]) -> str | None:
    """Return the field that a keyword sets, or None where it sets none."""
    if name in _PRECISIONS:
        return "precision" if value else None
    return name if name in known else RENAMED.get(name)


def _take_strategy(
    name: str, value: object, fields: dict[str, Any], notes: list[str], problems: list[str]
) -> None:
    """`epoch` is the default, `steps` goes with eval_steps, `no` means no validation data."""
    chosen = getattr(value, "value", value)
    if chosen == "no":
        fields["validation"] = False
        notes.append(f"{name}='no' is validation=False here.")
    elif chosen not in ("epoch", "steps"):
        problems.append(f"{name}={value!r} is not one of 'epoch', 'steps', 'no'.")
