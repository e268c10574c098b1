"""What a model is asked about, whatever it is given as: its rows, one after the other.

Nothing is read before it is needed, and nothing is kept: a file, a generator or a streaming dataset
may be larger than memory.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.data.columns import spoken, with_article
from nbtransfer.data.file_rows import TableRows, open_rows
from nbtransfer.data.files import find_files, is_data_file
from nbtransfer.data.frames import check_column_names, is_split_mapping
from nbtransfer.data.sources import load_tables
from nbtransfer.data.tables import SPLIT_NAMES
from nbtransfer.errors import DataError, nearest, quoted

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

_DEMO = re.compile(r"demo:[\w-]+")
_ROWS_TOGETHER = 1000
_SPLITS = ("test", "validation", "train")  # the first there is, as in an evaluation
_GIVE = 'Give texts, as in nt.predict(run, ["first text", "second text"]), a table or a file.'


class Wanted(NamedTuple):
    """What a model reads of a row.

    Attributes:
        roles: as its task calls them, such as question and context.
        names: of each, the columns to look for, the one of training first.
        nested: whether they may stand within another column: `{"en": .., "fr": ..}` in each row.
    """

    roles: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    nested: bool = False

    def columns(self, there: Sequence[str], data: str, given: str | None) -> list[str]:
        """Return the column of each role.

        Args:
            there: the columns that `data` has.
            data: what it is called.
            given: the user's choice of a column.

        Raises:
            DataError: if one is missing; it lists those there are.
        """
        listed = f"Columns: {spoken(there)}."
        if given is not None and len(self.roles) > 1:
            raise DataError(
                f"--column names one column, and this model reads {' and '.join(self.roles)}. "
                f"{listed} Rename those to {self._called()}."
            )
        names = ((given,),) if given is not None else self.names
        found = [next((name for name in each if name in there), None) for each in names]
        missing = [each[0] for each, name in zip(names, found, strict=True) if name is None]
        if not missing:
            return [name for name in found if name is not None]
        close = nearest(missing[0], there)
        if len(self.roles) > 1:
            hint = f" Is it {quoted(close)}?" if close else ""
            raise DataError(
                f"no column {quoted(missing[0])} in {data}. {listed}{hint} This model reads "
                f"{self._called()}: rename the columns that hold them."
            )
        hint = (
            f"Did you mean --column {shlex.quote(close)}?"
            if close
            else "Name the one to read: --column NAME"
        )
        raise DataError(f"no column {quoted(missing[0])} in {data}. {listed} {hint}")

    def row(self, values: Sequence[object]) -> object:
        """Return a row as a task takes it: a text, or what it has for each role."""
        return values[0] if len(self.roles) == 1 else dict(zip(self.roles, values, strict=True))

    def _called(self) -> str:
        return " and ".join(quoted(each[0]) for each in self.names)


@dataclass
class Inputs:
    """Rows that a model is asked about.

    Attributes:
        name: what they are called in messages.
        begin: begins at the first row.
        repeats: whether that can be done again; a generator is gone through once.
        said: what was chosen of them, in words; empty where there was no choice.
        paths: the files they are read from.
    """

    name: str
    begin: Callable[[], Iterator[object]]
    repeats: bool = True
    said: str = ""
    paths: tuple[Path, ...] = ()

    def first(self, count: int) -> list[object]:
        """Return the first rows; they are not lost to who begins afterwards."""
        rows = self.begin()
        found = list(itertools.islice(rows, count))
        if not self.repeats:
            self.begin = lambda: itertools.chain(found, rows)
        return found

    def parts(self, size: int) -> Iterator[list[object]]:
        """Yield all rows in lists of `size`; the last one may be shorter."""
        rows = self.begin()
        while part := list(itertools.islice(rows, size)):
            yield part


def names_data(text: str) -> bool:
    """Return whether a string means data to be read, and not a text: a demo's name, or a file's."""
    return _DEMO.fullmatch(text) is not None or is_data_file(text)


def open_inputs(
    data: object, wanted: Wanted, *, column: str | None = None, name: str = "the inputs"
) -> Inputs:
    """Return the rows of what a user wants answered.

    Args:
        data: a text, a pair of texts or a dict of one row; a list, Series, array, generator or
            column of these; a table of any kind; a file's name or pattern, or `demo:NAME`.
        wanted: what the model reads.
        column: the column of texts, where it is not the one of training.
        name: what to call what is no file.

    Raises:
        DataError: if nothing can be read of it, or a column is missing.
    """
    if isinstance(data, Inputs):
        return data
    if isinstance(data, os.PathLike) or (isinstance(data, str) and names_data(data)):
        return _reference(os.fspath(data), wanted, column)
    if isinstance(data, Mapping) and is_split_mapping(data):
        split = _split_of(data, name)
        return open_inputs(data[split], wanted, column=column, name=f"{name}[{split!r}]")
    if isinstance(data, (str, Mapping, tuple)):  # a tuple is a pair
        data = [data]
    table = _table(data, name)
    if table is not None:
        table = _with_parts(table, wanted)
        columns = wanted.columns(table.columns, name, column)
        return Inputs(name, lambda: map(wanted.row, table.read(columns)))
    begin = _values(data, name)
    return Inputs(
        name,
        lambda: _picked(begin(), wanted, name, column),
        repeats=hasattr(data, "__len__"),
    )


def _values(data: Any, name: str) -> Callable[[], Iterator[object]]:  # noqa: ANN401
    """Return what begins at the first of several values."""
    shape = getattr(data, "shape", (0,))
    if isinstance(shape, tuple) and len(shape) != 1 and hasattr(data, "dtype"):
        raise DataError(f"{name} is an array of shape {shape}: each text is one value. {_GIVE}")
    if hasattr(data, "to_pylist"):  # a column of Arrow's
        return lambda: (
            value
            for start in range(0, len(data), _ROWS_TOGETHER)
            for value in data.slice(start, _ROWS_TOGETHER).to_pylist()
        )
    if isinstance(data, (bytes, bytearray, memoryview)) or not _can_be_iterated(data):
        kind = "None" if data is None else f"{quoted(data)}, {with_article(type(data).__name__)}"
        raise DataError(f"{name} is {kind}, which holds no texts. {_GIVE}")
    return lambda: iter(data)


def _can_be_iterated(data: object) -> bool:
    return isinstance(data, Iterable) or (hasattr(data, "__getitem__") and hasattr(data, "__len__"))


def _picked(
    rows: Iterable[object], wanted: Wanted, name: str, column: str | None
) -> Iterator[object]:
    """Yield rows, of dicts the columns that are wanted: those that the first dict has."""
    columns: list[str] | None = None
    for row in rows:
        if isinstance(row, Mapping):
            if wanted.nested:
                row = _flat(row)
            if columns is None:
                columns = wanted.columns([str(key) for key in row], name, column)
            yield wanted.row([row.get(key) for key in columns])
        elif column is not None:
            raise DataError(f"--column {column} is given, and {name} are no table: leave it out.")
        else:
            yield row


def _flat(row: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a row with what stands within its values beside them; taken names stay theirs."""
    flat = dict(row)
    for value in row.values():
        if isinstance(value, Mapping):
            flat |= {part: text for part, text in value.items() if part not in row}
    return flat


def _with_parts(rows: TableRows, wanted: Wanted) -> TableRows:
    """Return the table with what stands within a column as columns too, as training reads it."""
    first = next(rows.read(rows.columns), []) if wanted.nested else []
    parts = {
        str(part): column
        for column, value in zip(rows.columns, first, strict=False)
        if isinstance(value, Mapping)
        for part in value
        if part not in rows.columns
    }
    if not parts:
        return rows

    def read(names: Sequence[str]) -> Iterator[list[Any]]:
        for values in rows.read([parts.get(name, name) for name in names]):
            yield [
                value.get(name) if name in parts and isinstance(value, Mapping) else value
                for name, value in zip(names, values, strict=True)
            ]

    return TableRows([*rows.columns, *parts], read, rows.notes)


def _table(data: Any, name: str) -> TableRows | None:  # noqa: ANN401 -- any kind of table
    """Return the rows of a table in hand, None where the data is no table."""
    import pyarrow as pa

    packages = {c.__module__.partition(".")[0] for c in type(data).__mro__}
    if "datasets" in packages and hasattr(data, "select_columns") and hasattr(data, "__len__"):
        return TableRows(list(data.column_names), lambda names: _of_dataset(data, names), [])
    if "pandas" in packages and hasattr(data, "columns"):
        columns = [str(column) for column in data.columns]
        check_column_names(columns, name)
        return TableRows(columns, lambda names: _of_frame(data, columns, names), [])
    is_column = isinstance(data, (pa.Array, pa.ChunkedArray)) or "pandas" in packages
    if hasattr(data, "__arrow_c_stream__") and not is_column and hasattr(data, "columns"):
        table = data if isinstance(data, pa.Table) else pa.table(data)
        check_column_names(table.column_names, name)
        return _arrow_rows(table)
    return None


def _arrow_rows(table: pa.Table) -> TableRows:
    def read(names: Sequence[str]) -> Iterator[list[Any]]:
        for batch in table.select(list(names)).to_batches(_ROWS_TOGETHER):
            yield from map(list, zip(*(c.to_pylist() for c in batch.columns), strict=True))

    return TableRows(table.column_names, read, [])


def _of_frame(frame: Any, columns: list[str], names: Sequence[str]) -> Iterator[list[Any]]:  # noqa: ANN401
    series = [frame.iloc[:, columns.index(name)] for name in names]
    for start in range(0, len(frame), _ROWS_TOGETHER):
        parts = (column.iloc[start : start + _ROWS_TOGETHER].tolist() for column in series)
        yield from map(list, zip(*parts, strict=True))


def _of_dataset(dataset: Any, names: Sequence[str]) -> Iterator[list[Any]]:  # noqa: ANN401
    for table in dataset.select_columns(list(names)).with_format("arrow").iter(_ROWS_TOGETHER):
        yield from _arrow_rows(table).read(names)


def _split_of(names: Iterable[object], name: str) -> str:
    """Return the split to ask about, as an evaluation chooses it."""
    given = {SPLIT_NAMES.get(str(each).casefold()): each for each in names}
    split = next((given[split] for split in _SPLITS if split in given), None)
    if split is None:
        listed = ", ".join(map(str, given.values()))
        raise DataError(f"{name} has no split test, validation or train. Give one of: {listed}.")
    return split  # type: ignore[return-value]


def _reference(reference: str, wanted: Wanted, column: str | None) -> Inputs:
    """Return the rows of files or demo data."""
    opened = None if reference.startswith("demo:") else _files(reference)
    if opened is not None:
        paths, files = opened
        rows = [_with_parts(each, wanted) for each in files]
        notes = list(dict.fromkeys(note for each in rows for note in each.notes))
        chosen = [
            wanted.columns(each.columns, path.name, column)
            for path, each in zip(paths, rows, strict=True)
        ]
        shown = reference

        def read() -> Iterator[list[Any]]:
            for each, columns in zip(rows, chosen, strict=True):
                yield from each.read(columns)
    else:
        tables = load_tables(reference)
        split = _split_of(tables.splits, tables.name)
        table = _with_parts(_arrow_rows(tables.splits[split]), wanted)
        paths, notes = ([] if reference.startswith("demo:") else find_files(reference)), []
        chosen = [wanted.columns(table.columns, reference, column)]
        shown = reference if len(tables.splits) == 1 else f"{reference} ({split})"

        def read() -> Iterator[list[Any]]:
            return table.read(chosen[0])

    listed = " and ".join(map(quoted, chosen[0]))
    said = f"asked about: {'columns' if len(chosen[0]) > 1 else 'column'} {listed} of {shown}"
    return Inputs(
        reference,
        lambda: map(wanted.row, read()),
        said="; ".join([said, *notes]),
        paths=tuple(paths),
    )


def _files(reference: str) -> tuple[list[Path], list[TableRows]] | None:
    """Return files with their rows, None where one has to be read whole."""
    try:
        paths = find_files(reference)
    except DataError as error:
        raise DataError(f"{error} To ask about this very text, put it in a list.") from None
    stems = [path.name.partition(".")[0] for path in paths]
    if len(paths) > 1 and all(stem.casefold() in SPLIT_NAMES for stem in stems):
        split = _split_of(stems, reference)
        paths = [path for path, stem in zip(paths, stems, strict=True) if stem == split]
    rows = [open_rows(path) for path in paths]
    read = [each for each in rows if each is not None]
    return (paths, read) if len(read) == len(rows) else None
