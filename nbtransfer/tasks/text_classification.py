"""Text classification: its columns, its checks, its classes and its metrics."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.card import (
    ColumnInfo,
    DataCard,
    class_counts,
    describe_columns,
    find_repetition,
    fingerprint,
    majority_share,
    text_ids,
)
from nbtransfer.data.columns import column_facts
from nbtransfer.data.sources import SPLIT_NAMES, Tables, load_tables
from nbtransfer.data.splits import Splits, choose_validation
from nbtransfer.errors import DataError, quoted
from nbtransfer.tasks.class_labels import (
    Classes,
    alike_names,
    class_numbers,
    label_texts,
    learn_classes,
)
from nbtransfer.tasks.text_columns import Columns, choose_columns
from nbtransfer.tasks.text_values import text_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

__all__ = ["TASK", "Columns", "Prepared", "choose_columns", "metrics", "prepare"]

TASK = "text-classification"
_SKEWED_SHARE = 0.9


class Prepared(NamedTuple):
    """Rows ready to be encoded.

    Attributes:
        splits: tables of text (string), label (int32) and row (int64, where the row stood in the
            data as given) by split.
        card: what is known about them.
    """

    splits: dict[str, pa.Table]
    card: DataCard


def prepare(
    tables: Tables,
    *,
    text: str | None = None,
    label: str | None = None,
    validation: object = None,
    split_seed: int = 42,
    label_names: Sequence[str] | None = None,
) -> Prepared:
    """Return the rows as text and class number, split and described.

    Args:
        tables: the data as read.
        text: the column that holds the text; None recognises it.
        label: the column that holds the class; None recognises it.
        validation: a split's name, a fraction, a file, a DataFrame or other table, or False; None
            takes a split named validation, otherwise 10 %, stratified.
        split_seed: decides which rows are held out.
        label_names: the classes of a trained model, to evaluate on this data: no class is learnt
            from it, and one that the model does not know is an error.

    Raises:
        DataError: naming every problem found.
    """
    import pyarrow.compute as pc

    columns = choose_columns(tables, text=text, label=label)
    notes = [*tables.notes, *columns.notes]
    raw, validation = _with_validation(tables, validation, notes)
    problems: list[str] = []
    examples, classes = _examples(raw, columns, tables.name, label_names, problems, notes)
    if problems:
        raise DataError(problems)
    examples = _with_text_ids(examples)
    if label_names is None and (found := _class_problems(examples, classes, columns, tables.name)):
        raise DataError(found)
    chosen = choose_validation(examples, validation, split_seed=split_seed)
    # Train comes first in the numbering, so its texts have the numbers 0 to the largest.
    num_texts = pc.max(examples["train"].column("text_id")).as_py() + 1
    described = describe_columns(raw["train"], {columns.text: num_texts})
    card = _card(tables, columns, described, chosen, classes, notes)
    return Prepared({s: t.drop_columns("text_id") for s, t in chosen.splits.items()}, card)


def metrics(
    labels: np.ndarray, probabilities: np.ndarray, label_names: Sequence[str]
) -> dict[str, float]:
    """Return accuracy and the macro averages of precision, recall and F1.

    A class that is neither in `labels` nor predicted does not count in the averages, as in
    scikit-learn; one that is never predicted has precision 0.

    Args:
        labels: int array (rows,), the actual classes.
        probabilities: float array (rows, classes).
        label_names: names of the classes, which `probabilities` must have a column for.
    """
    import numpy as np
    from sklearn.metrics import precision_recall_fscore_support

    if probabilities.shape != (len(labels), len(label_names)):
        raise ValueError(
            f"probabilities have shape {probabilities.shape}, expected "
            f"{(len(labels), len(label_names))}"
        )
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, average="macro", zero_division=0
    )
    return {
        "eval_accuracy": float(np.mean(predicted == labels)),
        "eval_f1_macro": float(f1),
        "eval_precision_macro": float(precision),
        "eval_recall_macro": float(recall),
    }


def _with_validation(
    tables: Tables, validation: object, notes: list[str]
) -> tuple[dict[str, pa.Table], str | float | bool | None]:
    """Return the tables with a validation table given apart, and what is left to decide."""
    if validation is None or isinstance(validation, (bool, int, float)):
        return tables.splits, validation
    if isinstance(validation, str) and (
        validation.casefold() in SPLIT_NAMES or not _is_reference(validation)
    ):
        return tables.splits, validation
    is_named = isinstance(validation, (str, os.PathLike))
    given = load_tables(validation, name=None if is_named else "the validation data")
    notes += [f"validation: {note}" for note in given.notes]
    if "validation" in tables.splits:
        notes.append(f"validation: {given.name} is used instead of the split named validation")
    elif is_named:
        notes.append(f"validation: {given.name}")
    return {**tables.splits, "validation": given.splits["train"]}, None


def _is_reference(validation: str) -> bool:
    from nbtransfer.data.files import is_file_reference

    return validation.startswith("demo:") or is_file_reference(validation)


def _examples(
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
                f"{', '.join(table.column_names)}. Name them as in train."
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
        label_where = f"label column {columns.label!r} of {where}"
        if classes is None:
            names = column_facts(table.schema.field(columns.label)).class_names
            classes = learn_classes(labels, names, label_where, problems)
            if classes is None:
                break
        examples[split] = _numbered(texts, labels, rows, classes, label_where, problems)
    return examples, classes or Classes((), {})


def _unusable_test(split: str, table: pa.Table, columns: Columns) -> str | None:
    """Return why a test split cannot be scored, as with those that are published without labels."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if split != "test":
        return None
    if columns.label not in table.column_names or columns.text not in table.column_names:
        return f"it has no column {columns.label!r}"
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
                f"every {role} of {where} is missing or empty (column {column!r}). Choose another."
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
) -> pa.Table:
    import pyarrow as pa

    numbers = class_numbers(labels, classes)
    if numbers.null_count:
        unknown = sorted(set(labels.filter(numbers.is_null()).unique().to_pylist()))
        names = ", ".join(map(quoted, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        known = ", ".join(map(quoted, classes.names[:10])) + (
            "…" if len(classes.names) > 10 else ""
        )
        problems.append(
            f"{where} holds {names}, which train does not have. Classes: {known}. Add training "
            f"rows for it, or "
            "leave those rows out."
        )
    return pa.table({"text": texts, "label": numbers.cast(pa.int32()), "row": rows})


def _with_text_ids(examples: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Return the tables with a number per text: comparing texts is dear, so it is done once."""
    import pyarrow as pa

    ids = text_ids([table.column("text") for table in examples.values()])
    return {
        split: table.append_column("text_id", pa.array(numbers))
        for (split, table), numbers in zip(examples.items(), ids, strict=True)
    }


def _class_problems(
    examples: Mapping[str, pa.Table], classes: Classes, columns: Columns, data: str
) -> list[str]:
    """Return what makes the training rows unfit to learn classes from."""
    import pyarrow.compute as pc

    train = examples["train"]
    where = f"label column {columns.label!r} of {data}"
    num_found = pc.count_distinct(train.column("label")).as_py()
    if num_found == 1:
        only = classes.names[train.column("label")[0].as_py()]
        return [f"{where} has one class only, {quoted(only)}. Classification needs at least two."]
    if train.num_rows < len(classes.names):
        return [
            f"{data} has {train.num_rows:,} rows for {len(classes.names):,} classes. Give at "
            f"least a few "
            "rows a class."
        ]
    if train.num_rows > 1 and pc.max(train.column("text_id")).as_py() == 0:
        text = train.column("text")[0].as_py()
        return [
            f"every text of {data} is the same, {quoted(text)} (column {columns.text!r}). There "
            f"is nothing to "
            "learn: choose another column with --text."
        ]
    return []


def _card(
    tables: Tables,
    columns: Columns,
    described: tuple[ColumnInfo, ...],
    chosen: Splits,
    classes: Classes,
    notes: Sequence[str],
) -> DataCard:
    splits = chosen.splits
    counts = class_counts(splits, len(classes.names))
    repetition = find_repetition(splits)
    warnings = [*chosen.warnings]
    for split, num_rows in repetition.num_overlap.items():
        if num_rows:
            texts = f"{num_rows:,} {split} texts are" if num_rows > 1 else f"1 {split} text is"
            warnings.append(f"{texts} also in train.")
    if repetition.num_conflicts:
        num = repetition.num_conflicts
        warnings.append(
            f"{num:,} texts carry two labels." if num > 1 else "1 text carries two labels."
        )
    for group in alike_names(classes.names):
        warnings.append(
            f"the classes {' and '.join(map(quoted, group))} differ only by case or space. If "
            f"they are one, "
            "make their names equal."
        )
    absent = [n for n, count in zip(classes.names, counts["train"], strict=True) if not count]
    if absent:
        warnings.append(f"no training row has the class {', '.join(map(quoted, absent[:5]))}.")
    if max(counts["train"]) > _SKEWED_SHARE * sum(counts["train"]):
        warnings.append(
            f"{max(counts['train']) / sum(counts['train']):.0%} of the training rows are of one "
            f"class: watch "
            "macro F1 rather than accuracy, or set class weights."
        )
    return DataCard(
        name=tables.name,
        origin=tables.origin,
        task=TASK,
        text_column=columns.text,
        label_column=columns.label,
        columns=described,
        num_rows={split: table.num_rows for split, table in splits.items()},
        label_names=classes.names,
        class_counts=counts,
        num_duplicates=repetition.num_duplicates,
        num_overlap=repetition.num_overlap,
        num_conflicts=repetition.num_conflicts,
        majority_share=majority_share(counts),
        fingerprint=fingerprint(splits, classes.names),
        notes=(*notes, *chosen.notes),
        warnings=tuple(warnings),
    )
