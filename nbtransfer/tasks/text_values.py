"""Turning a column into texts, or saying why it holds none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.data.columns import column_facts, frame_name, spoken
from nbtransfer.errors import quoted

if TYPE_CHECKING:
    import pyarrow as pa

_HUGE_BYTES = 1_000_000


def text_values(
    table: pa.Table,
    column: str,
    data: str,
    problems: list[str],
    notes: list[str],
    *,
    role: str = "text",
) -> pa.ChunkedArray | None:
    """Return the column's texts, null where missing or blank; or None, and a problem that says why.

    Texts are kept as they are: markup, NUL and direction marks are text too.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    field, values = table.schema.field(column), table.column(column)
    facts = column_facts(field)
    where = f"{role} column {quoted(column)} of {data}"
    if facts.num_objects:
        problems.append(
            f"{where} holds a value of type {facts.object_type} in row "
            f"{facts.first_object:,}{_more(facts.num_objects)}. Each row needs one text."
        )
        return None
    if not (pa.types.is_string(field.type) or pa.types.is_null(field.type)):
        problems.append(_not_text(field, table, data, role))
        return None
    if facts.num_numbers:
        one = facts.num_numbers == 1
        notes.append(
            f"{'1 number' if one else f'{facts.num_numbers:,} numbers'} in {where} "
            f"{'is' if one else 'are'} read as text (first: row {facts.first_number:,})"
        )
    if facts.num_surrogates:
        notes.append(
            f"{facts.num_surrogates:,} texts in {where} had broken Unicode (lone surrogates), "
            "which became �"
        )
    values = values.cast(pa.string())
    sizes = pc.binary_length(values)
    blank = pc.or_(pc.equal(sizes, 0), pc.utf8_is_space(values))
    longest = pc.max(sizes).as_py() or 0
    if longest > _HUGE_BYTES:
        row = pc.index(sizes, longest).as_py()
        notes.append(f"the longest text of {data} has {longest:,} bytes (row {row:,})")
    if pc.any(blank).as_py():
        values = pc.if_else(blank, pa.scalar(None, pa.string()), values)
    return values


def _not_text(field: pa.Field, table: pa.Table, data: str, role: str) -> str:
    import pyarrow as pa

    where, frame = f"{role} column {quoted(field.name)} of {data}", frame_name(data)
    kind = field.type
    name = field.name
    if pa.types.is_nested(kind):
        return (
            f"{where} holds lists or objects ({kind}), not text. Join the words of each row "
            f"first: {frame}[{name!r}] = {frame}[{name!r}].str.join(' ')"
        )
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return (
            f"{where} holds bytes, not text. Decode them first: {frame}[{name!r}] = "
            f"{frame}[{name!r}].str.decode('utf-8')"
        )
    others = [f.name for f in table.schema if pa.types.is_string(f.type)]
    listed = f"Columns of text: {spoken(others)}." if others else "No column holds text."
    return f"{where} holds {kind} values, not text. {listed} Choose one with --{role}."


def _more(num_objects: int) -> str:
    return f" (and {num_objects - 1:,} more)" if num_objects > 1 else ""
