"""Data as it was read: named Arrow tables by split, and what the splits are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.errors import DataError, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

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
                f"{name} has no split named train. Splits: {', '.join(map(str, tables))}. Give "
                f"the one to train on, such as {name}[{quoted(next(iter(tables)))}]."
            )
        (given,) = tables
        splits, notes = {"train": tables[given]}, [f"split {given!r} is used as train"]
    order = ("train", "validation", "test")
    return {s: splits[s] for s in order if s in splits}, notes
