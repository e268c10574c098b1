"""Run: the light handle on a run folder that the notebook holds."""

from __future__ import annotations

import importlib
import shlex
import time
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from nbtransfer.errors import RunError, quoted
from nbtransfer.runs.control import StopReason, change_control, read_control
from nbtransfer.runs.events import Event, EventReader, read_events
from nbtransfer.runs.files import read_json
from nbtransfer.runs.lock import is_locked, try_lock
from nbtransfer.runs.paths import CACHE_DIR, RunPaths
from nbtransfer.runs.process import is_at_work, is_here, kill, last_sign, read_process
from nbtransfer.runs.state import RunState
from nbtransfer.settings import resolve_runs_dir
from nbtransfer.spec import RunSpec
from nbtransfer.tasks.metric_words import metric_text, metric_word, shown_metrics

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from nbtransfer.data.card import DataCard
    from nbtransfer.models.catalog import ModelCard
    from nbtransfer.planning import Plan
    from nbtransfer.runs.report import Report
    from nbtransfer.runs.usage import Usage

_Record = TypeVar("_Record")
Status = Literal["created", "running", "paused", "completed", "stopped", "failed", "lost"]

_PATIENCE_S = 5.0


class Run:
    """One fine-tuning run, named by its folder.

    Everything is read from the folder when asked for, so a Run made in another kernel tells the
    same.

    Attributes:
        dir: the run's folder.
        paths: where everything in it lies.
    """

    def __init__(self, run_dir: str | os.PathLike[str]) -> None:
        self.dir = Path(run_dir).absolute()
        self.paths = RunPaths(self.dir)
        self._reader = EventReader(self.paths.events)
        self._state = RunState()
        self._known: Status | None = None
        self._is_held = False

    @property
    def id(self) -> str:
        """The run's name: that of its folder."""
        return self.dir.name

    @property
    def reference(self) -> str:
        """What names the run in a magic's line: its name, or its folder where that is elsewhere."""
        if self.dir.parent == resolve_runs_dir():
            return self.id
        here = Path.cwd()
        inside = self.dir.is_relative_to(here)
        return shlex.quote(str(self.dir.relative_to(here) if inside else self.dir))

    @cached_property
    def spec(self) -> RunSpec:
        """What was asked for."""
        return self._read(self.paths.spec, RunSpec.from_json)

    @cached_property
    def plan(self) -> Plan:
        """What was decided before the start."""
        from nbtransfer.planning import Plan

        return self._read(self.paths.plan, Plan.from_json)

    @cached_property
    def data_card(self) -> DataCard:
        """What the data is like."""
        from nbtransfer.data.card import DataCard

        return self._read(self.paths.data_card, DataCard.from_json)

    @cached_property
    def model_card(self) -> ModelCard:
        """What the pre-trained model is like."""
        from nbtransfer.models.catalog import ModelCard

        card = self._read(self.paths.model_card, ModelCard.from_json)
        place = Path(card.location)
        # Wherever the runs folder has been moved to: a variable's copy lies in the run itself, what
        # was converted in the cache, and an earlier run's model in that run, beside this one.
        moved = {
            "variable": self.paths.base_model_dir,
            "demo": self.dir.parent / CACHE_DIR / place.name,
            "run": RunPaths(self.dir.parent / place.parent.name).model_dir,
        }.get(card.source)
        if moved is None or (card.source != "variable" and (place.exists() or not moved.exists())):
            return card
        return card.at(moved)

    @property
    def usage(self) -> Usage:
        """How the model that the run leaves is asked."""
        from nbtransfer.runs.usage import Usage

        return Usage(
            card=self.data_card,
            max_length=self.plan.max_length,
            precision=self.plan.precision,
            device=self.plan.device,
            num_threads=self.plan.num_threads,
            use_cpu=self.spec.use_cpu,
            deterministic=self.spec.deterministic,
            products="torch" if self.plan.products == "auto" else self.plan.products,
            per_device_eval_batch_size=self.spec.eval_batch_size,
        )

    @property
    def created_time(self) -> float:
        """When the run was created, in unix seconds."""
        return self.paths.spec.stat().st_mtime

    def _read(self, path: Path, parse: Callable[[dict[str, Any]], _Record]) -> _Record:
        try:
            return parse(read_json(path))
        except (OSError, ValueError) as error:
            reason = str(error)
        except (AttributeError, KeyError, TypeError):
            reason = "it is not the record that was written"
        raise RunError(f"run {self.id!r} is damaged: {path.name} ({reason}).", self)

    def state(self) -> RunState:
        """Return what the events add up to; each call brings the same object up to date."""
        for event in self._reader.poll():
            self._state.apply(event)
        return self._state

    def events(self) -> Iterator[Event]:
        """Iterate over the run's events as dicts, oldest first."""
        return read_events(self.paths.events)

    @property
    def status(self) -> Status:
        """Where the run stands, judged from its events and from whether its process lives.

        While its disk does not answer (a network's, for a moment) that is what was known before.
        """
        try:
            self._known = self._judge()
        except OSError:
            if self._known is None:
                raise
        return self._known

    def _judge(self) -> Status:
        state = self.state()
        record = read_process(self.paths.process)
        if state.ending is not None:
            # A run that was handed to a worker again keeps its old ending until the worker begins.
            if record is None or record.get("after_seq") != state.last_seq:
                return state.ending
            return "running" if self._is_worked_on(record) else state.ending
        if record is None:
            return "created" if state.started_time is None else "lost"
        if not self._is_worked_on(record):
            # The last events may have been written between the two looks.
            ending = self.state().ending
            return ending if ending is not None else "lost"
        if state.paused:
            return "paused"
        return "running"

    def _is_worked_on(self, record: dict[str, Any]) -> bool:
        last = last_sign(record, self.paths.lock, self._state.last_time)
        return is_at_work(record, None if self._is_held else self.paths.lock, last)

    def last_seen(self) -> tuple[str, float] | None:
        """Return where and how many seconds ago the run's worker was seen, if not from here.

        None where it is a process of this machine, and where its lock is seen to be held.
        """
        record = read_process(self.paths.process)
        if record is None or is_here(record) or (not self._is_held and is_locked(self.paths.lock)):
            return None
        last = last_sign(record, self.paths.lock, self.state().last_time)
        return str(record.get("host")), max(time.time() - last, 0.0)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process from working on the run, or beginning to.

        Raises:
            RunError: if one does.
            OSError: if the run's folder cannot be written.
        """
        lock = try_lock(self.paths.lock, patience_s=_PATIENCE_S)
        if lock is None:
            raise self.worked_on_error("running")
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            lock.close()

    def worked_on_error(self, status: str) -> RunError:
        """Return the error of who wants the run while another process has it."""
        record = read_process(self.paths.process) or {}
        return RunError(
            f"run {self.id!r} is {status} already, in process {record.get('pid')} on "
            f"{quoted(record.get('host'))}. See it: %finetune --attach {self.id}",
            self,
        )

    def metrics(self) -> dict[str, float]:
        """Return the kept model's metrics and the run's figures.

        Returns:
            `eval_*` as measured on the validation rows for the model that was kept, and
            `num_steps`, `train_loss`, `train_runtime_s`, `train_samples_per_second`.
        """
        state = self.state()
        kept = [row for row in state.evaluations if row.step == state.saved_step]
        rows = kept or state.evaluations
        found: dict[str, float] = dict(rows[-1].metrics) if rows else {}
        if "validation" in state.reports and self.plan.generates_for_some:
            found = dict(self.report().metrics)  # which has them all
        if state.steps:
            found["train_loss"] = state.steps[-1].loss
        runtime = state.train_runtime_s or (state.steps[-1].elapsed_s if state.steps else 0.0)
        found["train_runtime_s"] = runtime
        examples = sum(step.num_examples for step in state.steps)
        found["train_samples_per_second"] = examples / runtime if runtime else 0.0
        found["num_steps"] = state.step
        return found

    def report(self, name: str = "validation") -> Report:
        """Return the evaluation called `name`.

        Raises:
            RunError: if there is none of that name.
        """
        from nbtransfer.runs.report import read_report

        paths = self.paths.evaluation(name)
        if not paths.report.is_file():
            raise RunError(
                f"run {self.id!r} has no evaluation {name!r}. Make it: %evaluate {self.id}", self
            )
        return read_report(paths)

    def log(self) -> str:
        """Return what the worker printed while it worked on this run."""
        try:
            return self.paths.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def wait(self, timeout_s: float | None = None) -> Run:
        """Block until the run has ended, without showing anything.

        Raises:
            RunError: if the run failed, was lost, or `timeout_s` passed.
        """
        start = time.monotonic()
        while (status := self.status) in ("created", "running", "paused"):
            if timeout_s is not None and time.monotonic() - start > timeout_s:
                raise RunError(f"run {self.id!r} is still {status} after {timeout_s:g} s.", self)
            time.sleep(0.05)
        self.raise_if_failed()
        return self

    def raise_if_failed(self) -> None:
        """Raise RunError if the run failed or was lost; otherwise do nothing."""
        status = self.status
        state = self.state()
        if status == "failed":
            advice = f" {state.error_advice}" if state.error_advice else ""
            raise RunError(f"run {self.id!r} failed: {state.error_message}{advice}", self)
        if status == "lost":
            # Whether that checkpoint still verifies is found on resuming: reading it takes seconds.
            resume = (
                f"Its last checkpoint is of step {state.checkpoints[-1].step}. "
                f"Go on with it: %finetune --resume {self.reference}"
                if state.checkpoints
                else f"There is no checkpoint yet; start over: %finetune --resume {self.reference}"
            )
            seen = self.last_seen()
            where = f", last seen on {quoted(seen[0])}," if seen else ""
            raise RunError(
                f"run {self.id!r} lost its worker{where} at step {state.step}. {resume}", self
            )

    def set(
        self, *, learning_rate: float | None = None, num_train_epochs: float | None = None
    ) -> int:
        """Change a running job from its next step on.

        Args:
            learning_rate: new peak of the schedule.
            num_train_epochs: new number of epochs; never below the current one.

        Returns:
            The revision that `state().revision` reaches once the worker has applied it.
        """
        wanted = {"learning_rate": learning_rate, "num_train_epochs": num_train_epochs}
        return self._ask(**{k: float(v) for k, v in wanted.items() if v is not None})

    def pause(self) -> int:
        """Hold the run at its next step boundary."""
        return self._ask(paused=True)

    def unpause(self) -> int:
        """Let a paused run go on."""
        return self._ask(paused=False)

    def evaluate_now(self) -> int:
        """Ask for an evaluation at the next step boundary."""
        return self._ask(evaluate=True)

    def stop(self, *, reason: StopReason = "stop", now: bool = False) -> int:
        """End the run at its next step boundary, keeping a usable, evaluated model.

        Args:
            reason: who asked; it stands in the record.
            now: kill the worker instead; what came after the last checkpoint is lost.

        Raises:
            RunError: if `now`, and the worker is on another machine or another user's, or if the
                run's folder cannot be written.
        """
        record = read_process(self.paths.process)
        if now and record is not None and self.status in ("running", "paused"):
            if not kill(record):
                raise RunError(
                    f"the worker of run {self.id!r}, process {record['pid']} on "
                    f"{quoted(record.get('host'))}, is another machine's or another user's and "
                    f"cannot be killed. Stop it without 'now': %runs stop {self.id}",
                    self,
                )
            return read_control(self.paths.control).revision
        return self._ask(stop=reason, paused=False)

    def resume(self) -> Run:
        """Let a paused run go on, or start an ended one again from its newest checkpoint.

        Returns at once; `wait()` or `show()` follow it.

        Raises:
            RunError: if it is running or finished.
        """
        if self.status == "paused":
            self.unpause()
            return self
        from nbtransfer.runs.launch import resume_run

        resume_run(self)
        return self

    def show(self) -> None:
        """Draw the run's panel: live while it runs, the record afterwards."""
        # By name, as the worker is: this module stays below the panels.
        importlib.import_module("nbtransfer.panels.show").show_run(self, wait=False)

    def _ask(self, **changes: object) -> int:
        try:
            return change_control(self.paths.control, **changes)  # type: ignore[arg-type]
        except OSError as error:
            raise RunError(
                f"run {self.id!r} cannot be told so: its folder {quoted(str(self.dir))} cannot be "
                f"written ({error.strerror}). What kills its worker without a word: "
                f"%runs stop {self.id} --now",
                self,
            ) from None

    def __repr__(self) -> str:
        status = self.status
        text = f"Run {self.id}: {status}"
        state = self.state()
        if status in ("running", "paused") and state.num_steps:
            text += f", step {state.step} of {state.num_steps}"
        metrics = self.metrics()
        for name in shown_metrics(metrics)[:2]:
            text += f", {metric_word(name)} {metric_text(name, metrics[name])}"
        return text
