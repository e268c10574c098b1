"""Texts with answers that are no single class: rows read, checked, split and described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.data.card import ColumnInfo, describe_columns
from nbtransfer.data.splits import choose_validation
from nbtransfer.errors import DataError, quoted
from nbtransfer.tasks.label_columns import with_label_lists
from nbtransfer.tasks.labelled_data import with_text_ids, with_validation
from nbtransfer.tasks.labelled_rows import complete_rows, text_columns_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from nbtransfer.data.tables import Tables
    from nbtransfer.tasks.text_columns import Columns

    ReadAnswers = Callable[[pa.Table, str, list[str], list[str]], pa.ChunkedArray | None]


class AnsweredRows(NamedTuple):
    """Rows by split, and what is known of them whatever the answers are.

    Attributes:
        splits: tables of text (and text_pair), label and row.
        num_duplicates: rows of train whose text stands in an earlier row.
        num_overlap: rows by split (train apart) whose text is also in train.
        columns: the columns as they were read.
        notes: choices made, in words.
        warnings: what the user should look at.
    """

    splits: dict[str, pa.Table]
    num_duplicates: int
    num_overlap: dict[str, int]
    columns: tuple[ColumnInfo, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def card_fields(self) -> dict[str, Any]:
        """Return what a data card takes over as it is."""
        return {
            "num_rows": {split: table.num_rows for split, table in self.splits.items()},
            "num_duplicates": self.num_duplicates,
            "num_overlap": self.num_overlap,
            "num_conflicts": 0,
            "columns": self.columns,
            "notes": self.notes,
            "warnings": self.warnings,
            "majority_share": None,
        }


def read_rows(
    tables: Tables,
    columns: Columns,
    read_answers: ReadAnswers,
    *,
    validation: object,
    split_seed: int,
) -> AnsweredRows:
    """Return the rows that have a text and an answer, split.

    Args:
        tables: the data as read.
        columns: the columns to read.
        read_answers: takes a table, what to call it, problems and notes to add to; returns the
            answers, null where there is none, or None where the column holds no answers at all.
        validation: as a user gives it.
        split_seed: decides which rows are held out.

    Raises:
        DataError: naming every problem found.
    """
    import pyarrow.compute as pc

    notes, problems = [*tables.notes, *columns.notes], []
    raw, validation = with_validation(tables, validation, notes)
    examples: dict[str, pa.Table] = {}
    for split, given in raw.items():
        where = tables.name if split == "train" else f"{tables.name} ({split})"
        table = with_label_lists(given, columns.label, where)
        missing = [c for c in columns.roles.values() if c not in table.column_names]
        if missing and split == "test":
            notes.append(f"the test split is not used: it has no column {quoted(missing[0])}")
            continue
        if missing:
            problems.append(
                f"{where} has no column {' and no column '.join(map(quoted, missing))}. Name its "
                "columns as in train."
            )
            continue
        if split == "test" and table[columns.label].null_count == table.num_rows:
            notes.append("the test split is not used: it has no labels")
            continue
        texts = text_columns_of(table, columns, where, problems, notes)
        answers = read_answers(table, where, problems, notes)
        if texts is None or answers is None:
            continue
        kept = complete_rows({**texts, "label": answers}, where, columns, problems, notes)
        if kept is not None:
            examples[split] = kept
    if problems:
        raise DataError(problems)
    numbered = with_text_ids(examples)
    chosen = choose_validation(numbered, validation, split_seed=split_seed)
    train_ids = chosen.splits["train"]["text_id"]
    overlap = {
        split: int(pc.sum(pc.is_in(table["text_id"], train_ids.combine_chunks())).as_py() or 0)
        for split, table in chosen.splits.items()
        if split != "train"
    }
    also = [f"{n:,} {s} texts are also in train." for s, n in overlap.items() if n]
    return AnsweredRows(
        splits={s: t.drop_columns("text_id") for s, t in chosen.splits.items()},
        num_duplicates=len(train_ids) - pc.count_distinct(train_ids).as_py(),
        num_overlap=overlap,
        columns=describe_columns(raw["train"]),
        notes=(*notes, *chosen.notes),
        warnings=(*chosen.warnings, *also),
    )
