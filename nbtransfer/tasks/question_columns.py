"""Recognising the columns of question answering: question, context, and the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.columns import spoken
from nbtransfer.errors import DataError, nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbtransfer.data.tables import Tables

ROLES = ("question", "context", "answers", "answer_start")
# Names of each role; an earlier one wins.
_NAMES = {
    "question": ("question", "questions", "query"),
    "context": ("context", "passage", "paragraph", "document", "article"),
    "answers": ("answers", "answer", "answer_text"),
    "answer_start": ("answer_start", "answer_starts", "answer_offset", "start"),
    "impossible": ("is_impossible", "impossible"),
}


class QuestionColumns(NamedTuple):
    """The columns to read, and how they were recognised, in words.

    `answer_start` is None where the answers' column holds the places too, or nothing does;
    `impossible` is the column that says which questions have no answer, if there is one.
    """

    question: str
    context: str
    answers: str
    answer_start: str | None
    impossible: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def roles(self) -> dict[str, str]:
        """The columns by role."""
        return {role: name for role in ROLES if (name := getattr(self, role)) is not None}


def looks_like_questions(tables: Tables, columns: Mapping[str, str | None]) -> bool:
    """Return whether a column of questions was named, or all three are there by name."""
    if any(columns.get(role) for role in ROLES):
        return True
    if any(columns.values()):  # a column of another task was named
        return False
    names = tables.splits["train"].column_names
    return all(_by_name(role, names) is not None for role in ROLES[:3])


def choose_question_columns(tables: Tables, columns: Mapping[str, str | None]) -> QuestionColumns:
    """Return the columns named, otherwise those recognised by their names.

    Raises:
        DataError: if one is missing, or named for two roles.
    """
    names = tables.splits["train"].column_names
    listed = f"Columns: {spoken(names)}."
    problems, notes = [], []
    chosen: dict[str, str | None] = {}
    for role in ROLES:
        flag = f"--{role.replace('_', '-')}"
        given = columns.get(role)
        if given is not None and given not in names:
            close = nearest(given, names)
            hint = f"Did you mean {flag} {close}?" if close else f"Choose one with {flag}."
            problems.append(f"no column {quoted(given)} in {tables.name}. {listed} {hint}")
            continue
        chosen[role] = given or _by_name(role, names)
        if chosen[role] is None and role != "answer_start":
            problems.append(
                f"no column of {role if role == 'answers' else role + 's'} in {tables.name}. "
                f"{listed} Name it with {flag}."
            )
        elif given is None and chosen[role] is not None and role != "answer_start":
            notes.append(f"{role} column: {quoted(chosen[role])}")
    used = [name for name in chosen.values() if name is not None]
    if twice := sorted({name for name in used if used.count(name) > 1}):
        problems.append(
            f"{' and '.join(map(quoted, twice))} is named for two roles. {listed} Choose one "
            "column for each."
        )
    if problems:
        raise DataError(problems)
    return QuestionColumns(
        str(chosen["question"]),
        str(chosen["context"]),
        str(chosen["answers"]),
        chosen["answer_start"],
        _by_name("impossible", names),
        (f"{'; '.join(notes)} (by name)",) if notes else (),
    )


def _by_name(role: str, names: Sequence[str]) -> str | None:
    plain = {name.strip().casefold().replace("-", "_").replace(" ", "_"): name for name in names}
    return next((plain[name] for name in _NAMES[role] if name in plain), None)
