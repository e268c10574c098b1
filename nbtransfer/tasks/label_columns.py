"""Classes in columns of their own, a 0 or 1 in each, as one column of lists of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtransfer.errors import DataError, quoted

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa


def label_columns(names: Collection[str], label: str | None) -> list[str]:
    """Return the columns that `label` names, commas between; none where it names a single one."""
    if label is None or label in names:
        return []
    parts = list(dict.fromkeys(part.strip() for part in label.split(",")))
    return parts if len(parts) > 1 and all(part in names for part in parts) else []


def with_label_lists(table: pa.Table, label: str | None, where: str) -> pa.Table:
    """Return the table with a column named `label`, lists of the classes whose columns hold a 1.

    Null in one of the columns leaves the row without a list. Where `label` is a single column, or
    one of several is missing, the table stays as it is.

    Args:
        table: the data as read.
        label: the columns' names, commas between.
        where: what to call the data.

    Raises:
        DataError: if a column holds anything but 0 and 1.
    """
    import pyarrow as pa

    parts = label_columns(table.column_names, label)
    if not parts or label is None:
        return table
    columns = [_flags(table, name, where) for name in parts]
    rows = [
        None if None in flags else [n for n, flag in zip(parts, flags, strict=True) if flag]
        for flags in zip(*columns, strict=True)
    ]
    return table.append_column(label, pa.array(rows, pa.list_(pa.string())))


def _flags(table: pa.Table, name: str, where: str) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table[name]
    kind = column.type
    if pa.types.is_boolean(kind):
        return column.to_pylist()  # type: ignore[no-any-return]
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(
            f"column {quoted(name)} of {where} holds {kind} values, where several columns of "
            "classes hold a 0 or 1 each. Turn them into 0 and 1, or leave the column out."
        )
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    odd = pc.invert(pc.is_in(column, value_set=pa.array([0, 1, None], kind)))
    if (row := pc.index(odd, True).as_py()) >= 0:
        raise DataError(
            f"column {quoted(name)} of {where} holds {column[row].as_py():g} in row {row:,}, where "
            "a 0 or 1 says whether the row has the class. Mend or drop the row."
        )
    return column.to_pylist()  # type: ignore[no-any-return]
