"""Documents to learn a language from: one column of text, checked, split and described."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.data.card import (
    DataCard,
    describe_columns,
    find_repetition,
    fingerprint_of_rows,
)
from nbtransfer.data.columns import spoken
from nbtransfer.data.corpus import load_corpus
from nbtransfer.data.splits import DEFAULT_FRACTION, Splits, choose_validation
from nbtransfer.errors import DataError, quoted
from nbtransfer.tasks.labelled_data import with_text_ids, with_validation
from nbtransfer.tasks.task import Prepared
from nbtransfer.tasks.text_columns import choose_text_column
from nbtransfer.tasks.text_values import text_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from nbtransfer.data.tables import Tables
    from nbtransfer.spec import TaskName


def prepare_documents(
    tables: Tables,
    task: TaskName,
    *,
    text: str | None = None,
    validation: object = None,
    split_seed: int = 42,
    learns: bool = True,
) -> Prepared:
    """Return the documents as text and row, split and described.

    Args:
        tables: the data as read.
        task: what they are prepared for.
        text: the column that holds the text; None recognises it.
        validation: a split's name, a fraction, a text file, a table, or False; None takes a split
            named validation, otherwise 10 % of the documents.
        split_seed: decides which documents are held out.
        learns: whether a model is to learn from train; one that is only evaluated needs less.

    Raises:
        DataError: naming every problem found.
    """
    column, notes = choose_text_column(tables, text)
    notes = [*tables.notes, *notes]
    raw, validation = with_validation(tables, validation, notes, load=load_corpus)
    problems: list[str] = []
    examples = _documents(raw, column, tables.name, problems, notes)
    if problems:
        raise DataError(problems)
    chosen = _split(with_text_ids(examples), validation, split_seed)
    train = chosen.splits["train"]
    if learns and train.num_rows > 1 and len(train.column("text_id").unique()) == 1:
        same = quoted(train.column("text")[0].as_py())
        raise DataError(
            f"every text of {tables.name} is the same, {same} (column {quoted(column)}). There is "
            "nothing to learn: choose another column with --text."
        )
    card = _card(tables, task, column, raw["train"], chosen, notes)
    return Prepared({s: t.select(["text", "row"]) for s, t in chosen.splits.items()}, card)


def _documents(
    raw: Mapping[str, pa.Table], column: str, data: str, problems: list[str], notes: list[str]
) -> dict[str, pa.Table]:
    """Return each split's texts and rows, those without a text left out."""
    import numpy as np
    import pyarrow as pa

    examples: dict[str, pa.Table] = {}
    for split, table in raw.items():
        where = data if split == "train" else f"{data} ({split})"
        if column not in table.column_names:
            if split == "test":
                notes.append(f"the test split is not used: it has no column {quoted(column)}")
                continue
            problems.append(
                f"{where} has no column {quoted(column)}. Columns: {spoken(table.column_names)}. "
                "Name it as in train."
            )
            continue
        texts = text_values(table, column, where, problems, notes)
        if texts is None:
            continue
        missing = texts.is_null().to_numpy()
        if missing.all():
            problems.append(
                f"every text of {where} is missing or empty (column {quoted(column)}). Choose "
                "another with --text."
            )
            continue
        if missing.any():
            count = int(missing.sum())
            rows = "1 row is" if count == 1 else f"{count:,} rows are"
            first = int(np.flatnonzero(missing)[0])
            notes.append(f"{rows} left out of {where}: no text (first: row {first:,})")
        kept = np.flatnonzero(~missing).astype(np.int64)
        examples[split] = pa.table({"text": texts.filter(~missing), "row": kept})
    return examples


def _split(examples: dict[str, pa.Table], validation: object, split_seed: int) -> Splits:
    """Return the documents split; of a single document, the end is held out."""
    train = examples["train"]
    held_out = "validation" in examples and not isinstance(validation, float)
    if train.num_rows > 1 or held_out or validation is False:
        return choose_validation(examples, validation, split_seed=split_seed)  # type: ignore[arg-type]
    import pyarrow as pa

    text = train.column("text")[0].as_py()
    fraction = validation if isinstance(validation, float) else DEFAULT_FRACTION
    cut = text.rfind(" ", 0, int(len(text) * (1 - fraction)))
    if cut <= 0:
        warning = "nothing is held out for validation: there is one document, of a single word."
        return Splits(examples, ("no validation: one short document",), (warning,))
    parts = {"train": text[:cut], "validation": text[cut:].lstrip()}
    halves = {
        split: train.set_column(0, "text", pa.array([part], pa.string())).set_column(
            2, "text_id", pa.array([number])
        )
        for number, (split, part) in enumerate(parts.items())
    }
    others = {s: t for s, t in examples.items() if s == "test"}
    note = f"validation: the last {100 * fraction:.0f} % of the one document there is"
    return Splits({**halves, **others}, (note,))


def _card(
    tables: Tables, task: TaskName, column: str, raw: pa.Table, chosen: Splits, notes: list[str]
) -> DataCard:
    splits = chosen.splits
    repetition = find_repetition(splits)
    warnings = [*chosen.warnings]
    for split, num_rows in repetition.num_overlap.items():
        if num_rows:
            texts = f"{num_rows:,} {split} texts are" if num_rows > 1 else f"1 {split} text is"
            warnings.append(f"{texts} also in train.")
    return DataCard(
        name=tables.name,
        origin=tables.origin,
        task=task,
        text_column=column,
        label_column="",
        columns=describe_columns(raw),
        num_rows={split: table.num_rows for split, table in splits.items()},
        label_names=(),
        class_counts={},
        num_duplicates=repetition.num_duplicates,
        num_overlap=repetition.num_overlap,
        num_conflicts=0,
        majority_share=None,
        fingerprint=fingerprint_of_rows({s: t.select(["text"]) for s, t in splits.items()}),
        notes=(*notes, *chosen.notes),
        warnings=tuple(warnings),
        roles={"text": column},
    )
