"""What a run's panel and record say, as pure functions from its state to HTML and text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbtransfer.panels.markup import Markup, join, tag
from nbtransfer.panels.quantities import duration_text, rate_text
from nbtransfer.panels.remaining import remaining_s
from nbtransfer.panels.run_notes import capital
from nbtransfer.tasks.metric_words import metric_text, metric_word, shown_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbtransfer.runs.run import Run
    from nbtransfer.runs.state import EvaluationRow, RunState

_TABLE_ROWS = 10
_MAX_BAR_MARKS = 60

_GOOD = frozenset({"completed"})
_BAD = frozenset({"failed", "lost"})
ENDED = frozenset({"completed", "stopped", "failed", "lost"})

PHASE_WORDS = {
    "importing": (
        "Starting the worker: importing torch and transformers takes 6 to 20 s, once per kernel."
    ),
    "loading": "Loading the model.",
    "tokenizing": "Turning the texts into tokens.",
    "computing frozen layers": "Computing once what the frozen layers say of each text.",
    "training": "Taking the first step.",
    "evaluating": "Evaluating.",
    "saving": "Saving the model.",
}


@dataclass(frozen=True, kw_only=True)
class About:
    """What is known of a run before it does anything.

    Attributes:
        name: the run's name.
        model: the pre-trained model, as the user named it.
        data: the data, as the user named them.
        task: the task's name.
        num_train_rows: rows to learn from.
        num_validation_rows: rows to evaluate on; 0 for none.
        num_classes: classes to tell apart, or types of entities to find.
        class_words: which of the two.
        num_steps: planned optimizer steps.
        num_train_epochs: planned epochs.
        learning_rate: planned peak.
        eval_every_steps: steps between evaluations; 0 for none.
        device: planned device.
        precision: planned arithmetic.
        step_kind: planned way of taking a step.
        reads_pairs: whether a row has two texts.
        baseline: accuracy of always saying the largest class.
        notes: choices that were made and are stated.
        warnings: what the plan warned of.
        follow_up: the line that asks for what is to follow, where this is a first stage.
    """

    name: str
    model: str
    data: str
    task: str
    num_train_rows: int = 0
    num_validation_rows: int = 0
    num_classes: int = 0
    class_words: str = "classes"
    num_steps: int = 0
    num_train_epochs: float = 0.0
    learning_rate: float = 0.0
    eval_every_steps: int = 0
    device: str = ""
    precision: str = ""
    step_kind: str = ""
    reads_pairs: bool = False
    baseline: float | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    follow_up: str = ""

    @classmethod
    def of(cls, run: Run) -> About:
        """Read it from the run's folder."""
        plan, data = run.plan, run.data_card
        return cls(
            name=run.id,
            model=run.spec.model,
            data=data.name,
            task=data.task,
            num_train_rows=plan.num_train_rows,
            num_validation_rows=plan.num_validation_rows,
            num_classes=len(data.counted.names) if data.class_counts else 0,
            class_words=data.counted.words,
            num_steps=plan.num_steps,
            num_train_epochs=plan.num_train_epochs,
            learning_rate=plan.learning_rate,
            eval_every_steps=plan.eval_every_steps,
            device=plan.device,
            precision=plan.precision,
            step_kind=plan.step_kind,
            reads_pairs="text_pair" in data.roles,
            baseline=plan.baseline_accuracy if plan.num_validation_rows else None,
            notes=(*data.notes, *plan.notes),
            warnings=plan.warnings,
            follow_up=plan.follow_up,
        )

    @property
    def source(self) -> str:
        """One line: `demo:minilm → df · text-classification · 1,500 + 167 rows, 2 classes`."""
        rows = f"{self.num_train_rows:,}"
        if self.num_validation_rows:
            rows += f" + {self.num_validation_rows:,}"
        classes = f", {self.num_classes} {self.class_words}" if self.num_classes else ""
        return f"{self.model} → {self.data} · {self.task} · {rows} rows{classes}"


def phase_of(state: RunState, status: str) -> str:
    """Return the one word for what the run is doing."""
    if status in ENDED:
        return status
    return "paused" if state.paused else state.phase


def elapsed_s(state: RunState, status: str, now: float) -> float:
    """Return the seconds since the worker began, up to the last event of a run that has ended.

    A resumed run's clock goes on from its checkpoint, as the times of its evaluations do. A date
    that jumps (a clock that is set) counts until the next event at most.
    """
    if state.started_time is None or state.last_time is None:
        return 0.0
    told = state.last_time - state.started_time if state.clock_s is None else state.clock_s
    since = 0.0 if status in ENDED else max(now - state.last_time, 0.0)
    return state.earlier_s + max(told, 0.0) + since


def head(
    about: About, state: RunState, status: str, now: float, opened: float | None = None
) -> Markup:
    """Return the title row.

    Args:
        about: the run.
        state: what its events add up to.
        status: as `Run.status` says.
        now: unix seconds.
        opened: when the panel was opened: the clock until the worker tells when it began.
    """
    phase = phase_of(state, status)
    elapsed, left = _clock_parts(about, state, status, now, opened)
    kind = "nbt-chip-done" if phase in _GOOD else "nbt-chip-bad" if phase in _BAD else ""
    return tag(
        "div",
        tag("span", about.name, class_="nbt-title"),
        " ",
        tag("span", about.source, class_="nbt-dim"),
        " ",
        tag("span", phase, class_=f"nbt-chip {kind}".strip()),
        " ",
        tag(
            "span",
            elapsed,
            join(" · ", tag("b", left)) if left else None,
            class_="nbt-right nbt-dim",
        ),
        class_="nbt-head",
    )


def _clock_parts(
    about: About, state: RunState, status: str, now: float, opened: float | None
) -> tuple[str, str]:
    """Return the time that passed, and what is left of it where that is known."""
    seconds = elapsed_s(state, status, now)
    if status not in ENDED and opened is not None and state.started_time is None:
        seconds = max(now - opened, 0.0)
    clock = f"{duration_text(seconds)} elapsed"
    if status in ENDED:
        return clock, ""
    if state.paused:
        return clock, "paused"
    if state.phase == "saving":
        return clock, ""
    left = remaining_s(state, about.eval_every_steps, about.num_validation_rows, now)
    return clock, "" if left is None else f"{duration_text(left)} left"


def clock_text(
    about: About, state: RunState, status: str, now: float, opened: float | None = None
) -> str:
    """Return the times of the title row as text: `2:18 elapsed · 1:38 left`."""
    return " · ".join(part for part in _clock_parts(about, state, status, now, opened) if part)


def bar(state: RunState) -> Markup:
    """Return the progress bar with a mark at the end of each epoch."""
    total = max(state.num_steps, 1)
    done = 100 * min(state.step / total, 1.0) if state.num_steps else 0.0
    per_epoch = state.steps_per_epoch
    ends = range(per_epoch, total, per_epoch) if per_epoch else ()
    marks = [
        tag("s", style=f"left:{100 * step / total:.2f}%")
        for step in (ends if len(ends) <= _MAX_BAR_MARKS else ())
    ]
    return tag(
        "div",
        tag("i", style=f"width:{done:.2f}%"),
        *marks,
        class_="nbt-bar",
        role="progressbar",
        aria_label="steps done",
        aria_valuenow=f"{done:.0f}",
        aria_valuemin=0,
        aria_valuemax=100,
    )


def facts(about: About, state: RunState, status: str) -> list[tuple[str, str]]:
    """Return the figures of the moment, in a strong and a dim part: `("step 330", "of 564")`."""
    found: list[tuple[str, str]] = []
    num_steps = state.num_steps or about.num_steps
    num_epochs = state.num_train_epochs or about.num_train_epochs
    if state.steps or state.num_steps:
        found.append((f"step {state.step:,}", f"of {num_steps:,}"))
        epoch = state.steps[-1].epoch if state.steps else 0.0
        done = f"{epoch:.1f}" if num_epochs >= 1 else _epochs_text(epoch)
        found.append((f"epoch {done}", f"of {_epochs_text(num_epochs)}"))
    elif status not in ENDED:
        found.append((f"{num_steps:,} steps", f"planned, {_epochs_text(num_epochs)} epochs"))
    if state.examples_per_s:
        found.append((f"{state.examples_per_s:,.1f}", "texts/s"))
        found.append((f"{state.tokens_per_s:,.0f}", "tokens/s"))
    if state.memory_bytes:
        total = f"of {state.memory_total_bytes / 1e9:.0f} GB" if state.memory_total_bytes else "GB"
        found.append((f"{state.memory_bytes / 1e9:.1f}", f"{total} memory"))
    device, kind = state.device or about.device, state.step_kind or about.step_kind
    where = ", ".join(part for part in (_device_word(device), kind) if part)
    if precision := state.precision or about.precision:
        found.append((precision, where))
    return found


def _epochs_text(epochs: float) -> str:
    return f"{epochs:.2f}".rstrip("0").rstrip(".")


def _device_word(device: str) -> str:
    return {"cpu": "CPU", "cuda": "GPU", "mps": "Apple GPU"}.get(device, device)


def facts_row(about: About, state: RunState, status: str) -> Markup:
    """Return the facts as a line; before the first step, what is being done."""
    parts: list[object] = []
    if status not in ENDED and not state.steps:
        parts.append(tag("span", PHASE_WORDS.get(state.phase, state.phase)))
    for strong, dim in facts(about, state, status):
        parts.append(tag("span", tag("b", strong), " ", tag("span", dim, class_="nbt-dim")))
    # The spaces keep the figures apart where a page drops the style sheet.
    return tag("div", *[x for part in parts for x in (part, " ")], class_="nbt-facts")


class _Columns:
    """The columns of the evaluations: their headings and how a row fills them.

    Args:
        rows: the evaluations; the first says what the task measures.
    """

    def __init__(self, rows: Sequence[EvaluationRow]) -> None:
        self._metrics = shown_metrics(rows[0].metrics)
        words = map(metric_word, self._metrics)
        self.headings = ("epoch", "training loss", "validation loss", *words, "time")

    def cells(self, row: EvaluationRow) -> tuple[str, ...]:
        """Return the row's cells as text."""
        return (
            _epochs_text(row.epoch),
            figure_text(row.train_loss),
            figure_text(row.metrics.get("eval_loss")),
            *(metric_text(name, row.metrics.get(name)) for name in self._metrics),
            duration_text(row.elapsed_s) if math.isfinite(row.elapsed_s) else "–",
        )


def figure_text(value: float | None) -> str:
    """Return a loss or score with three decimals, what is missing as a dash, NaN by its name."""
    if value is None:
        return "–"
    return f"{value:.3f}" if math.isfinite(value) else str(value)


def shown_evaluations(state: RunState) -> tuple[list[EvaluationRow], EvaluationRow | None]:
    """Return the last ten evaluations, the best before them where it is older, and the best."""
    best = state.best_evaluation
    rows = state.evaluations[-_TABLE_ROWS:]
    if best is not None and all(row is not best for row in rows):
        rows = [best, *rows]
    return rows, best


def evaluations_table(state: RunState) -> Markup | None:
    """Return the evaluations as a table, or None before the first."""
    rows, best = shown_evaluations(state)
    if not rows:
        return None
    columns, body = _Columns(rows), []
    for row in rows:
        first, *others = columns.cells(row)
        chip = join(" ", tag("span", "best", class_="nbt-chip nbt-chip-done"))
        body.append(
            tag(
                "tr",
                tag("th", first, chip if row is best else None, scope="row"),
                *(tag("td", cell) for cell in others),
                class_="nbt-best" if row is best else None,
            )
        )
    heading = tag("tr", *(tag("th", name, scope="col") for name in columns.headings))
    table = tag("table", tag("thead", heading), tag("tbody", *body), class_="nbt-table")
    left_out = len(state.evaluations) - len(rows)
    more = (
        tag("p", f"{left_out} earlier evaluations are not shown.", class_="nbt-note")
        if left_out > 0
        else None
    )
    return tag("div", tag("div", table, class_="nbt-scroll"), more, class_="nbt-table-place")


def evaluations_text(state: RunState) -> list[str]:
    """Return the evaluations as lines of plain text, a heading first; empty before the first."""
    rows, best = shown_evaluations(state)
    if not rows:
        return []
    columns = _Columns(rows)
    cells = [columns.headings, *(columns.cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns.headings))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)) for line in cells]
    return [
        line + ("  best" if index and rows[index - 1] is best else "")
        for index, line in enumerate(lines)
    ]


def warning_pairs(about: About, state: RunState) -> list[tuple[str, str]]:
    """Return what the user should know as headline and advice: the plan's, then the run's own."""
    return [
        *((capital(warning), "") for warning in about.warnings),
        *(
            (f"{field} is {_value_text(field, new)} instead of {_value_text(field, old)}.", reason)
            for field, old, new, reason in state.plan_changes
        ),
        *((row.headline, row.advice) for row in state.warnings),
    ]


def _value_text(field: str, value: object) -> str:
    return rate_text(value) if field == "learning_rate" and isinstance(value, float) else str(value)


def warnings_block(pairs: Sequence[tuple[str, str]]) -> Markup | None:
    """Return the warnings as sentences, or None where there are none."""
    return (
        join(
            *(
                tag("div", tag("b", headline), f" {advice}", class_="nbt-say")
                for headline, advice in pairs
            )
        )
        if pairs
        else None
    )
