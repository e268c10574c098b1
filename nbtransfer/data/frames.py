"""Data that is already in memory: frames, datasets, lists and dicts, turned into Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbtransfer.data.columns import (
    plain_table,
    table_from_columns,
    table_with_class_names,
    valid_text,
    with_article,
)
from nbtransfer.data.squad_files import is_squad, squad_columns
from nbtransfer.errors import DataError, quoted

if TYPE_CHECKING:
    import pyarrow as pa

ACCEPTED = (
    "a DataFrame, a datasets.Dataset or DatasetDict, a list of dicts, a dict of columns, a "
    "pyarrow Table, a csv/tsv/jsonl/json/parquet file or pattern, demo:NAME, or a hub id"
)


def is_split_mapping(data: Mapping[Any, Any]) -> bool:
    """Return whether `data` maps split names to tables, as a DatasetDict does."""
    return bool(data) and all(_is_table(value) for value in data.values())


def table_from_object(data: object, name: str) -> tuple[pa.Table, str]:
    """Return an in-memory object as a table, and what kind of object it was.

    Raises:
        DataError: if the object is of no known kind, or its columns cannot be told apart.
    """
    import pyarrow as pa

    if isinstance(data, pa.Table):
        table, kind = data, "pyarrow Table"
    elif _is_from(data, "pandas") and type(data).__name__ == "Series":
        raise DataError(
            f"{name} is a pandas Series: one column. Classification needs a text and a label; "
            "give the whole DataFrame."
        )
    elif _is_from(data, "pandas") and hasattr(data, "columns"):
        table, kind = _from_pandas(data, name), "DataFrame"
    elif _is_from(data, "datasets"):
        table, kind = _from_datasets(data, name), "datasets.Dataset"
    elif is_squad(data):
        table, kind = table_from_columns(squad_columns(data, name)), "SQuAD's form"  # type: ignore[arg-type]
    elif isinstance(data, Mapping):
        table, kind = _from_columns(data, name), "dict of columns"
    elif isinstance(data, (list, tuple)):
        table, kind = _from_rows(data, name), "list of dicts"
    elif hasattr(data, "__arrow_c_stream__"):
        table, kind = pa.table(data), type(data).__name__
    else:
        raise DataError(
            f"{name} is {with_article(type(data).__name__)}, which cannot be read as data. Give "
            f"{ACCEPTED}."
        )
    check_column_names(table.column_names, name)
    return plain_table(table_with_class_names(table)), kind


def check_column_names(names: Sequence[str], name: str) -> None:
    """Refuse names that stand twice.

    Raises:
        DataError: naming the repeated columns.
    """
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise DataError(
            f"{name} has more than one column named {', '.join(map(quoted, repeated))}. Rename or "
            "drop the repeated ones."
        )


def _is_from(data: object, package: str) -> bool:
    """Return whether the object's class, or one it derives from, is defined in `package`."""
    return any(c.__module__.partition(".")[0] == package for c in type(data).__mro__)


def _is_table(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and isinstance(value[0], Mapping)
    return isinstance(value, Mapping) or hasattr(value, "column_names") or hasattr(value, "columns")


def _from_pandas(frame: Any, name: str) -> pa.Table:  # noqa: ANN401 -- pandas is not imported here
    import pyarrow as pa

    if frame.columns.nlevels > 1:
        raise DataError(
            f"{name} has column names of {frame.columns.nlevels} levels (a MultiIndex). Flatten "
            f"them first: {name}.columns = ['_'.join(map(str, c)) for c in {name}.columns]"
        )
    columns = [valid_text(str(c)) for c in frame.columns]
    check_column_names(columns, name)
    arrays: dict[str, Any] = {}
    for position, column in enumerate(columns):
        series = frame.iloc[:, position]
        if series.dtype == object:
            arrays[column] = series.tolist()
            continue
        try:
            arrays[column] = pa.array(series, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError):
            arrays[column] = series.astype(object).tolist()
    return _mixed_table(arrays)


def _mixed_table(columns: Mapping[str, Any]) -> pa.Table:
    """Return a table of columns, some of them Arrow already, some lists of Python values."""
    import pyarrow as pa

    parts = {
        name: values
        if isinstance(values, (pa.Array, pa.ChunkedArray))
        else table_from_columns({name: values})
        for name, values in columns.items()
    }
    arrays = [p.column(0) if isinstance(p, pa.Table) else p for p in parts.values()]
    fields = [
        p.schema.field(0) if isinstance(p, pa.Table) else pa.field(name, p.type)
        for name, p in parts.items()
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _from_datasets(data: Any, name: str) -> pa.Table:  # noqa: ANN401 -- datasets is not imported
    if "Iterable" in type(data).__name__:
        raise DataError(
            f"{name} is a streaming dataset, whose rows cannot be counted. Take some of it: "
            f"datasets.Dataset.from_list(list({name}.take(10000)))"
        )
    return data.with_format("arrow")[:]


def _from_columns(data: Mapping[Any, Any], name: str) -> pa.Table:
    columns: dict[str, Any] = {}
    for key, values in data.items():
        if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
            raise DataError(
                f"{name}[{quoted(key)}] is {with_article(type(values).__name__)}, not a column. A "
                "dict must map column names to lists of equal length."
            )
        columns[str(key)] = list(values)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        found = ", ".join(f"{quoted(k)}: {len(v)}" for k, v in columns.items())
        raise DataError(f"the columns of {name} differ in length ({found}). Make them equal.")
    return table_from_columns(columns)


def _from_rows(rows: Sequence[Any], name: str) -> pa.Table:
    for position, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DataError(
                f"row {position} of {name} is {with_article(type(row).__name__)}, not a dict. "
                f"Give a list of "
                "dicts such as [{'text': 'good', 'label': 'positive'}]."
            )
    keys = {str(key): key for row in rows for key in row}
    return table_from_columns(
        {column: [row.get(key) for row in rows] for column, key in keys.items()}
    )
