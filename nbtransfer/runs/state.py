"""What a run's events add up to: `fold` is the only place that interprets them.

State is never stored; it is computed from the log, so a panel, a new kernel and a test all see the
same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

from nbtransfer.errors import count_of
from nbtransfer.runs.event_fields import FIELDS, is_whole
from nbtransfer.tasks.findings import Example, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbtransfer.runs.events import Event

Ending = Literal["completed", "stopped", "failed"]


class StepRow(NamedTuple):
    """One optimizer step. Loss in nats; learning rate as applied in this step; time in seconds."""

    step: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    num_examples: int
    num_tokens: int
    elapsed_s: float


class EvaluationRow(NamedTuple):
    """One evaluation during training; `metrics` holds `eval_loss`, `eval_accuracy`, ..."""

    step: int
    epoch: float
    metrics: dict[str, float]
    train_loss: float | None
    elapsed_s: float
    is_best: bool
    cause: str
    examples: tuple[Example, ...] = ()
    samples: tuple[Sample, ...] = ()


class ChangeRow(NamedTuple):
    """A live change and the step from which it holds: `changes[name] == (old, new)`."""

    step: int
    revision: int
    changes: dict[str, tuple[float, float]]


class CheckpointRow(NamedTuple):
    """A checkpoint that was announced; `time` is unix seconds.

    Training stood still for `stall_s` of the seconds until it was durable.
    """

    step: int
    name: str
    time: float
    num_bytes: int = 0
    stall_s: float = 0.0


class WarningRow(NamedTuple):
    """Something to tell the user: a bold headline and what to do about it."""

    code: str
    headline: str
    advice: str


@dataclass
class RunState:
    """Everything the events say about a run so far."""

    phase: str = "importing"
    num_steps: int = 0
    steps_per_epoch: int = 0
    num_train_epochs: float = 0.0
    learning_rate: float = 0.0
    device: str = ""
    precision: str = ""
    step_kind: str = ""
    steps: list[StepRow] = field(default_factory=list)
    evaluations: list[EvaluationRow] = field(default_factory=list)
    changes: list[ChangeRow] = field(default_factory=list)
    undone_changes: list[ChangeRow] = field(default_factory=list)
    asked_evaluations: dict[int, int] = field(default_factory=dict)  # number -> its step
    checkpoints: list[CheckpointRow] = field(default_factory=list)
    warnings: list[WarningRow] = field(default_factory=list)
    plan_changes: list[tuple[str, Any, Any, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    examples_per_s: float = 0.0
    tokens_per_s: float = 0.0
    memory_bytes: int = 0
    memory_total_bytes: int = 0
    num_parameters: int = 0
    num_trainable_parameters: int = 0
    paused: bool = False
    revision: int = 0
    wanted: dict[str, float | None] = field(default_factory=dict)
    resumed_from: int | None = None
    skipped_checkpoints: list[tuple[str, str]] = field(default_factory=list)
    lost_checkpoints: list[tuple[str, str]] = field(default_factory=list)
    saved_choice: str | None = None
    saved_step: int | None = None
    saved_metric: str | None = None
    saved_value: float | None = None
    verified: bool = False
    reports: list[str] = field(default_factory=list)
    ending: Ending | None = None
    ending_reason: str = ""
    ended_step: int | None = None
    train_runtime_s: float = 0.0
    error_type: str = ""
    error_message: str = ""
    error_advice: str = ""
    error_traceback: str = ""
    started_time: float | None = None
    earlier_s: float = 0.0
    last_time: float | None = None
    clock_s: float | None = None  # of the worker's life at the last event, whatever dates did
    last_seq: int = -1

    @property
    def step(self) -> int:
        """The last step completed; 0 before the first."""
        return self.steps[-1].step if self.steps else (self.resumed_from or 0)

    @property
    def best_evaluation(self) -> EvaluationRow | None:
        """The newest evaluation that was the best when it was made."""
        return next((row for row in reversed(self.evaluations) if row.is_best), None)

    def apply(self, event: Event) -> None:
        """Fold one more event in; unknown, damaged and repeated ones change nothing."""
        if event["seq"] <= self.last_seq:
            return
        self.last_seq = event["seq"]
        self.last_time = event["time"]
        clock = event.get("clock")
        is_clock = isinstance(clock, (int, float)) and abs(clock) < 1e12
        self.clock_s = clock if is_clock else None
        if event["type"] in FIELDS and is_whole(event):
            getattr(self, f"_on_{event['type']}")(event)

    def _on_worker_started(self, event: Event) -> None:
        self.started_time = event["time"]
        self.paused = False
        self.ending = None

    def _on_phase_started(self, event: Event) -> None:
        self.phase = event["phase"]

    def _on_plan_changed(self, event: Event) -> None:
        self.plan_changes.append(
            (event["field"], event.get("old"), event.get("new"), event["reason"])
        )

    def _on_model_loaded(self, event: Event) -> None:
        self.num_parameters = event["num_parameters"]
        self.num_trainable_parameters = event["num_trainable_parameters"]
        self.notes = list(event["notes"])

    def _on_data_encoded(self, event: Event) -> None:
        if event.get("cache") == "hit":
            self.notes.append("The texts' tokens were kept from an earlier run.")
        if words := event.get("words"):
            used, all_words = words
            self.notes.append(f"{used:,} of {all_words:,} word vectors learn: those the data uses.")

    def _on_frozen_layers_computed(self, event: Event) -> None:
        cache, layers = event["cache"], count_of(event["num_layers"], "frozen layer")
        layers += " says" if event["num_layers"] == 1 else " say"
        where = {"memory": "in memory", "disk": "on disk"}.get(event.get("place") or "", "")
        size = f"{event['num_bytes'] / 1e6:,.0f} MB"
        note = {
            "hit": f"What {layers} of the texts was kept from an earlier run ({where}).",
            "miss": f"What {layers} of the texts is computed once and kept ({where}, {size}).",
        }.get(cache, f"No room to keep what {layers} of the texts ({size}).")
        if note not in self.notes:
            self.notes.append(note)

    def _on_training_started(self, event: Event) -> None:
        for name in (
            "num_steps",
            "steps_per_epoch",
            "num_train_epochs",
            "learning_rate",
            "device",
            "precision",
        ):
            setattr(self, name, event[name])
        self.step_kind = event["step_kind"]

    def _on_checkpoints_lost(self, event: Event) -> None:
        self.lost_checkpoints = [tuple(pair) for pair in event["checkpoints"]]
        self.checkpoints = []

    def _on_run_resumed(self, event: Event) -> None:
        """Drop what lies beyond the checkpoint: the resumed run does it again."""
        at = event["from_step"]
        self.resumed_from = at
        self.skipped_checkpoints = [tuple(pair) for pair in event["skipped"]]
        self.lost_checkpoints = []
        self.steps = [row for row in self.steps if row.step <= at]
        # The evaluation made on stopping is no part of the run that goes on.
        self.evaluations = [
            row for row in self.evaluations if row.step <= at and row.cause != "stop"
        ]
        # Changes beyond the checkpoint wait to be made again; a further loss must not forget them.
        changes = [*self.changes, *self.undone_changes]
        self.changes = [row for row in changes if row.revision <= event["revision"]]
        self.undone_changes = [row for row in changes if row.revision > event["revision"]]
        self.revision = event["revision"]
        self.checkpoints = [row for row in self.checkpoints if row.step <= at]
        self.earlier_s = self.steps[-1].elapsed_s if self.steps else 0.0
        self.warnings = []
        self.ending = None
        self.ended_step = None
        self.verified = False

    def _on_step_completed(self, event: Event) -> None:
        self.steps.append(StepRow(*(_number(event[name]) for name in StepRow._fields)))  # type: ignore[arg-type]

    def _on_throughput_measured(self, event: Event) -> None:
        self.examples_per_s = event["examples_per_s"]
        self.tokens_per_s = event["tokens_per_s"]
        self.memory_bytes = event["memory_bytes"]
        self.memory_total_bytes = event["memory_total_bytes"]

    def _on_control_applied(self, event: Event) -> None:
        self.revision = event["revision"]
        self.wanted = event["wanted"]
        if (number := event.get("evaluations")) is not None:
            self.asked_evaluations[number] = event["step"]
        changes = {name: (old, new) for name, (old, new) in event["changes"].items()}
        if not changes:
            return
        self.changes.append(ChangeRow(event["step"], event["revision"], changes))
        # A revision of its own is a hand on the sliders, which outranks what was to be made again.
        self.undone_changes = [r for r in self.undone_changes if r.revision > event["revision"]]
        if "learning_rate" in changes:
            self.learning_rate = changes["learning_rate"][1]
        if "num_train_epochs" in changes:
            self.num_train_epochs = changes["num_train_epochs"][1]
            self.num_steps = event["num_steps"]

    def _on_run_paused(self, event: Event) -> None:
        self.paused = True

    def _on_run_unpaused(self, event: Event) -> None:
        self.paused = False

    def _on_evaluation_completed(self, event: Event) -> None:
        metrics = {name: _number(value) for name, value in event["metrics"].items()}
        # One whose checkpoint was not made any more is made again, after the same step.
        again = [
            r for r in self.evaluations if (r.step, r.cause) == (event["step"], event["cause"])
        ]
        self.evaluations = [row for row in self.evaluations if row not in again]
        self.evaluations.append(
            EvaluationRow(
                event["step"],
                event["epoch"],
                metrics,
                _number(event.get("train_loss")),
                event["elapsed_s"],
                event["is_best"] or any(row.is_best for row in again),
                event["cause"],
                tuple(Example(*row) for row in event.get("examples") or ()),
                tuple(Sample(*row) for row in event.get("samples") or ()),
            )
        )

    def _on_checkpoint_saved(self, event: Event) -> None:
        figures = (event.get("num_bytes") or 0, event.get("stall_s") or 0.0)
        self.checkpoints.append(
            CheckpointRow(event["step"], event["name"], event["time"], *figures)
        )

    def _on_warning_raised(self, event: Event) -> None:
        row = WarningRow(event["code"], event["headline"], event["advice"])
        self.warnings = [w for w in self.warnings if w.code != row.code] + [row]

    def _on_model_saved(self, event: Event) -> None:
        self.saved_choice, self.saved_step = event["choice"], event["step"]
        self.saved_metric, self.saved_value = event.get("metric"), _number(event.get("value"))

    def _on_model_verified(self, event: Event) -> None:
        self.verified = True

    def _on_report_saved(self, event: Event) -> None:
        self.reports.append(event["name"])

    def _end(self, ending: Ending, event: Event) -> None:
        self.ending, self.ending_reason = ending, event.get("reason") or ""
        self.ended_step = event["step"]
        self.train_runtime_s = event.get("train_runtime_s") or 0.0
        self.paused = False

    def _on_run_completed(self, event: Event) -> None:
        self._end("completed", event)

    def _on_run_stopped(self, event: Event) -> None:
        self._end("stopped", event)

    def _on_run_failed(self, event: Event) -> None:
        self._end("failed", event)
        self.error_type, self.error_message = event["error_type"], event["message"]
        self.error_advice, self.error_traceback = event["advice"], event["traceback"]


@overload
def _number(value: float | str) -> float: ...
@overload
def _number(value: float | str | None) -> float | None: ...
def _number(value: float | str | None) -> float | None:
    """Return the number a record holds; NaN and infinities are written as strings."""
    return float(value) if isinstance(value, str) else value


def fold(events: Iterable[Event]) -> RunState:
    """Return the state that `events` add up to."""
    state = RunState()
    for event in events:
        state.apply(event)
    return state
