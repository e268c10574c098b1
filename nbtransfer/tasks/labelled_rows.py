"""Rows of text and class number: what is left of a table once text and label are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.data.columns import column_facts, spoken
from nbtransfer.errors import quoted
from nbtransfer.tasks.class_labels import Classes, class_numbers, label_texts, learn_classes
from nbtransfer.tasks.text_values import text_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
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
    """Return each split as text, class number and row; problems are added to `problems`."""
    classes = None
    if label_names is not None:
        classes = Classes(tuple(label_names), {n: i for i, n in enumerate(label_names)})
    examples: dict[str, pa.Table] = {}
    for split, table in raw.items():
        where = data if split == "train" else f"{data} ({split})"
        if reason := _unusable_test(split, table, columns):
            notes.append(f"the test split is not used: {reason}")
            continue
        missing = [c for c in (columns.text, columns.label) if c not in table.column_names]
        if missing:
            problems.append(
                f"{where} has no column {' and no column '.join(map(quoted, missing))}. Columns: "
                f"{spoken(table.column_names)}. Name them as in train."
            )
            continue
        texts = text_values(table, columns.text, where, problems, notes)
        labels = label_texts(table, columns.label, where, problems)
        if texts is None or labels is None:
            continue
        kept = _complete_rows(texts, labels, where, columns, problems, notes)
        if kept is None:
            continue
        texts, labels, rows = kept
        label_where = f"label column {quoted(columns.label)} of {where}"
        if classes is None:
            names = column_facts(table.schema.field(columns.label)).class_names
            classes = learn_classes(labels, names, label_where, problems)
            if classes is None:
                break
        learnt = label_names is None
        examples[split] = _numbered(texts, labels, rows, classes, label_where, problems, learnt)
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


def _complete_rows(
    texts: pa.ChunkedArray,
    labels: pa.ChunkedArray,
    where: str,
    columns: Columns,
    problems: list[str],
    notes: list[str],
) -> tuple[pa.ChunkedArray, pa.ChunkedArray, np.ndarray] | None:
    """Return texts, labels and row numbers of the rows that have both."""
    import numpy as np

    found = (("text", columns.text, texts), ("label", columns.label, labels))
    for role, column, values in found:
        if not values.null_count:
            continue
        if values.null_count == len(values):
            problems.append(
                f"every {role} of {where} is missing or empty (column {quoted(column)}). Choose "
                f"another with --{role}."
            )
            return None
        first = int(np.flatnonzero(values.is_null().to_numpy())[0])
        rows = "1 row is" if values.null_count == 1 else f"{values.null_count:,} rows are"
        notes.append(f"{rows} left out of {where}: no {role} (first: row {first:,})")
    present = ~(texts.is_null().to_numpy() | labels.is_null().to_numpy())
    rows = np.flatnonzero(present).astype(np.int64)
    if not len(rows):
        problems.append(f"no row of {where} has both a text and a label. Give some that do.")
        return None
    if len(rows) == len(present):
        return texts, labels, rows
    return texts.filter(present), labels.filter(present), rows


def _numbered(
    texts: pa.ChunkedArray,
    labels: pa.ChunkedArray,
    rows: np.ndarray,
    classes: Classes,
    where: str,
    problems: list[str],
    learnt: bool,
) -> pa.Table:
    import pyarrow as pa

    numbers = class_numbers(labels, classes)
    if numbers.null_count:
        unknown = sorted(set(labels.filter(numbers.is_null()).unique().to_pylist()))
        names = ", ".join(map(quoted, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        known = ", ".join(map(quoted, classes.names[:10])) + (
            "…" if len(classes.names) > 10 else ""
        )
        who = "train" if learnt else "the model"
        advice = "Add training rows for it, or leave those rows out" if learnt else "Leave them out"
        problems.append(
            f"{where} holds {names}, which {who} does not have. Classes: {known}. {advice}."
        )
    return pa.table({"text": texts, "label": numbers.cast(pa.int32()), "row": rows})
