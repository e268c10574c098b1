"""Reading data, whatever it is given as, into one form: a named set of Arrow tables by split."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from nbtransfer.data.columns import spoken
from nbtransfer.data.squad_files import is_squad
from nbtransfer.data.tables import Tables, name_splits
from nbtransfer.errors import DataError

__all__ = ["Tables", "load_tables"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


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
        columns = spoken(tables.splits["train"].column_names)
        raise DataError(
            f"{tables.name} has no rows (columns: {columns}). Give at least one row a class."
        )
    return tables


def _load_object(data: object, name: str) -> Tables:
    from nbtransfer.data.frames import is_split_mapping, table_from_object

    if isinstance(data, Mapping) and is_split_mapping(data) and not is_squad(data):
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
