"""What stands in a plan's way: what the task does not do, what the data or the machine lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer import estimates
from nbtransfer.advice import bytes_text
from nbtransfer.errors import nearest, quoted
from nbtransfer.models.heads import WITHOUT_FEATURES, WITHOUT_HEAD, WITHOUT_TOP
from nbtransfer.models.lora_targets import OPTIONS, plan_lora
from nbtransfer.spec import RunSpec, top_layers

if TYPE_CHECKING:
    from nbtransfer.data.card import DataCard
    from nbtransfer.hardware import Hardware
    from nbtransfer.models.card import ModelCard
    from nbtransfer.planning import Plan
    from nbtransfer.tasks.task import Task

_MAX_LISTED = 6


def task_problems(spec: RunSpec, task: Task) -> list[str]:
    """Return what the task does not do."""
    found = []
    asked = {
        "metric_for_best_model": (spec.metric_for_best_model, task.metrics),
        "technique": (spec.technique, task.techniques),
    }
    for name, (value, choices) in asked.items():
        if value is None or value in choices or (top_layers(value) and "top:2" in choices):
            continue
        close = nearest(str(value), choices)
        hint = f" Did you mean {close!r}?" if close else ""
        found.append(
            f"{name}={quoted(value)} is not one of {task.title}'s: "
            f"{', '.join(map(repr, choices))}.{hint}"
        )
    for name in ("mlm_probability", "whole_word_mask"):
        default = RunSpec.__dataclass_fields__[name].default
        if getattr(spec, name) != default and name not in task.options:
            found.append(f"{name} is masked language modelling's; {task.title} hides no tokens.")
    for name in ("max_target_length", "prefix", "prompt", "num_beams", "eval_generate_rows"):
        default = RunSpec.__dataclass_fields__[name].default
        if getattr(spec, name) != default and name not in task.options:
            found.append(
                f"{name} is an option of translation and summarization; {task.title} writes no "
                "text. Leave it out."
            )
    if spec.class_weights is not None and "class_weights" not in task.options:
        found.append(f"class_weights weigh single classes of texts; {task.title} has none.")
    return found


def head_problems(task: Task, model: ModelCard) -> list[str]:
    """Return what to say where transformers has no such head for the model's family."""
    if model.model_type not in WITHOUT_HEAD.get(task.auto_class, ()):
        return []
    return [
        f"model {quoted(model.name)} is of the family {model.model_type!r}, which has no head for "
        f"{task.title}. Take a model of another family, such as bert, roberta, distilbert, electra "
        "or t5."
    ]


def kept_head_problems(spec: RunSpec, data: DataCard, model: ModelCard) -> list[str]:
    """Return why the model's own head cannot be gone on with, where that was asked for."""
    if not spec.keep_head:
        return []
    if spec.from_scratch or spec.technique == "features":
        other = "from_scratch" if spec.from_scratch else "technique='features'"
        return [f"keep_head and {other} do not go together: that begins with a new head. Drop one."]
    if not model.head_labels:
        return [f"keep_head: {quoted(model.name)} carries no head for classes. Leave it out."]
    if set(model.head_labels) == set(data.label_names):
        return []
    return [
        f"keep_head: the head of {quoted(model.name)} has the classes "
        f"{_listed(model.head_labels)}; the data has {_listed(data.label_names) or 'none'}. Name "
        "the data's classes as the head does, or leave keep_head out to train a new head."
    ]


def _listed(names: tuple[str, ...]) -> str:
    more = ", …" if len(names) > _MAX_LISTED else ""
    return ", ".join(quoted(name, 30) for name in names[:_MAX_LISTED]) + more


def layer_problems(spec: RunSpec, model: ModelCard) -> list[str]:
    """Return what is wrong with the layers that are to be trained."""
    count = top_layers(spec.technique)
    lacks_top = count is not None and model.model_type in WITHOUT_TOP
    if lacks_top or (spec.technique == "features" and model.model_type in WITHOUT_FEATURES):
        return [
            f"technique={spec.technique!r} is not built for models of the family "
            f"{model.model_type!r}, as {quoted(model.name)} is. Take 'full', 'lora' or 'head'."
        ]
    if count is None or count < model.num_layers:
        return []
    return [
        f"technique={spec.technique!r}: {quoted(model.name)} has {model.num_layers} layers. Take "
        f"top:1 to top:{model.num_layers - 1}, or 'full' to train them all."
    ]


def lora_problems(spec: RunSpec, model: ModelCard) -> list[str]:
    """Return what is wrong with the adapters, or with their options where there are none."""
    lora = plan_lora(spec, model)
    if lora is not None:
        return [*lora.problems]
    given = [name for name in OPTIONS if getattr(spec, name) is not None]
    if not given:
        return []
    names = ", ".join(given)
    verb = "is an option" if len(given) == 1 else "are options"
    return [
        f"{names} {verb} of LoRA, and technique={spec.technique!r} adds no adapters. Take "
        "technique='lora', or leave it out."
    ]


def data_problems(spec: RunSpec, data: DataCard) -> list[str]:
    """Return what the data lacks for what is asked."""
    found = []
    if spec.early_stopping_patience is not None and not data.num_rows.get("validation", 0):
        found.append(
            f"early_stopping_patience={spec.early_stopping_patience} needs validation data, and "
            "there is none. Give validation=0.1, or leave early stopping out."
        )
    if isinstance(spec.class_weights, dict):
        for label in spec.class_weights:
            if label in data.label_names:
                continue
            close = nearest(str(label), data.label_names)
            hint = f" Did you mean {close!r}?" if close else ""
            choices = ", ".join(quoted(name, 30) for name in data.label_names[:10])
            found.append(f"class_weights: no class {quoted(label)}. Classes: {choices}.{hint}")
    return found


def capacity_problems(plan: Plan, model: ModelCard, hardware: Hardware) -> list[str]:
    """Return what cannot fit whatever the batch size; the rest is a warning."""
    found = []
    least = estimates.memory_by_technique(model, batch_size=1, tokens=8, technique=plan.technique)
    if least > hardware.memory_bytes:
        other = "" if plan.technique != "full" else " Take technique='head', or a smaller model."
        found.append(
            f"{quoted(model.name)} needs {bytes_text(least)} for technique={plan.technique!r} at "
            f"any batch size; {plan.device_name} has {bytes_text(hardware.memory_bytes)}, of which "
            f"{bytes_text(hardware.free_bytes)} are free.{other}"
        )
    one = estimates.checkpoint_bytes(model, plan.num_trainable_parameters, plan.technique)
    if one + 4 * model.num_parameters > hardware.disk_free_bytes:
        found.append(
            f"the runs folder's disk has {bytes_text(hardware.disk_free_bytes)} free; one "
            f"checkpoint and the model take {bytes_text(one + 4 * model.num_parameters)}. Free "
            "some, or choose another runs_dir."
        )
    return found
