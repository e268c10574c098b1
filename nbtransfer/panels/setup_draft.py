"""From what the setup form asks for to what would happen: a Drafter turns a spec into a Draft.

Models and data are loaded once for each choice and kept, so that moving a slider costs a plan and
nothing else.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from nbtransfer.commandline import finetune_line
from nbtransfer.data.lengths import measure_lengths
from nbtransfer.errors import ModelError, NbTransferError
from nbtransfer.panels.setup_choices import describe_data, describe_model
from nbtransfer.settings import resolve_runs_dir
from nbtransfer.tasks.catalog import choose_task, task_named
from nbtransfer.tasks.task import Decides

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbtransfer.data.lengths import Lengths
    from nbtransfer.data.sources import Tables
    from nbtransfer.hardware import Hardware
    from nbtransfer.models.catalog import ModelCard
    from nbtransfer.planning import Plan
    from nbtransfer.spec import RunSpec, TaskName
    from nbtransfer.tasks.task import Decisions, Prepared
    from nbtransfer.tasks.text_columns import Columns

Kept = TypeVar("Kept")


class Draft(NamedTuple):
    """What a spec comes to; what could not be found is None, and `problems` says why.

    `roles` are the columns that were recognised, by the option that names them.
    """

    spec: RunSpec
    line: str
    tables: Tables | None
    task: TaskName | None
    roles: dict[str, str]
    model: ModelCard | None
    prepared: Prepared | None
    lengths: Lengths | None
    plan: Plan | None
    problems: tuple[str, ...]


class Drafter:
    """Loads what a form refers to, once for each choice, and plans.

    Attributes:
        namespace: the notebook's variables.
        runs_dir: where the run will be kept, and finished runs, which can be models, are found.
    """

    def __init__(self, namespace: Mapping[str, object], runs_dir: Path) -> None:
        self.namespace = namespace
        self.runs_dir = runs_dir
        self._kept: dict[str, tuple[object, Any]] = {}
        self._named_runs_dir = None
        if runs_dir != resolve_runs_dir():
            here = Path.cwd()
            inside = runs_dir.is_relative_to(here)
            self._named_runs_dir = str(runs_dir.relative_to(here) if inside else runs_dir)

    def line(self, spec: RunSpec) -> str:
        """Return the line that asks for the same."""
        return finetune_line(spec, runs_dir=self._named_runs_dir)

    def data_object(self, reference: str) -> object:
        """Return the variable that `reference` names, or the reference itself."""
        value = self.namespace.get(reference)
        return reference if describe_data(value) is None else value

    def model_object(self, reference: str) -> object:
        """Return the model variable that `reference` names, or the reference itself."""
        value = self.namespace.get(reference)
        return reference if describe_model(value) is None else value

    def validation_object(self, validation: object) -> object:
        """Return the variable of held-out rows that `validation` names, or what was given."""
        return self.data_object(validation) if isinstance(validation, str) else validation

    def close(self) -> None:
        """Remove what was written to look at a model variable."""
        _key, card = self._kept.pop("model", (None, None))
        if getattr(card, "source", None) == "variable":
            shutil.rmtree(card.location, ignore_errors=True)

    def forget_failures(self) -> None:
        """Look again for what could not be loaded: the user has typed a name again."""
        self._kept = {
            k: kept for k, kept in self._kept.items() if not isinstance(kept[1], NbTransferError)
        }

    def draft(self, spec: RunSpec) -> Draft:
        """Return what `spec` comes to: cards, lengths, and a plan or the problems in its way."""
        problems: list[str] = []
        model = _unless_refused(lambda: self._model(spec), problems)
        tables = _unless_refused(lambda: self._tables(spec), problems)
        columns = prepared = lengths = plan = None
        roles: dict[str, str] = {}
        task = _unless_refused(lambda: self._task(spec, tables), problems)
        if tables is not None and task == "text-classification":
            columns = _unless_refused(lambda: self._columns(spec, tables), problems)
            roles = columns.roles if columns is not None else roles
        is_known = columns is not None or task not in (None, "text-classification")
        if tables is not None and is_known:
            prepared = _unless_refused(lambda: self._prepared(spec, tables), problems)
            roles = prepared.card.roles if prepared is not None else roles
        decided = None
        if prepared is not None and model is not None and not spec.problems():
            decided = _unless_refused(partial(self._decided, spec, prepared, model), problems)
        if prepared is not None and decided is not None:
            prepared = prepared._replace(card=decided.card)
        if prepared is not None and model is not None:
            lengths = _unless_refused(
                lambda: self._lengths(spec, prepared, model, decided), problems
            )
        if prepared is not None and model is not None and not problems:
            plan = _unless_refused(
                lambda: self._plan(spec, prepared, lengths, model, decided), problems
            )
        else:
            problems += spec.problems()
        line = self.line(spec)
        found = (task, dict(roles), model, prepared, lengths, plan)
        return Draft(spec, line, tables, *found, tuple(problems))

    def _keep(self, kind: str, key: object, make: Callable[[], Kept]) -> Kept:
        """Return what was made for `key` last time, failures too; one of each kind is kept."""
        if kind not in self._kept or self._kept[kind][0] != key:
            try:
                self._kept[kind] = (key, make())
            except NbTransferError as error:
                self._kept[kind] = (key, error)
        kept = self._kept[kind][1]
        if isinstance(kept, NbTransferError):
            raise kept.with_traceback(None)
        return cast("Kept", kept)

    def _tables(self, spec: RunSpec) -> Tables:
        from nbtransfer.data.sources import load_tables

        if not spec.data:
            from nbtransfer.errors import DataError

            raise DataError("no data is chosen. Pick a variable, a demo or a file.")
        data = self.data_object(spec.data)
        # A frame may be mended in place while the form is open; its size and types tell.
        types = tuple(getattr(data, "dtypes", ()))
        key = (spec.data, id(data), describe_data(data), types)
        return self._keep("tables", key, lambda: load_tables(data, name=spec.data))

    def _task(self, spec: RunSpec, tables: Tables | None) -> TaskName | None:
        if tables is None:
            return None
        return cast("TaskName", choose_task(spec.task, tables, spec.columns).name)

    def _columns(self, spec: RunSpec, tables: Tables) -> Columns:
        from nbtransfer.tasks.text_columns import choose_columns

        return self._keep(
            "columns",
            (id(tables), spec.text, spec.label),
            lambda: choose_columns(tables, text=spec.text, label=spec.label),
        )

    def _prepared(self, spec: RunSpec, tables: Tables) -> Prepared:
        task = choose_task(spec.task, tables, spec.columns)
        return self._keep(
            "prepared",
            (id(tables), task.name, repr(spec.columns), repr(spec.validation)),
            lambda: task.prepare(
                tables, spec.columns, validation=self.validation_object(spec.validation)
            ),
        )

    def _model(self, spec: RunSpec) -> ModelCard:
        from nbtransfer.models.catalog import open_model

        if not spec.model:
            raise ModelError(
                "no model is chosen. Pick a demo, a run or a variable, or type a hub id."
            )
        model = self.model_object(spec.model)
        if isinstance(model, str):
            return self._keep("model", model, lambda: open_model(model, runs_dir=self.runs_dir))
        from nbtransfer.models.in_memory import write_model

        return self._keep("model", id(model), lambda: write_model(model, spec.model))

    def _decided(self, spec: RunSpec, prepared: Prepared, model: ModelCard) -> Decisions | None:
        """Return what the task decides of its own options, where it has any."""
        task = task_named(prepared.card.task)
        if not isinstance(task, Decides):
            return None
        asked = tuple(getattr(spec, name) for name in task.options)
        key = (prepared.card.fingerprint, task.name, asked, model.location)
        return self._keep("decided", key, lambda: task.decide(spec, prepared, model))

    def _lengths(
        self, spec: RunSpec, prepared: Prepared, model: ModelCard, decided: Decisions | None
    ) -> Lengths | None:
        file = model.tokenizer_file
        if file is None:
            return None
        return self._keep(
            "lengths",
            (prepared.card.fingerprint, spec.text, file, spec.prefix),
            lambda: measure_lengths(
                decided.texts
                if decided is not None
                else task_named(prepared.card.task).texts(prepared.splits["train"]),
                file,
            ),
        )

    def _hardware(self) -> Hardware:
        from nbtransfer.hardware import detect_hardware

        return self._keep("hardware", None, lambda: detect_hardware(self.runs_dir))

    def _plan(
        self,
        spec: RunSpec,
        prepared: Prepared,
        lengths: Lengths | None,
        model: ModelCard,
        decided: Decisions | None,
    ) -> Plan:
        from nbtransfer.planning import make_plan

        return make_plan(spec, prepared.card, lengths, model, self._hardware(), decided=decided)


def _unless_refused(make: Callable[[], Kept], problems: list[str]) -> Kept | None:
    """Return what `make` makes, or None with the reasons added to `problems`."""
    try:
        return make()
    except NbTransferError as error:
        problems += getattr(error, "problems", (str(error),))
        return None
