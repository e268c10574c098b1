"""Texts with a class each: from tables as read to rows that are checked, split and described."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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
from nbtransfer.data.sources import load_tables
from nbtransfer.data.splits import Splits, choose_validation
from nbtransfer.data.tables import SPLIT_NAMES, Tables
from nbtransfer.errors import DataError, quoted
from nbtransfer.tasks.class_labels import Classes, alike_names
from nbtransfer.tasks.labelled_rows import labelled_rows
from nbtransfer.tasks.task import Prepared
from nbtransfer.tasks.text_columns import Columns, choose_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from nbtransfer.spec import TaskName

TASK: TaskName = "text-classification"
_SKEWED_SHARE = 0.9


def prepare(
    tables: Tables,
    *,
    text: str | None = None,
    label: str | None = None,
    text_pair: str | None = None,
    validation: object = None,
    split_seed: int = 42,
    label_names: Sequence[str] | None = None,
) -> Prepared:
    """Return the rows as text and class number, split and described.

    Args:
        tables: the data as read.
        text: the column that holds the text; None recognises it.
        label: the column that holds the class; None recognises it.
        text_pair: the column that holds a second text, to be read with the first.
        validation: a split's name, a fraction, a file, a DataFrame or other table, or False; None
            takes a split named validation, otherwise 10 %, stratified.
        split_seed: decides which rows are held out.
        label_names: the classes of a trained model, to evaluate on this data: no class is learnt
            from it, and one that the model does not know is an error.

    Raises:
        DataError: naming every problem found.
    """
    import pyarrow.compute as pc

    columns = choose_columns(tables, text=text, label=label, text_pair=text_pair)
    notes = [*tables.notes, *columns.notes]
    raw, validation = with_validation(tables, validation, notes)
    problems: list[str] = []
    examples, classes = labelled_rows(raw, columns, tables.name, label_names, problems, notes)
    if problems:
        raise DataError(problems)
    examples = with_text_ids(examples)
    if label_names is None and (found := _class_problems(examples, classes, columns, tables.name)):
        raise DataError(found)
    chosen = choose_validation(examples, validation, split_seed=split_seed)
    # Train comes first in the numbering, so its texts have the numbers 0 to the largest.
    num_texts = pc.max(examples["train"].column("text_id")).as_py() + 1
    counted = {columns.text: num_texts} if columns.text_pair is None else {}
    described = describe_columns(raw["train"], counted)
    card = _card(tables, columns, described, chosen, classes, notes)
    return Prepared({s: t.drop_columns("text_id") for s, t in chosen.splits.items()}, card)


def with_validation(
    tables: Tables,
    validation: object,
    notes: list[str],
    load: Callable[..., Tables] = load_tables,
) -> tuple[dict[str, pa.Table], str | float | bool | None]:
    """Return the tables with a validation table given apart, and what is left to decide.

    Args:
        tables: the data as read.
        validation: as a user gives it.
        notes: choices made are added here.
        load: reads a validation table given apart.
    """
    if validation is None or isinstance(validation, (bool, int, float)):
        return tables.splits, validation
    if isinstance(validation, str) and (
        validation.casefold() in SPLIT_NAMES or not _is_reference(validation)
    ):
        return tables.splits, validation
    is_named = isinstance(validation, (str, os.PathLike))
    given = load(validation, name=None if is_named else "the validation data")
    notes += [f"validation: {note}" for note in given.notes]
    if "validation" in tables.splits:
        notes.append(f"validation: {given.name} is used instead of the split named validation")
    elif is_named:
        notes.append(f"validation: {given.name}")
    return {**tables.splits, "validation": given.splits["train"]}, None


def _is_reference(validation: str) -> bool:
    from nbtransfer.data.files import is_file_reference

    return validation.startswith("demo:") or is_file_reference(validation)


def with_text_ids(examples: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Return the tables with a number per text, `text_id`; a pair of texts counts as one.

    Comparing texts is dear, so it is done once.
    """
    import pyarrow as pa

    ids = text_ids([_whole_text(table) for table in examples.values()])
    return {
        split: table.append_column("text_id", pa.array(numbers))
        for (split, table), numbers in zip(examples.items(), ids, strict=True)
    }


def _whole_text(table: pa.Table) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    if "text_pair" not in table.column_names:
        return table["text"]
    return pc.binary_join_element_wise(table["text"], table["text_pair"], "\x1f")


def _class_problems(
    examples: Mapping[str, pa.Table], classes: Classes, columns: Columns, data: str
) -> list[str]:
    """Return what makes the training rows unfit to learn classes from."""
    import pyarrow.compute as pc

    train = examples["train"]
    where = f"label column {quoted(columns.label)} of {data}"
    num_found = pc.count_distinct(train.column("label")).as_py()
    if num_found == 1:
        only = classes.names[train.column("label")[0].as_py()]
        return [f"{where} has one class only, {quoted(only)}. Classification needs at least two."]
    if train.num_rows < len(classes.names):
        return [
            f"{data} has {train.num_rows:,} rows for {len(classes.names):,} classes. Give at "
            "least a few rows a class."
        ]
    if train.num_rows > 1 and pc.max(train.column("text_id")).as_py() == 0:
        text = train.column("text")[0].as_py()
        return [
            f"every text of {data} is the same, {quoted(text)} (column {quoted(columns.text)}). "
            "There is nothing to learn: choose another column with --text."
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
            "they are one, make their names equal."
        )
    for number, name in enumerate(classes.names):
        if not counts["train"][number]:
            judged = [f"{n[number]:,} {s} rows" for s, n in counts.items() if n[number]]
            but = f", but {' and '.join(judged)} do: they cannot be right" if judged else ""
            warnings.append(f"no training row has the class {quoted(name)}{but}.")
    if max(counts["train"]) > _SKEWED_SHARE * sum(counts["train"]):
        warnings.append(
            f"{max(counts['train']) / sum(counts['train']):.0%} of the training rows are of one "
            "class: watch macro F1 rather than accuracy, or set class weights."
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
        roles=columns.roles,
        fingerprint=fingerprint(splits, classes.names),
        notes=(*notes, *chosen.notes),
        warnings=tuple(warnings),
    )
