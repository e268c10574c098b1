"""The setup form's task, and the columns that the chosen task reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtransfer.panels import setup_choices as offers
from nbtransfer.panels.setup_choices import Choice
from nbtransfer.panels.setup_pickers import Select, plain_box
from nbtransfer.spec import ROLES
from nbtransfer.tasks.catalog import task_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbtransfer.panels.setup_draft import Draft
    from nbtransfer.spec import RunSpec, TaskName

_CHOOSE, _NONE = Choice(None, "choose …"), Choice(None, "none")
# Columns that a task can do without.
_OPTIONAL = ("text_pair", "answer_start")
_TITLES = {
    "text_pair": "Second text",
    "answer_start": "Answer's first character",
    "answers": "Answers",
}


class Columns:
    """A picker for the task, and one for each column that it reads; the others are out of sight.

    Attributes:
        task: the task's picker; None stands for what the data says.
        box: the columns' pickers.
    """

    def __init__(self, spec: RunSpec) -> None:
        self.task = Select("Task", offers.task_choices(None), spec.task)
        self._selects = {
            role: Select(_TITLES.get(role, role.capitalize()), [_CHOOSE], getattr(spec, role))
            for role in ROLES
        }
        self.box = plain_box([])
        given = [role for role in ROLES if getattr(spec, role)]
        self._show(given or list(self._roles_of(spec.task)))

    def __getitem__(self, role: str) -> Select:
        return self._selects[role]

    @property
    def values(self) -> dict[str, Any]:
        """What is chosen, by the option's name; of columns out of sight None."""
        found = {
            role: s.value if role in self._shown else None for role, s in self._selects.items()
        }
        return {"task": self.task.value, **found}

    @property
    def selects(self) -> tuple[Select, ...]:
        """All pickers of columns."""
        return tuple(self._selects.values())

    def follow(self, draft: Draft) -> None:
        """Offer the data's columns, and choose those that were recognised."""
        self.task.offer(offers.task_choices(draft.task), self.task.value)
        card = draft.prepared.card if draft.prepared is not None else None
        choices = offers.column_choices(draft.tables, card)
        for role, select in self._selects.items():
            value = (select.value if role in self._shown else None) or draft.roles.get(role)
            first = _NONE if role in _OPTIONAL else _CHOOSE
            is_needed = value and role not in _OPTIONAL
            select.offer(choices if is_needed else [first, *choices], value)
        self._show(self._wanted(draft))

    def forget(self) -> None:
        """Choose no column: other data or another task reads others."""
        for select in self._selects.values():
            select.offer([_CHOOSE], None)

    def watch(self, task_changed: Callable[[], None], column_changed: Callable[[], None]) -> None:
        """Call back when another task, or another column, is chosen."""
        self.task.watch(task_changed)
        for select in self._selects.values():
            select.watch(column_changed)

    def _wanted(self, draft: Draft) -> list[str]:
        """Return the roles to show: those in use, and those still to be chosen."""
        roles = self._roles_of(draft.task)
        used = [role for role in roles if self._selects[role].value]
        # Words with tags or texts with spans: once one of a pair is there, the other is not asked.
        needed = [] if draft.roles else [r for r in roles if r not in _OPTIONAL]
        num_columns = 0 if draft.tables is None else draft.tables.splits["train"].num_columns
        is_spare = num_columns > len(used)
        spare = [r for r in roles if r in _OPTIONAL] if is_spare and used else []
        return [role for role in roles if role in (*used, *needed, *spare)]

    def _show(self, roles: list[str]) -> None:
        self._shown = tuple(roles)
        self.box.children = [self._selects[role].control for role in roles]

    @staticmethod
    def _roles_of(task: TaskName | None) -> tuple[str, ...]:
        return ("text", "label") if task is None else task_named(task).roles
