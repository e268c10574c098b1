"""Reading data, whatever it is given as, into one form: a named set of Arrow tables by split."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.errors import DataError, quoted

if TYPE_CHECKING:
    import pyarrow as pa

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class Tables(NamedTuple):
    """Data as it was read, before any column was chosen.

    Attributes:
        name: the data as the user called it: `df`, `demo:tweets`, `reviews.csv`.
        origin: where it came from: `DataFrame`, `file reviews.csv`, `hub dataset imdb`.
        splits: tables by split; always `train`, perhaps `validation` and `test`.
        notes: the choices made while reading, in words.
    """

    name: str
    origin: str
    splits: dict[str, pa.Table]
    notes: tuple[str, ...] = ()


def load_tables(data: object, *, name: str | None = None) -> Tables:
    """Return the data as tables by split.

    Args:
        data: a DataFrame, datasets.Dataset or DatasetDict, list of dicts, dict of columns, dict of
            splits, pyarrow Table, a csv, tsv, jsonl, json or parquet file or pattern, `demo:NAME`,
            or a hub id.
        name: what to call an in-memory object in messages.

    Raises:
        DataError: if the data is missing, of no known kind, damaged or empty.
        MissingPackageError: if it needs a package that is not installed.
    """
    if isinstance(data, Tables):
        return data
    if isinstance(data, (str, os.PathLike)):
        tables = _load_reference(os.fspath(data))
    else:
        tables = _load_object(data, name or "the data")
    if not any(table.num_rows for table in tables.splits.values()):
        columns = ", ".join(tables.splits["train"].column_names) or "none"
        raise DataError(
            f"{tables.name} has no rows (columns: {columns}). Give at least one row a class."
        )
    return tables


def name_splits(tables: Mapping[str, pa.Table], name: str) -> tuple[dict[str, pa.Table], list[str]]:
    """Return the tables under nbtransfer's split names, and notes of what was renamed or left.

    Raises:
        DataError: if no split can be trained on.
    """
    splits: dict[str, pa.Table] = {}
    notes = []
    for given, table in tables.items():
        split = SPLIT_NAMES.get(given.casefold())
        if split is None or split in splits:
            notes.append(f"split {given!r} ({table.num_rows:,} rows) is not used")
            continue
        if split != given:
            notes.append(f"split {given!r} is used as {split}")
        splits[split] = table
    if "train" not in splits:
        if len(tables) != 1:
            raise DataError(
                f"{name} has no split named train. Splits: {', '.join(map(str, tables))}. "
                f"Give the one to train on, such as {name}[{quoted(next(iter(tables)))}]."
            )
        (given,) = tables
        splits, notes = {"train": tables[given]}, [f"split {given!r} is used as train"]
    order = ("train", "validation", "test")
    return {s: splits[s] for s in order if s in splits}, notes


def _load_object(data: object, name: str) -> Tables:
    from nbtransfer.data.frames import is_split_mapping, table_from_object

    if isinstance(data, Mapping) and is_split_mapping(data):
        read = {str(k): table_from_object(v, f"{name}[{k!r}]")[0] for k, v in data.items()}
        splits, notes = name_splits(read, name)
        return Tables(name, type(data).__name__, splits, tuple(notes))
    table, kind = table_from_object(data, name)
    return Tables(name, kind, {"train": table})


def _load_reference(reference: str) -> Tables:
    from nbtransfer.data.files import is_file_reference, load_files

    if reference.startswith("demo:"):
        from nbtransfer.data.demo import load_demo

        return load_demo(reference.removeprefix("demo:"))
    if is_file_reference(reference):
        return load_files(reference)
    if _HUB_ID.fullmatch(reference):
        from nbtransfer.data.hub import load_hub

        return load_hub(reference)
    return load_files(reference)
