"""Reads the questions that `%predict` is given: two options, variables that hold rows, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.answers import inputs_of
from nbtransfer.errors import DataError, SpecError, nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def read_questions(words: Sequence[Word], asked: Arguments, names: Names, run: Run) -> list[object]:
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
    found: list[object] = []
    for word in words:
        check_holds_questions(word, names, run)
        value = word.text if word.is_quoted else names.get(word.text, word.text)
        found += inputs_of(run, value, name=word.text).begin()
    return found


def check_holds_questions(word: Word, names: Names, run: Run) -> None:
    """Refuse a word that is neither a variable with rows, nor a file or demo data.

    Raises:
        DataError: saying how to ask.
    """
    from nbtransfer.data.inputs import names_data

    if names_data(word.text):
        return
    if word.is_quoted or word.text not in names:
        close = None if word.is_quoted else nearest(word.text, list(names))
        hint = f" Did you mean the variable {close}?" if close else ""
        raise DataError(
            f"{quoted(word.text)} has no context to look in.{hint} Ask {_FORM.format(run.id)}, or "
            "give a variable or a file: dicts or a table of question and context."
        )
    value = names[word.text]
    is_text = isinstance(value, str) and not names_data(value)
    if is_text or not (hasattr(value, "__iter__") or hasattr(value, "to_pylist")):
        raise DataError(
            f"{word.text} is {quoted(value)}. Give a dict of question and context, a list of them, "
            "or a table with these columns."
        )


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
