"""Warnings about a plan that can run but that its owner should look at: each says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.errors import quoted
from nbtransfer.spec import LANGUAGE_MODELING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbtransfer.data.card import DataCard
    from nbtransfer.hardware import Hardware
    from nbtransfer.models.card import ModelCard
    from nbtransfer.planning import Plan
    from nbtransfer.spec import RunSpec

_HIGH_LEARNING_RATE = 5e-4  # for training every layer; 2e-5 to 1e-4 is usual
_FEW_ROWS_A_CLASS = 8
_IMBALANCE = 10
_SKEWED_SHARE = 0.9  # of a class with more of the rows than this, the data card warns
_MANY_TEXTS_CUT = 0.05
_FEW_STEPS = 20


def warnings_for(
    plan: Plan, spec: RunSpec, data: DataCard, model: ModelCard, hardware: Hardware
) -> tuple[str, ...]:
    """Return the data card's warnings, then those about results, then those about the machine."""
    found = (
        *data.warnings,
        *_about_data(plan, spec, data),
        *_about_model(plan, spec, data, model),
        *_about_schedule(plan, spec),
        *_about_machine(plan, spec, hardware),
    )
    return tuple(dict.fromkeys(found))


def _about_data(plan: Plan, spec: RunSpec, data: DataCard) -> Iterator[str]:
    for split, count in data.num_overlap.items():
        if count:
            texts = "text is" if count == 1 else "texts are"
            yield f"{count:,} {split} {texts} also in train."
    yield from _about_classes(spec, data)
    if plan.share_texts_cut >= _MANY_TEXTS_CUT and plan.share_tokens_cut:
        yield (
            f"max_length={plan.max_length} cuts {_percent(plan.share_texts_cut)} of the texts and "
            f"loses {_percent(plan.share_tokens_cut)} of all tokens."
        )
    if not plan.num_validation_rows and spec.validation is False:
        yield (
            "there is no validation data: the last model is kept, and nothing tells how good it "
            "is. Give validation=0.1."
        )


def _about_classes(spec: RunSpec, data: DataCard) -> Iterator[str]:
    if data.task != "text-classification":
        return
    rows = zip(data.label_names, data.class_counts["train"], strict=True)
    counts = {label: count for label, count in rows if count}  # the data card names absent ones
    if not counts:
        return
    rarest, commonest = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    few, many = counts[rarest], counts[commonest]
    if few < _FEW_ROWS_A_CLASS:
        yield (
            f"class {quoted(rarest, 30)} has only {few} training {'row' if few == 1 else 'rows'}: "
            "it will hardly be learned. Add rows, or merge it with another class."
        )
    elif (
        many >= _IMBALANCE * few
        and many <= _SKEWED_SHARE * sum(counts.values())
        and spec.class_weights is None
    ):
        yield (
            f"class {quoted(commonest, 30)} has {many / few:.0f} times the rows of "
            f"{quoted(rarest, 30)}: the small class may be ignored. Try class_weights='balanced', "
            "and judge by macro F1."
        )


def _about_model(plan: Plan, spec: RunSpec, data: DataCard, model: ModelCard) -> Iterator[str]:
    if data.task in LANGUAGE_MODELING:
        if model.lacks_lm_head and not spec.from_scratch:
            yield (
                f"{quoted(model.name)} was saved without the head that guesses tokens: a random "
                "one must be learned first, and perplexity says little about the rest until then. "
                "Take a model saved with its head, such as demo:bert-tiny or bert-base-uncased."
            )
        return
    reads_pooled = data.task != "token-classification"
    if spec.from_scratch and plan.technique != "full":
        yield (
            f"from_scratch with technique={plan.technique!r} freezes random weights. Take "
            "technique='full'."
        )
    elif model.lacks_pooler and plan.technique == "head" and reads_pooled:
        yield (
            f"{quoted(model.name)} has no pooling layer, so technique='head' would learn on top of "
            "a random one. Take technique='features' or 'full'."
        )


def _about_schedule(plan: Plan, spec: RunSpec) -> Iterator[str]:
    if plan.warmup_steps > plan.num_steps:
        reached = _percent(plan.num_steps / plan.warmup_steps)
        fall = "" if plan.lr_scheduler_type == "constant" else " and never fall"
        yield (
            f"{plan.warmup_steps} warm-up steps, but the run has only {plan.num_steps}: the "
            f"learning rate would rise to {reached} of its peak{fall}. Try warmup_steps=0.06, a "
            "share of the run."
        )
    elif plan.warmup_steps > plan.num_steps / 2:
        left = plan.num_steps - plan.warmup_steps
        yield (
            f"{plan.warmup_steps} of the run's {plan.num_steps} steps are warm-up: only {left} are "
            "left after the peak. Try warmup_steps=0.06, a share of the run."
        )
    if plan.technique == "full" and plan.learning_rate >= _HIGH_LEARNING_RATE:
        yield (
            f"a learning rate of {rate_text(plan.learning_rate)} is high for training every layer: "
            "it tends to destroy what the model knows. 2e-5 to 1e-4 is usual."
        )
    if plan.eval_every_steps > plan.num_steps and spec.eval_steps:
        yield (
            f"eval_steps={plan.eval_every_steps} is more than the run's {plan.num_steps} steps: "
            "the model is evaluated at the end only."
        )
    if plan.num_steps < _FEW_STEPS:
        yield (
            f"the run has only {plan.num_steps} optimizer "
            f"{'step' if plan.num_steps == 1 else 'steps'}. More epochs, a smaller batch or more "
            "rows give the model more to learn from."
        )


def _about_machine(plan: Plan, spec: RunSpec, hardware: Hardware) -> Iterator[str]:
    if hardware.advice:
        yield hardware.advice
    if plan.memory_bytes > hardware.free_bytes:
        users = f" ({'; '.join(hardware.gpu_users)})" if hardware.gpu_users else ""
        yield (
            f"the run needs about {bytes_text(plan.memory_bytes)} of memory and "
            f"{bytes_text(hardware.free_bytes)} are free{users}. Take a smaller batch with more "
            "accumulation, a shorter max_length or technique='head'."
        )
    if plan.disk_bytes > hardware.disk_free_bytes:
        yield (
            f"the run folder may grow to {bytes_text(plan.disk_bytes)} and "
            f"{bytes_text(hardware.disk_free_bytes)} are free. Free some, or choose another "
            "runs_dir."
        )
    if plan.precision == "bf16" and plan.device == "cpu" and not hardware.bf16:
        yield "this processor has no bf16 units: precision='bf16' is slower here than 'fp32'."
    if spec.step == "graphed" and plan.step_kind != "graphed":
        yield f"step='graphed' is not for this run; it takes {plan.step_reason}."
    elif plan.step_kind == "graphed":
        yield (
            "step='graphed' was never measured on a GPU in this release: compare a short run with "
            "step='eager' before you rely on it."
        )


def rate_text(rate: float) -> str:
    """Return a learning rate with two significant digits: `1.0e-4`."""
    mantissa, _, exponent = f"{rate:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def bytes_text(num_bytes: float) -> str:
    """Return bytes in the largest unit that keeps the figure above 1: `87 MB`, `1.1 GB`."""
    value, units = float(num_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    digits = 1 if value < 9.95 and units[0] != "B" else 0
    return f"{value:.{digits}f} {units[0]}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
