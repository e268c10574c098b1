"""Planning: spec, data, model and machine become a Plan, or one list of all problems."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbtransfer import estimates
from nbtransfer.advice import rate_text, warnings_for
from nbtransfer.choices import (
    SORTED_TEXTS,
    UNSORTED,
    Length,
    choose_generation,
    choose_length,
    choose_precision,
    choose_step,
    choose_windows,
    count_steps,
    default_learning_rate,
    freezes_below,
    frozen_note,
    reads_kept,
)
from nbtransfer.errors import SpecError
from nbtransfer.estimates import memory_by_technique
from nbtransfer.hardware import Hardware, detect_hardware, on_cpu
from nbtransfer.language_plan import language_problems, logits_bytes, plan_blocks
from nbtransfer.models.lora_targets import plan_lora
from nbtransfer.plan_checks import (
    capacity_problems,
    data_problems,
    head_problems,
    kept_head_problems,
    layer_problems,
    lora_problems,
    task_problems,
)
from nbtransfer.spec import LANGUAGE_MODELING, RunSpec
from nbtransfer.tasks.catalog import task_named

if TYPE_CHECKING:
    from nbtransfer.data.card import DataCard
    from nbtransfer.data.lengths import Lengths
    from nbtransfer.models.card import ModelCard
    from nbtransfer.tasks.task import Decisions

__all__ = ["Hardware", "Plan", "detect_hardware", "make_plan", "memory_by_technique"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything decided about a run before it starts.

    Attributes:
        num_steps: optimizer steps in all.
        steps_per_epoch: optimizer steps a pass over the training rows; the last may be smaller.
        num_train_epochs: passes over the training rows.
        warmup_steps: optimizer steps in which the learning rate rises.
        learning_rate: its peak.
        lr_scheduler_type: how it falls afterwards.
        per_device_train_batch_size: rows a forward pass.
        gradient_accumulation_steps: forward passes an optimizer step.
        max_length: tokens a text is cut to.
        share_texts_cut: share of the training texts that are longer.
        share_tokens_cut: share of their tokens that is lost; 0 where they are read in windows.
        technique: which part learns.
        device: `cpu`, `cuda` or `mps`.
        device_name: its name.
        precision: arithmetic of the passes: `fp32`, `bf16` or `fp16`.
        precision_reason: why this one.
        num_threads: CPU threads; results on a CPU depend on it.
        step_kind: how a step is taken: `eager` or `graphed`.
        step_reason: why so.
        eval_every_steps: optimizer steps between evaluations; 0 without validation data.
        num_train_rows: rows in train.
        num_validation_rows: rows in validation.
        num_trainable_parameters: weights that learn.
        time_s: seconds of training and evaluation, imports and loading left out.
        time_is_estimate: computed, not measured.
        memory_bytes: what the worker needs of the device's memory.
        memory_total_bytes: what the device has.
        disk_bytes: what the run folder will hold.
        disk_free_bytes: what is free there.
        baseline_accuracy: accuracy of always saying the largest class; None without classes.
        metric_for_best_model: decides which evaluated model is kept.
        eval_generate_rows: validation rows that texts are generated for at each evaluation.
        products: whose float32 matrix products a CPU takes, `torch` or `onednn`: results depend on
            it. `auto` until the worker has measured. Plans that do not know it had torch's.
        products_reason: why so.
        grouped_steps: padded steps whose rows are sorted by length together, 1 for rows in any
            order; 50 in plans that do not know it.
        packed: eager steps take batches without padding, where the worker finds that it can.
        trains_used_words: word vectors that no row uses stay as they were pre-trained. False in
            plans that do not know it: their checkpoints hold the whole vocabulary.
        warnings: what the user should look at, in sentences.
        notes: choices made, in sentences.
        follow_up: the line that asks for what is to follow this run, where it is a first stage.
    """

    num_steps: int
    steps_per_epoch: int
    num_train_epochs: float
    warmup_steps: int
    learning_rate: float
    lr_scheduler_type: str
    per_device_train_batch_size: int
    gradient_accumulation_steps: int
    max_length: int
    share_texts_cut: float
    share_tokens_cut: float
    technique: str
    device: str
    device_name: str
    precision: str
    precision_reason: str
    num_threads: int
    step_kind: str
    step_reason: str
    eval_every_steps: int
    num_train_rows: int
    num_validation_rows: int
    num_trainable_parameters: int
    time_s: float
    time_is_estimate: bool
    memory_bytes: int
    memory_total_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    baseline_accuracy: float | None
    metric_for_best_model: str = "f1_macro"
    eval_generate_rows: int = 0
    products: str = "torch"
    products_reason: str = ""
    grouped_steps: int = 50
    packed: bool = False
    trains_used_words: bool = False
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    follow_up: str = ""

    @property
    def generates_for_some(self) -> bool:
        """Whether evaluations while training generate for a part of the validation rows only."""
        return 0 < self.eval_generate_rows < self.num_validation_rows

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Plan:
        """Return the plan that `to_json` wrote; fields of newer versions are left out."""
        names = {f.name for f in dataclasses.fields(cls)}
        fields = {k: v for k, v in record.items() if k in names}
        for name in ("warnings", "notes"):
            fields[name] = tuple(fields.get(name, ()))
        return cls(**fields)


def make_plan(
    spec: RunSpec,
    data: DataCard,
    lengths: Lengths | None,
    model: ModelCard,
    hardware: Hardware,
    *,
    decided: Decisions | None = None,
) -> Plan:
    """Decide everything that the spec left open.

    Args:
        spec: what was asked for.
        data: the prepared data.
        lengths: tokens of each training text; None where the kernel cannot count them.
        model: the model.
        hardware: the machine.
        decided: what the task has decided of its own options, where it has any.

    Raises:
        SpecError: listing every problem of the spec, by itself and together with the rest.
    """
    problems = spec.problems()
    if problems:  # plan on with the sound values, so that all other problems are found too
        spec = _sound(spec)
    hardware = on_cpu(hardware) if spec.use_cpu else hardware
    task = task_named(data.task)
    in_windows = task.objective(data) == "spans"
    blocks = None
    if data.task in LANGUAGE_MODELING:
        blocks = plan_blocks(spec, data, lengths, model)
        length, steps = blocks.length, count_steps(spec, blocks.num_blocks)
    else:
        reader = model
        if decided is not None and decided.max_positions is not None:
            reader = dataclasses.replace(model, max_positions=decided.max_positions)
        length = (choose_windows if in_windows else choose_length)(spec, lengths, reader)
        steps = count_steps(spec, round(data.num_rows["train"] * length.rows_per_text))
    precision = choose_precision(spec, hardware, model)
    in_prompts = decided is not None and decided.in_one_sequence
    step = choose_step(spec, hardware, model, precision.chosen, data.task, in_prompts=in_prompts)
    num_validation = data.num_rows.get("validation", 0)
    problems += [
        *task_problems(spec, task),
        *head_problems(task, model),
        *kept_head_problems(spec, data, model),
        *length.problems,
        *precision.problems,
        *data_problems(spec, data),
        *(decided.problems if decided is not None else ()),
        *layer_problems(spec, model),
        *lora_problems(spec, model),
    ]
    num_outputs = 2 if in_windows else len(data.label_names)
    lora = plan_lora(spec, model)
    adapters = None if lora is None else lora.num_parameters
    num_trainable = estimates.num_trainable_parameters(model, num_outputs, spec.technique, adapters)
    tokens_in_memory = min(length.max_length, length.longest)
    if decided is not None and decided.in_one_sequence:
        tokens_in_memory += decided.target_tokens
    memory_bytes = estimates.runtime_bytes(hardware.device) + memory_by_technique(
        model,
        batch_size=int(spec.per_device_train_batch_size),
        tokens=tokens_in_memory,
        technique=spec.technique,
        precision=precision.chosen,
        num_adapter_weights=adapters,
    )
    if blocks is not None:
        problems += language_problems(data, model)
        memory_bytes += logits_bytes(spec, data, model, tokens_in_memory)
    if decided is not None:
        memory_bytes += estimates.writing_bytes(
            model, batch_size=int(spec.per_device_train_batch_size), tokens=decided.target_tokens
        )
    generation = choose_generation(spec, num_validation, hardware, decided is not None)
    plan = Plan(
        num_steps=steps.total,
        steps_per_epoch=steps.per_epoch,
        num_train_epochs=steps.epochs,
        warmup_steps=steps.warmup,
        learning_rate=spec.learning_rate or default_learning_rate(model, spec.technique),
        lr_scheduler_type=spec.lr_scheduler_type,
        per_device_train_batch_size=int(spec.per_device_train_batch_size),
        gradient_accumulation_steps=int(spec.gradient_accumulation_steps),
        max_length=length.max_length,
        share_texts_cut=length.share_texts_cut,
        share_tokens_cut=0.0 if task.reads_windows else length.share_tokens_cut,
        technique=spec.technique,
        device=hardware.device,
        device_name=hardware.name,
        precision=precision.chosen,
        precision_reason=precision.reason,
        num_threads=hardware.num_threads,
        step_kind=step.kind,
        step_reason=step.reason,
        eval_every_steps=int(spec.eval_steps or steps.per_epoch) if num_validation else 0,
        num_train_rows=data.num_rows["train"],
        num_validation_rows=num_validation,
        num_trainable_parameters=num_trainable,
        time_s=0.0,
        time_is_estimate=True,
        memory_bytes=memory_bytes,
        memory_total_bytes=hardware.memory_bytes,
        disk_bytes=estimates.disk_bytes(model, num_trainable, spec.technique),
        disk_free_bytes=hardware.disk_free_bytes,
        # Entities are judged by F1; always saying that there is none has no F1 to compare with.
        baseline_accuracy=None if task.metrics[0] == "f1" else data.majority_share,
        metric_for_best_model=spec.metric_for_best_model or task.metrics[0],
        eval_generate_rows=generation.rows,
        products="auto" if (hardware.device, precision.chosen) == ("cpu", "fp32") else "torch",
        grouped_steps=SORTED_TEXTS if data.task in LANGUAGE_MODELING else UNSORTED,
        packed=step.packed,
        trains_used_words=spec.technique == "full" and data.task not in LANGUAGE_MODELING,
        notes=(
            *(blocks.notes if blocks is not None else ()),
            *((lora.words(model, num_trainable),) if lora is not None else ()),
            *_notes(spec, data, lengths, model, hardware, length),
            *(decided.notes if decided is not None else ()),
            *generation.notes,
        ),
    )
    problems += capacity_problems(plan, model, hardware)
    if problems:
        raise SpecError(problems)
    return dataclasses.replace(
        plan,
        time_s=_estimate_time(plan, model, hardware, length, decided),
        warnings=warnings_for(plan, spec, data, model, hardware),
    )


def _estimate_time(
    plan: Plan,
    model: ModelCard,
    hardware: Hardware,
    length: Length,
    decided: Decisions | None,
) -> float:
    mean_tokens, writing_s = length.mean * estimates.PADDING, 0.0
    if decided is not None:
        # Half of the blocks read the source, half the target, unless all read both.
        mean_tokens += decided.mean_target_tokens
        mean_tokens *= 1.0 if decided.in_one_sequence else 0.5
        every = plan.eval_every_steps
        times = math.ceil(plan.num_steps / every) if every else 0
        writing_s = estimates.writing_seconds(
            model,
            hardware,
            num_rows=times * plan.eval_generate_rows + plan.num_validation_rows,
            tokens=decided.mean_target_tokens,
            precision=plan.precision,
        )

    def evaluate(num_texts: int) -> float:
        return estimates.evaluation_seconds(
            model,
            hardware,
            num_rows=round(num_texts * length.rows_per_text),
            tokens=mean_tokens,
            precision=plan.precision,
        )

    every = plan.eval_every_steps
    num_evaluations = math.ceil(plan.num_steps / every) if every else 0
    if plan.technique == "features":  # every text goes through the encoder once, then only the head
        head_s = estimates.HEAD_STEP_S * plan.num_steps
        return evaluate(plan.num_train_rows + plan.num_validation_rows) + head_s
    alike = plan.packed or plan.grouped_steps != UNSORTED or reads_kept(plan.technique, model)
    step_s = estimates.step_seconds(
        model,
        hardware,
        batch_size=plan.per_device_train_batch_size,
        accumulation=plan.gradient_accumulation_steps,
        tokens=mean_tokens * (1 if alike else estimates.IN_ANY_ORDER),
        technique=plan.technique,
        precision=plan.precision,
        num_trainable=plan.num_trainable_parameters,
    )
    evaluations_s = num_evaluations * evaluate(plan.num_validation_rows)
    return plan.num_steps * step_s + evaluations_s + writing_s


def _notes(
    spec: RunSpec,
    data: DataCard,
    lengths: Lengths | None,
    model: ModelCard,
    hardware: Hardware,
    length: Length,
) -> tuple[str, ...]:
    notes = []
    if model.head_labels and set(model.head_labels) != set(data.label_names):
        notes.append("The model's own classes are not the data's: a new head is trained.")
    elif model.head_labels != data.label_names and model.head_labels and not spec.keep_head:
        notes.append(
            "The model's own classes stand in another order than the data's: a new head is "
            "trained. keep_head=True goes on with its own."
        )
    if lengths is None and data.task not in LANGUAGE_MODELING:
        notes.append(
            f"Texts are cut at {length.max_length} tokens; their lengths are not known yet."
        )
    if length.rows_per_text > 1:
        num_rows = data.num_rows["train"]
        notes.append(
            f"Contexts beyond {length.max_length} tokens are read in overlapping windows: "
            f"{num_rows:,} training rows become about {round(num_rows * length.rows_per_text):,}."
        )
    if spec.learning_rate is None:
        rate = default_learning_rate(model, spec.technique)
        notes.append(
            f"Learning rate {rate_text(rate)}, the default for technique {spec.technique!r} here."
        )
    if freezes_below(spec.technique):
        notes.append(frozen_note(model))
    if spec.deterministic and hardware.device != "cpu":
        notes.append("Operations that give the same bits each time are taken, which costs time.")
    if hardware.num_devices > 1:
        notes.append(f"One of {hardware.num_devices} devices is used.")
    if isinstance(spec.class_weights, dict):
        rest = [name for name in data.label_names if name not in spec.class_weights]
        if rest:
            notes.append(f"Classes without a weight take 1.0: {', '.join(rest[:6])}.")
    return tuple(notes)


def _sound(spec: RunSpec) -> RunSpec:
    """Return the spec with every impossible value put back to its default."""
    blank = RunSpec(model=spec.model, data=spec.data)
    sound = {}
    for field in dataclasses.fields(RunSpec):
        value = getattr(spec, field.name)
        if not dataclasses.replace(blank, **{field.name: value}).problems():
            sound[field.name] = value
    return RunSpec(**sound)
