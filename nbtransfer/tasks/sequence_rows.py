"""Pairs of texts: from tables as read to rows that are checked, split and described."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.data.card import (
    DataCard,
    describe_columns,
    find_repetition,
    fingerprint,
    text_ids,
)
from nbtransfer.data.columns import spoken
from nbtransfer.data.splits import choose_validation
from nbtransfer.errors import DataError, count_of, quoted
from nbtransfer.tasks.labelled_data import with_validation
from nbtransfer.tasks.sequence_columns import flatten_pairs
from nbtransfer.tasks.task import Prepared
from nbtransfer.tasks.text_values import text_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from nbtransfer.data.tables import Tables
    from nbtransfer.spec import TaskName
    from nbtransfer.tasks.sequence_columns import PairColumns

_COPIED_SHARE = 0.5


def prepare_pairs(
    task: TaskName,
    tables: Tables,
    choose: Callable[[Tables], PairColumns],
    *,
    validation: object = None,
    split_seed: int = 42,
    learns: bool = True,
) -> Prepared:
    """Return the rows as source, target and row, split and described.

    Args:
        task: the task's name.
        tables: the data as read.
        choose: names the two columns of flattened tables.
        validation: a split's name, a fraction, a file, a table, or False.
        split_seed: decides which rows are held out.
        learns: whether a model is to learn from train; one that is only evaluated needs less.

    Raises:
        DataError: naming every problem found.
    """
    notes = [*tables.notes]
    raw, validation = with_validation(tables, validation, notes)
    raw = {split: flatten_pairs(table) for split, table in raw.items()}
    columns = choose(tables._replace(splits=raw))
    notes += columns.notes
    problems: list[str] = []
    pairs = {}
    for split, table in raw.items():
        where = tables.name if split == "train" else f"{tables.name} ({split})"
        if split == "test" and (reason := _unusable(table, columns)):
            notes.append(f"the test split is not used: {reason}")
            continue
        found = _pairs(table, columns, where, problems, notes)
        if found is not None:
            pairs[split] = found
    if problems:
        raise DataError(problems)
    if learns and (found_problems := _pair_problems(pairs["train"], columns, tables.name)):
        raise DataError(found_problems)
    chosen = choose_validation(_numbered(pairs), validation, split_seed=split_seed)
    # Which target goes with a source is what a class is elsewhere: two of them are a conflict.
    repetition = find_repetition(
        {s: t.rename_columns({"target_id": "label"}) for s, t in chosen.splits.items()}
    )
    splits = {s: t.drop_columns(["text_id", "target_id"]) for s, t in chosen.splits.items()}
    warnings = [*chosen.warnings]
    for split, num_rows in repetition.num_overlap.items():
        if num_rows:
            which = f"{num_rows:,} {split} sources are" if num_rows > 1 else f"1 {split} source is"
            warnings.append(f"{which} also in train.")
    if repetition.num_conflicts:
        warnings.append(
            f"{count_of(repetition.num_conflicts, 'source')} with more than one target."
        )
    share = _share_copied(splits["train"])
    if share >= _COPIED_SHARE:
        warnings.append(
            f"{share:.0%} of the training targets are their sources: copying is then a good "
            "answer. Check that the columns are the right ones."
        )
    card = DataCard(
        name=tables.name,
        origin=tables.origin,
        task=task,
        text_column=columns.source,
        label_column=columns.target,
        columns=describe_columns(raw["train"]),
        num_rows={split: table.num_rows for split, table in splits.items()},
        label_names=(),
        class_counts={},
        num_duplicates=repetition.num_duplicates,
        num_overlap=repetition.num_overlap,
        num_conflicts=repetition.num_conflicts,
        majority_share=None,
        fingerprint=_fingerprint(splits),
        notes=(*notes, *chosen.notes),
        warnings=tuple(warnings),
        roles={"source": columns.source, "target": columns.target},
        settings={"languages": list(columns.languages)} if columns.languages else {},
    )
    return Prepared(splits, card)


def _unusable(table: pa.Table, columns: PairColumns) -> str | None:
    """Return why a test split cannot be scored, as those that are published without answers."""
    for column in (columns.source, columns.target):
        if column not in table.column_names:
            return f"it has no column {quoted(column)}"
        if table[column].null_count == table.num_rows:
            return f"its column {quoted(column)} is empty"
    return None


def _pairs(
    table: pa.Table, columns: PairColumns, where: str, problems: list[str], notes: list[str]
) -> pa.Table | None:
    """Return source, target and row of the rows that have both; problems go to `problems`."""
    import numpy as np
    import pyarrow as pa

    missing = [c for c in (columns.source, columns.target) if c not in table.column_names]
    if missing:
        problems.append(
            f"{where} has no column {' and no column '.join(map(quoted, missing))}. Columns: "
            f"{spoken(table.column_names)}. Name them as in train."
        )
        return None
    sides = {}
    for role, column in (("source", columns.source), ("target", columns.target)):
        values = text_values(table, column, where, problems, notes, role=role)
        if values is None:
            continue
        sides[role] = values
        if not values.null_count:
            continue
        if values.null_count == len(values):
            problems.append(
                f"every {role} of {where} is missing or empty (column {quoted(column)}). Choose "
                f"another with --{role}."
            )
            continue
        first = int(np.flatnonzero(values.is_null().to_numpy())[0])
        rows = "1 row is" if values.null_count == 1 else f"{values.null_count:,} rows are"
        notes.append(f"{rows} left out of {where}: no {role} (first: row {first:,})")
    if len(sides) < 2:
        return None
    present = ~(sides["source"].is_null().to_numpy() | sides["target"].is_null().to_numpy())
    rows = np.flatnonzero(present).astype(np.int64)
    if not len(rows):
        if not problems:
            problems.append(f"no row of {where} has both a source and a target. Give some that do.")
        return None
    kept = {role: values.filter(pa.array(present)) for role, values in sides.items()}
    return pa.table({**kept, "row": rows})


def _pair_problems(train: pa.Table, columns: PairColumns, data: str) -> list[str]:
    """Return what makes the training pairs unfit to learn from."""
    import pyarrow.compute as pc

    if train.num_rows > 1:
        for role, column in (("source", columns.source), ("target", columns.target)):
            if pc.count_distinct(train[role]).as_py() == 1:
                return [
                    f"every {role} of {data} is the same, {quoted(train[role][0].as_py())} (column "
                    f"{quoted(column)}). There is nothing to learn: choose another column with "
                    f"--{role}."
                ]
        if _share_copied(train) == 1:
            return [
                f"every target of {data} is its source (columns {quoted(columns.source)} and "
                f"{quoted(columns.target)}). There is nothing to learn: choose another column with "
                "--target."
            ]
    return []


def _share_copied(train: pa.Table) -> float:
    import pyarrow.compute as pc

    return float(pc.mean(pc.equal(train["source"], train["target"]).cast("int8")).as_py())


def _numbered(pairs: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Return the tables with a number for each text: equal texts of a side have equal ones."""
    import pyarrow as pa

    for role, name in (("source", "text_id"), ("target", "target_id")):
        ids = text_ids([table[role] for table in pairs.values()])
        pairs = {
            split: table.append_column(name, pa.array(numbers))
            for (split, table), numbers in zip(pairs.items(), ids, strict=True)
        }
    return dict(pairs)


def _fingerprint(splits: Mapping[str, pa.Table]) -> str:
    """Return the sha256 of all pairs."""
    import numpy as np
    import pyarrow as pa

    sides = {
        f"{split} {role}": pa.table(
            {"text": table[role], "label": np.zeros(table.num_rows, np.int32)}
        )
        for split, table in splits.items()
        for role in ("source", "target")
    }
    return fingerprint(sides, ())
