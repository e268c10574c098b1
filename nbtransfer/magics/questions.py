"""Reads the questions that `%predict` is given: two options, or variables that hold rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.answers import input_rows
from nbtransfer.errors import DataError, SpecError, nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbtransfer.magics.arguments import Arguments
    from nbtransfer.magics.names import Names
    from nbtransfer.magics.words import Word
    from nbtransfer.runs.run import Run

_FORM = '%predict {} --question "Who ...?" --context TEXT'


def is_asked(asked: Arguments) -> bool:
    """Return whether the line asks a question by its options."""
    return bool(asked.get("question") or asked.get("context"))


def check_run_answers(run: Run, asked: Arguments) -> None:
    """Refuse --question and --context for a run of another task.

    Raises:
        SpecError: naming the run's task.
    """
    if is_asked(asked) and run.data_card.task != "question-answering":
        raise SpecError(
            f"--question and --context are for question answering; run {run.id!r} is trained for "
            f'{run.data_card.task}: %predict {run.id} "a text"'
        )


def read_questions(
    words: Sequence[Word], asked: Arguments, names: Names, run: Run
) -> list[Mapping[str, str]]:
    """Return questions with their contexts.

    Raises:
        DataError: if a question or a context is missing, or a word is no variable that holds both.
    """
    form = _FORM.format(run.id)
    if is_asked(asked):
        missing = [f"--{role}" for role in ("question", "context") if not asked.get(role)]
        if missing:
            raise DataError(f"{missing[0]} is missing: {form}")
        if words:
            raise DataError(
                f"{quoted(words[0].text)} stands beside --question and --context. Put texts of "
                f"several words in quotes: {form}"
            )
        return [{role: _text(str(asked.get(role)), names) for role in ("question", "context")}]
    found: list[Mapping[str, str]] = []
    for word in words:
        if word.is_quoted or word.text not in names:
            close = None if word.is_quoted else nearest(word.text, list(names))
            hint = f" Did you mean the variable {close}?" if close else ""
            raise DataError(
                f"{quoted(word.text)} has no context to look in.{hint} Ask {form}, or give a "
                "variable: dicts or a table of question and context."
            )
        found += _rows(names[word.text], word.text)
    return found


def _rows(value: object, name: str) -> list[Mapping[str, str]]:
    holds_rows = hasattr(value, "__iter__") or hasattr(value, "to_pylist")
    if isinstance(value, str) or not holds_rows:
        raise DataError(
            f"{name} is {quoted(value)}. Give a dict of question and context, a list of them, or a "
            "table with these columns."
        )
    return input_rows(value)


def _text(value: str, names: Names) -> str:
    """Return the text, or what the variable of that name holds."""
    if not value.isidentifier():
        return value
    if value in names:
        if not isinstance(names[value], str):
            raise DataError(f"{value} is {quoted(names[value])}, not a text. Give a text.")
        return str(names[value])
    close = nearest(value, list(names))
    hint = f" Did you mean {close}?" if close else ""
    raise DataError(f"no variable {quoted(value)}, and one word is no context.{hint}")
