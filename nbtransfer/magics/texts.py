"""Reads what `%predict` is given: words of the line, variables, columns of tables, files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbtransfer.answers import inputs_of
from nbtransfer.errors import DataError, nearest, quoted
from nbtransfer.magics.questions import check_holds_questions, is_asked, read_questions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbtransfer.data.inputs import Inputs
    from nbtransfer.magics.arguments import Arguments
    from nbtransfer.magics.names import Names
    from nbtransfer.magics.words import Word
    from nbtransfer.runs.run import Run

_COLUMN = re.compile(r"([A-Za-z_]\w*)(?:\.(\w+)|\[(.+)\])", re.DOTALL)


def read_inputs(words: list[Word], asked: Arguments, names: Names, run: Run) -> Inputs:
    """Return what the line asks about.

    A word by itself is a variable, a table's column, a file or demo data; see `read_texts` for
    several. Those of a run that answers questions hold these.

    Raises:
        DataError: if a column is missing or not named, or a variable holds nothing to ask about.
    """
    answers_questions = run.data_card.task == "question-answering"
    column = asked.get("column")
    if len(words) == 1 and not is_asked(asked):
        (word,) = words
        if answers_questions:
            check_holds_questions(word, names, run)
        if _is_data(word):
            return inputs_of(run, word.text, column=column)
        if not word.is_quoted and word.text in names:
            return inputs_of(run, names[word.text], column=column, name=word.text)
    if answers_questions:
        return inputs_of(run, read_questions(words, asked, names, run))
    return inputs_of(run, read_texts(words, names, column=column, run=run))


def read_texts(
    words: Iterable[Word], names: Names, *, column: str | None, run: Run
) -> list[object]:
    """Return the texts that the words stand for.

    A quoted word is a text; a variable is a text, a list, a Series or a table; `table.column` and
    `table["column"]` are columns. Other words side by side make one text.

    Raises:
        DataError: if a table's column is missing or not named, a variable holds no texts, or a file
            stands among them.
    """
    texts: list[object] = []
    loose: list[str] = []
    for word in words:
        if _is_data(word):
            raise DataError(
                f"{quoted(word.text)} is data, and stands among other words. Give it by itself: "
                f"%predict {run.reference} {word.text}"
            )
        found = None if word.is_quoted else _from_variable(word.text, names, column, run)
        if not word.is_quoted and found is None:
            loose.append(word.text)
            continue
        if loose:
            texts.append(" ".join(loose))
            loose = []
        texts += [word.text] if found is None else found
    if loose:
        texts.append(" ".join(loose))
    return texts


def _is_data(word: Word) -> bool:
    from nbtransfer.data.inputs import names_data

    return names_data(word.text)


def _from_variable(text: str, names: Names, column: str | None, run: Run) -> list[object] | None:
    """Return the texts of a variable or of a table's column, None where the word is neither."""
    if text.isidentifier() and text in names:
        return list(inputs_of(run, names[text], column=column, name=text).begin())
    match = _COLUMN.fullmatch(text)
    if match is None or match[1] not in names:
        return None
    table = names[match[1]]
    if columns_of(table) is None:
        return None
    return _column(table, match[1], match[2] or match[3])


def columns_of(value: object) -> list[str] | None:
    """Return a table's column names, None where the value is no table."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return [str(key) for key in value[0]]
    if isinstance(value, Mapping) and not hasattr(value, "column_names"):
        return [str(key) for key in value]
    columns: Any = getattr(value, "column_names", None)
    if columns is None:
        columns = getattr(value, "columns", None)
    if columns is None or isinstance(columns, Mapping) or not hasattr(columns, "__iter__"):
        return None
    return [str(column) for column in columns]


def _column(table: Any, name: str, column: str) -> list[object]:  # noqa: ANN401 -- any kind
    columns = columns_of(table) or []
    if column not in columns:
        close = nearest(column, columns)
        hint = f" Did you mean {close!r}?" if close else ""
        raise DataError(
            f"no column {quoted(column)} in {name}. Columns: {', '.join(columns)}.{hint}"
        )
    if isinstance(table, list):
        return [row.get(column) for row in table]
    keys = {str(key): key for key in getattr(table, "columns", columns) if isinstance(key, int)}
    values = table[keys.get(column, column)]
    return values.to_pylist() if hasattr(values, "to_pylist") else list(values)
