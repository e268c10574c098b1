"""What `%finetune ... --plan` shows: everything decided, and the choices and warnings behind it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from IPython.display import display

from nbtransfer.commandline import finetune_line
from nbtransfer.errors import count_of
from nbtransfer.panels.markup import Markup, tag
from nbtransfer.panels.quantities import rate_text
from nbtransfer.panels.run_notes import notes_block
from nbtransfer.panels.setup_choices import cut_words, plan_rows
from nbtransfer.panels.style import card

if TYPE_CHECKING:
    from nbtransfer.adaptation import Adaptation
    from nbtransfer.api import Job


def show_plan(job: Job, *, runs_dir: str | None = None) -> None:
    """Show what starting `job` would do, and the line that starts it."""
    _show(job, finetune_line(job.spec, runs_dir=runs_dir))


def show_plans(asked: Adaptation, *, runs_dir: str | None = None) -> None:
    """Show what two stages would do, with the line that starts the first, then that of both."""
    first = dataclasses.replace(asked.first.spec, name=None)  # drawn, unless it was given
    _show(asked.first, finetune_line(first, runs_dir=runs_dir), "Plan, stage 1 of 2")
    both = finetune_line(asked.second.spec, more=asked.options, runs_dir=runs_dir)
    _show(asked.second, both, "Plan, stage 2 of 2")


def _show(job: Job, line: str, title: str = "Plan") -> None:
    text = plan_text(job, line)
    if title != "Plan":
        text = f"{title}\n{text}"
    bundle = {"text/html": str(plan_markup(job, line, title)), "text/plain": text}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def decided_rows(job: Job) -> list[tuple[str, str]]:
    """Return the plan as names and values: what is trained on, how, and what it takes."""
    plan, data = job.plan, job.prepared.card
    held_out = f" + {plan.num_validation_rows:,} held out" if plan.num_validation_rows else ""
    rate = rate_text(plan.learning_rate)
    epochs = f"{plan.num_train_epochs:.2f}".rstrip("0").rstrip(".")
    return [
        ("rows", f"{plan.num_train_rows:,} to train{held_out}"),
        ("task", data.task),
        ("columns", ", ".join(f"{role}: {name}" for role, name in data.roles.items())),
        *([(data.counted.words, f"{len(data.counted.names)}")] if data.class_counts else []),
        ("technique", f"{plan.technique}, {plan.num_trainable_parameters:,} weights learn"),
        ("epochs", f"{epochs}, {count_of(plan.steps_per_epoch, 'step')} each"),
        (
            "learning rate",
            f"{rate}, warm-up {count_of(plan.warmup_steps, 'step')}, {plan.lr_scheduler_type}",
        ),
        ("batch", f"{plan.per_device_train_batch_size} x {plan.gradient_accumulation_steps}"),
        ("max length", f"{plan.max_length:,} tokens, {cut_words(plan)}"),
        ("device", f"{plan.device_name} ({plan.device})"),
        *plan_rows(plan),
    ]


def plan_markup(job: Job, line: str, title: str = "Plan") -> Markup:
    """Return the plan as a card."""
    rows = decided_rows(job)
    costs = len(plan_rows(job.plan))
    return card(
        tag(
            "div",
            tag("span", title, class_="nbt-title"),
            tag(
                "span", f"{job.spec.model} → {job.spec.data} · nothing is started", class_="nbt-dim"
            ),
            class_="nbt-head",
        ),
        tag("div", _pairs("How", rows[:-costs]), _pairs("Cost", rows[-costs:]), class_="nbt-grid"),
        *(tag("p", warning, class_="nbt-say") for warning in _warnings(job)),
        notes_block(job.notes),
        tag("div", tag("div", line, class_="nbt-code"), class_="nbt-section"),
    )


def _pairs(heading: str, rows: list[tuple[str, str]]) -> Markup:
    lines = (tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in rows)
    return tag(
        "div",
        tag("h4", heading, class_="jp-toc-ignore"),
        tag("table", tag("tbody", *lines), class_="nbt-kv"),
    )


def plan_text(job: Job, line: str) -> str:
    """Return the plan in plain text."""
    rows = decided_rows(job)
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    lines += [f"warning: {warning}" for warning in _warnings(job)]
    lines += [f"note: {note}" for note in job.notes]
    return "\n".join([*lines, line])


def _warnings(job: Job) -> list[str]:
    return list(dict.fromkeys([*job.prepared.card.warnings, *job.plan.warnings]))
