"""Turning a column of labels, of whatever type, into class numbers and class names."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.columns import column_facts, frame_name, with_article
from nbtransfer.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

MAX_CLASSES = 1000
# Beyond this a float skips whole numbers.
_LARGEST_WHOLE = float(2**53)


class Classes(NamedTuple):
    """Class names, and how the values of a column become class numbers.

    Attributes:
        names: names of the classes 0, 1, ...
        by_value: class number of each value as it stands in the column.
    """

    names: tuple[str, ...]
    by_value: dict[str, int]


def label_texts(
    table: pa.Table, column: str, data: str, problems: list[str]
) -> pa.ChunkedArray | None:
    """Return the labels as text, null where there is none; or None, and a problem that says why.

    Texts stay as they are, whole numbers lose a decimal point, class numbers become class names.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    field, values = table.schema.field(column), table.column(column)
    facts = column_facts(field)
    where = f"label column {quoted(column)} of {data}"
    frame = frame_name(data)
    if facts.num_objects:
        problems.append(
            f"{where} holds {with_article(facts.object_type)} in row {facts.first_object:,}. Give "
            "one class a row, as text or a whole number."
        )
        return None
    if facts.num_numbers:
        problems.append(
            f"{where} mixes text and numbers (first number in row {facts.first_number:,}). Make "
            f"them one type: {frame}[{column!r}] = {frame}[{column!r}].astype(str)"
        )
        return None
    kind = field.type
    if pa.types.is_null(kind):
        problems.append(f"{where} is empty. Give each row a class.")
        return None
    if pa.types.is_string(kind):
        blank = pc.equal(pc.utf8_trim_whitespace(values), "")
        return pc.if_else(blank, pa.scalar(None, pa.string()), values)
    if pa.types.is_boolean(kind):
        return pc.if_else(values, "True", "False")
    if pa.types.is_floating(kind):
        values = _whole(values, where, problems)
        if values is None:
            return None
    if pa.types.is_integer(values.type):
        if facts.class_names is None:
            return values.cast(pa.string())
        return _named(values, facts.class_names, where, problems)
    problems.append(_other_type(kind, where))
    return None


def learn_classes(
    values: pa.ChunkedArray, class_names: Sequence[str] | None, where: str, problems: list[str]
) -> Classes | None:
    """Return the classes among train's labels; None, and a problem, where they are no classes."""
    import pyarrow.compute as pc

    if class_names is not None:
        return Classes(tuple(class_names), {n: i for i, n in enumerate(class_names)})
    num_distinct = pc.count_distinct(values).as_py()
    num_rows = len(values) - values.null_count
    if num_distinct > MAX_CLASSES:
        problems.append(
            f"{where} has {num_distinct:,} different values in {num_rows:,} rows: it looks like "
            "text or ids, not classes. Choose another with --label."
        )
        return None
    if num_distinct == num_rows > 2:
        problems.append(
            f"{where} has a different value in each of its {num_rows:,} rows: it looks like text "
            "or ids, not classes. Choose another with --label."
        )
        return None
    found = [v for v in pc.unique(values).to_pylist() if v is not None]
    if (structure := next(filter(_holds_several, found), None)) is not None:
        problems.append(
            f"{where} holds {quoted(structure)}: a list written as text is no class. Read it back "
            "first (json.loads or ast.literal_eval of each value): spans are then entities, and "
            "lists of names several classes a row."
        )
        return None
    names = sorted(found, key=int) if all(map(_is_number, found)) else sorted(found)
    return Classes(tuple(names), {n: i for i, n in enumerate(names)})


def class_numbers(values: pa.ChunkedArray, classes: Classes) -> pa.ChunkedArray:
    """Return class numbers as int32; null where there is no label or it is none of the classes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.index_in(values, value_set=pa.array(list(classes.by_value), pa.string()))


def alike_names(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the groups of names that differ only by case or by space."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(name.casefold().split()), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _holds_several(text: str) -> bool:
    """Whether a text is a list or a dict as Python or JSON writes it."""
    if not text.lstrip().startswith(("[", "{")):
        return False
    try:
        return isinstance(json.loads(text), (list, dict))
    except ValueError:
        pass
    try:
        return isinstance(ast.literal_eval(text.strip()), (list, dict))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _whole(values: pa.ChunkedArray, where: str, problems: list[str]) -> pa.ChunkedArray | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    is_whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), _LARGEST_WHOLE))
    odd = pc.invert(is_whole)
    first = pc.index(pc.fill_null(odd, False), True).as_py()
    if first >= 0:
        problems.append(
            f"{where} holds {values[first].as_py():g} in row {first:,}: numbers that are not "
            "whole are no classes. Take --task text-regression to learn them as numbers, or turn "
            "them into classes."
        )
        return None
    return values.cast(pa.int64())


def _named(
    values: pa.ChunkedArray, names: Sequence[str], where: str, problems: list[str]
) -> pa.ChunkedArray | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    odd = pc.or_(pc.less(values, 0), pc.greater_equal(values, len(names)))
    first = pc.index(pc.fill_null(odd, False), True).as_py()
    if first >= 0:
        problems.append(
            f"{where} holds {values[first].as_py()} in row {first:,}, but its classes are 0 to "
            f"{len(names) - 1} "
            f"({', '.join(map(quoted, names[:5]))}{', …' if len(names) > 5 else ''}). Mend or "
            "drop the row."
        )
        return None
    return pc.take(pa.chunked_array([pa.array(names, pa.string())]), values)


def _other_type(kind: pa.DataType, where: str) -> str:
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return (
            f"{where} holds lists. Take --task multi-label-classification where a row has several "
            "classes; otherwise give one class a row, as text or a whole number."
        )
    return f"{where} is of type {kind}. Give one class a row, as text or a whole number."
