"""Rows of text and class number: what is left of a table once text and label are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.data.columns import column_facts, spoken
from nbtransfer.errors import quoted
from nbtransfer.tasks.class_labels import Classes, class_numbers, label_texts, learn_classes
from nbtransfer.tasks.text_values import text_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from nbtransfer.tasks.text_columns import Columns


def labelled_rows(
    raw: Mapping[str, pa.Table],
    columns: Columns,
    data: str,
    label_names: Sequence[str] | None,
    problems: list[str],
    notes: list[str],
) -> tuple[dict[str, pa.Table], Classes]:
    """Return each split as text (and text_pair), label and row, problems added to `problems`.

    `label` is the class number, int32; `row` is int64.
    """
    classes = None
    if label_names is not None:
        classes = Classes(tuple(label_names), {n: i for i, n in enumerate(label_names)})
    examples: dict[str, pa.Table] = {}
    for split, table in raw.items():
        where = data if split == "train" else f"{data} ({split})"
        if reason := _unusable_test(split, table, columns):
            notes.append(f"the test split is not used: {reason}")
            continue
        missing = [c for c in columns.roles.values() if c not in table.column_names]
        if missing:
            problems.append(
                f"{where} has no column {' and no column '.join(map(quoted, missing))}. Columns: "
                f"{spoken(table.column_names)}. Name them as in train."
            )
            continue
        read = text_columns_of(table, columns, where, problems, notes)
        labels = label_texts(table, columns.label, where, problems)
        if read is None or labels is None:
            continue
        kept = complete_rows({**read, "label": labels}, where, columns, problems, notes)
        if kept is None:
            continue
        labels = kept["label"]
        label_where = f"label column {quoted(columns.label)} of {where}"
        if classes is None:
            names = column_facts(table.schema.field(columns.label)).class_names
            classes = learn_classes(labels, names, label_where, problems)
            if classes is None:
                break
        learnt = label_names is None
        numbers = _numbered(labels, classes, label_where, problems, learnt)
        examples[split] = kept.set_column(kept.schema.get_field_index("label"), "label", numbers)
    return examples, classes or Classes((), {})


def _unusable_test(split: str, table: pa.Table, columns: Columns) -> str | None:
    """Return why a test split cannot be scored, as with those that are published without labels."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if split != "test":
        return None
    if columns.label not in table.column_names or columns.text not in table.column_names:
        return f"it has no column {quoted(columns.label)}"
    labels = table.column(columns.label)
    if labels.null_count == len(labels):
        return "it has no labels"
    if pa.types.is_integer(labels.type) and pc.all(pc.equal(labels, -1)).as_py():
        return "its labels are all -1, which means withheld"
    return None


def text_columns_of(
    table: pa.Table, columns: Columns, where: str, problems: list[str], notes: list[str]
) -> dict[str, pa.ChunkedArray] | None:
    """Return the texts by role, null where there is none; None, and problems, where they are none.

    Args:
        table: the data as read.
        columns: names the text column, and the second of a pair.
        where: what to call the data.
        problems: what stands in the way is added here.
        notes: what was done about odd values is added here.
    """
    named = {"text": columns.text, "text_pair": columns.text_pair}
    found = {}
    for role, column in named.items():
        if column is None:
            continue
        values = text_values(table, column, where, problems, notes)
        if values is not None:
            found[role] = values
    return found if len(found) == sum(c is not None for c in named.values()) else None


def complete_rows(
    values: Mapping[str, pa.ChunkedArray],
    where: str,
    columns: Columns,
    problems: list[str],
    notes: list[str],
) -> pa.Table | None:
    """Return the rows that lack nothing, with their numbers in `row`; None where there are none.

    Args:
        values: the columns by role.
        where: what to call the data.
        columns: their names as the user knows them.
        problems: why there are none is added here.
        notes: how many rows are left out is added here.
    """
    import numpy as np
    import pyarrow as pa

    names = columns.roles
    present = np.ones(len(values["text"]), dtype=bool)
    for role, column in values.items():
        if not column.null_count:
            continue
        word = role.replace("_", " ")
        if column.null_count == len(column):
            problems.append(
                f"every {word} of {where} is missing or empty (column {quoted(names[role])}). "
                f"Choose another with --{role.replace('_', '-')}."
            )
            return None
        missing = column.is_null().to_numpy()
        first = int(np.flatnonzero(missing)[0])
        rows = "1 row is" if column.null_count == 1 else f"{column.null_count:,} rows are"
        notes.append(f"{rows} left out of {where}: no {word} (first: row {first:,})")
        present &= ~missing
    rows = np.flatnonzero(present).astype(np.int64)
    if not len(rows):
        problems.append(f"no row of {where} has both a text and a label. Give some that do.")
        return None
    whole = pa.table(dict(values))
    kept = whole if len(rows) == len(present) else whole.filter(present)
    return kept.append_column("row", pa.array(rows))


def _numbered(
    labels: pa.ChunkedArray, classes: Classes, where: str, problems: list[str], learnt: bool
) -> pa.ChunkedArray:
    import pyarrow as pa

    numbers = class_numbers(labels, classes)
    if numbers.null_count:
        unknown = sorted(set(labels.filter(numbers.is_null()).unique().to_pylist()))
        problems.append(unknown_classes(unknown, classes.names, where, learnt))
    return numbers.cast(pa.int32())


def unknown_classes(unknown: Sequence[str], known: Sequence[str], where: str, learnt: bool) -> str:
    """Return the problem of classes that were not learnt, from train or by a model before."""
    names = ", ".join(map(quoted, unknown[:5])) + (", …" if len(unknown) > 5 else "")
    listed = ", ".join(map(quoted, known[:10])) + ("…" if len(known) > 10 else "")
    who = "train" if learnt else "the model"
    advice = "Add training rows for it, or leave those rows out" if learnt else "Leave them out"
    return f"{where} holds {names}, which {who} does not have. Classes: {listed}. {advice}."
