"""Reads the texts that `%predict` is given: words of the line, variables, columns of tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbtransfer.errors import DataError, nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbtransfer.magics.names import Names
    from nbtransfer.magics.words import Word
    from nbtransfer.runs.run import Run

_COLUMN = re.compile(r"([A-Za-z_]\w*)(?:\.(\w+)|\[(.+)\])", re.DOTALL)


def read_texts(words: Iterable[Word], names: Names, *, column: str | None, run: Run) -> list[str]:
    """Return the texts that the words stand for.

    A quoted word is a text; a variable is a text, a list, a Series or a table; `table.column` and
    `table["column"]` are columns. Other words side by side make one text.

    Raises:
        DataError: if a table's column is missing or not named, or a variable holds no texts.
    """
    texts: list[str] = []
    loose: list[str] = []
    for word in words:
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


def _from_variable(text: str, names: Names, column: str | None, run: Run) -> list[str] | None:
    """Return the texts of a variable or of a table's column, None where the word is neither."""
    if text.isidentifier() and text in names:
        return _texts_of(names[text], text, column, run)
    match = _COLUMN.fullmatch(text)
    if match is None or match[1] not in names:
        return None
    table = names[match[1]]
    if columns_of(table) is None:
        return None
    return _column(table, match[1], match[2] or match[3])


def _texts_of(value: object, name: str, column: str | None, run: Run) -> list[str]:
    if isinstance(value, str):
        return [value]
    columns = columns_of(value)
    if columns is not None:
        if column is None and run.data_card.text_column in columns:
            column = run.data_card.text_column
        if column is None:
            raise DataError(
                f"{name} is a table. Name its column of texts: %predict {name}.{columns[0]}, or "
                f"--column. Columns: {', '.join(columns)}."
            )
        return _column(value, name, column)
    if hasattr(value, "to_pylist"):
        return value.to_pylist()  # type: ignore[no-any-return]
    if not hasattr(value, "__iter__") or isinstance(value, (bytes, Mapping)):
        raise DataError(f"{name} is {quoted(value)}, which holds no texts. Give a text or a list.")
    return list(value)


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


def _column(table: Any, name: str, column: str) -> list[str]:  # noqa: ANN401 -- any kind of table
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
