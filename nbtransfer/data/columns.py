"""What a column knows beyond its Arrow type: class names, and values that did not fit the type.

Arrow columns have one type; a column of Python objects need not. What could not be kept is counted
in the field's metadata, so that the check that knows the column's role can say what was found.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nbtransfer.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

_KEY = b"nbtransfer"
# A chunk of Arrow's `string` holds at most 2 GiB; stay below it when casting from `large_string`.
_CHUNK_BYTES = 1 << 30
_LISTED_NAMES = 20
_NAME_CHARACTERS = 40


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """What a column's field metadata says about its values.

    Attributes:
        class_names: names of the classes 0, 1, ... of a `ClassLabel` column.
        num_numbers: numbers and truth values that stood among texts; they were turned into text.
        first_number: row of the first of them.
        num_objects: values that are neither text nor number; they were left out.
        first_object: row of the first of them.
        object_type: type name of that value, such as `list`.
        num_surrogates: texts in which characters that are not valid Unicode became U+FFFD.
    """

    class_names: tuple[str, ...] | None = None
    num_numbers: int = 0
    first_number: int = -1
    num_objects: int = 0
    first_object: int = -1
    object_type: str = ""
    num_surrogates: int = 0


def column_facts(field: pa.Field) -> ColumnFacts:
    """Return what the field's metadata says; an empty record where it says nothing."""
    stored = (field.metadata or {}).get(_KEY)
    if stored is None:
        return ColumnFacts()
    record = json.loads(stored)
    names = record.pop("class_names", None)
    return ColumnFacts(class_names=None if names is None else tuple(names), **record)


def with_facts(field: pa.Field, facts: ColumnFacts) -> pa.Field:
    """Return the field with `facts` in its metadata."""
    if facts == ColumnFacts():
        return field.remove_metadata()
    changed = {k: v for k, v in asdict(facts).items() if v != getattr(ColumnFacts(), k)}
    return field.with_metadata({_KEY: json.dumps(changed).encode()})


def table_from_columns(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Return a table of columns of Python values, all of one length."""
    import pyarrow as pa

    arrays, fields = [], []
    for name, values in columns.items():
        array, facts = column_from_values(values)
        arrays.append(array)
        fields.append(with_facts(pa.field(valid_text(name), array.type), facts))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def column_from_values(values: Sequence[Any]) -> tuple[pa.Array | pa.ChunkedArray, ColumnFacts]:
    """Return the values as Arrow holds them, and what had to change for that."""
    import pyarrow as pa

    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return _mixed_column(values)
    if pa.types.is_binary(array.type) and any(isinstance(value, str) for value in values):
        return _mixed_column(values)
    return array, ColumnFacts()


def table_with_class_names(table: pa.Table) -> pa.Table:
    """Return the table with the `ClassLabel` names that datasets left in its schema's metadata."""
    import pyarrow as pa

    names = _class_names(table.schema.metadata or {})
    fields = [
        with_facts(f, ColumnFacts(class_names=names[f.name])) if f.name in names else f
        for f in table.schema
    ]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


def plain_table(table: pa.Table) -> pa.Table:
    """Return the table with dictionaries decoded, text as `string` and without run-end encoding."""
    import pyarrow as pa

    arrays, fields = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        if pa.types.is_large_string(column.type) or column.type == pa.string_view():
            column = as_string(column)
        arrays.append(column)
        fields.append(pa.field(field.name, column.type, metadata=field.metadata))
    schema = pa.schema(fields, metadata=table.schema.metadata)
    return pa.Table.from_arrays(arrays, schema=schema)


def as_string(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of text as type `string`, in chunks small enough for it."""
    import pyarrow as pa

    pieces: list[pa.Array] = []
    for chunk in column.chunks:
        num_parts = max(1, math.ceil(chunk.nbytes / _CHUNK_BYTES))
        step = max(1, math.ceil(len(chunk) / num_parts))
        pieces += [
            chunk.slice(start, step).cast(pa.string()) for start in range(0, len(chunk), step)
        ]
    return pa.chunked_array(pieces, type=pa.string())


def valid_text(text: str) -> str:
    """Return the text with lone surrogates, which UTF-8 cannot hold, as U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def spoken(names: Sequence[str]) -> str:
    """Return column names as a message lists them: at most 20, odd or long ones quoted and cut."""
    shown = [n if n.isprintable() and 0 < len(n) <= _NAME_CHARACTERS else quoted(n) for n in names]
    more = f", … ({len(names):,} in all)" if len(names) > _LISTED_NAMES else ""
    return ", ".join(shown[:_LISTED_NAMES]) + more if names else "none"


def frame_name(data: str) -> str:
    """Return the variable's name for a line of advice: the data's own name where it can be one."""
    return data if data.isidentifier() else "df"


def with_article(noun: str) -> str:
    """Return `a list`, `an int`: the name of a type as a sentence needs it."""
    return f"{'an' if noun[:1].casefold() in 'aeiou' else 'a'} {noun}"


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        inner = {column: _inner_feature(feature) for column, feature in features.items()}
        return {
            column: tuple(map(str, feature["names"]))
            for column, feature in inner.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError):
        return {}


def _inner_feature(feature: object) -> object:
    """Return what a list holds, where the feature is one."""
    if isinstance(feature, list) and len(feature) == 1:
        return feature[0]
    if isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        return feature.get("feature")
    return feature


def _mixed_column(values: Sequence[Any]) -> tuple[pa.Array, ColumnFacts]:
    import numbers

    import pyarrow as pa

    texts: list[str | None] = []
    num_numbers = num_objects = num_surrogates = 0
    first_number = first_object = -1
    object_type = ""
    for row, value in enumerate(values):
        if isinstance(value, str):
            clean = valid_text(value)
            num_surrogates += clean != value
            texts.append(clean)
        elif _is_missing(value):
            texts.append(None)
        elif isinstance(value, numbers.Number) or type(value).__name__ in ("bool", "bool_"):
            num_numbers += 1
            first_number = row if first_number < 0 else first_number
            texts.append(str(value))
        else:
            num_objects += 1
            if first_object < 0:
                first_object, object_type = row, type(value).__name__
            texts.append(None)
    facts = ColumnFacts(
        num_numbers=num_numbers,
        first_number=first_number,
        num_objects=num_objects,
        first_object=first_object,
        object_type=object_type,
        num_surrogates=num_surrogates,
    )
    return pa.array(texts, pa.string()), facts


def _is_missing(value: object) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and math.isnan(value)
