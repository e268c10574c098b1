"""The tasks there are, by name; each is loaded when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from nbtransfer.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbtransfer.data.tables import Tables
    from nbtransfer.spec import TaskName
    from nbtransfer.tasks.task import Task

# In the order in which data is recognised; the last one takes what no other does.
TASKS: dict[TaskName, str] = {
    "token-classification": "token_classification:TokenClassification",
    "question-answering": "question_answering:QuestionAnswering",
    "translation": "translation:Translation",
    "summarization": "summarization:Summarization",
    "multi-label-classification": "multi_label:MultiLabelClassification",
    "text-regression": "regression:TextRegression",
    "masked-language-modeling": "language_modeling:MaskedLanguageModeling",
    "causal-language-modeling": "language_modeling:CausalLanguageModeling",
    "span-corruption": "span_corruption:SpanCorruptionTask",
    "text-classification": "text_classification:TextClassification",
}


def task_named(name: TaskName) -> Task:
    """Return the task; RunSpec has checked that there is one of that name."""
    module, attribute = TASKS[name].split(":")
    return cast("Task", getattr(import_module(f"nbtransfer.tasks.{module}"), attribute)())


def choose_task(name: TaskName | None, tables: Tables, columns: Mapping[str, str | None]) -> Task:
    """Return the task asked for, or the one that the data looks like.

    Args:
        name: as asked for; None recognises it.
        tables: the data as read.
        columns: columns that were named, by role.

    Raises:
        SpecError: if a column was named that the task does not have.
    """
    task = task_named(name) if name is not None else _recognised(tables, columns)
    strange = [role for role, column in columns.items() if column and role not in task.roles]
    if strange:
        roles = ", ".join(task.roles)
        raise SpecError(
            f"{task.title} has no column {', '.join(map(repr, strange))}; it reads {roles}. Leave "
            "it out, or name another task."
        )
    return task


def _recognised(tables: Tables, columns: Mapping[str, str | None]) -> Task:
    tasks = [task_named(name) for name in TASKS]
    return next((task for task in tasks if task.recognises(tables, columns)), tasks[-1])
