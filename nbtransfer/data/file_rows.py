"""Reading the rows of a file one after the other, so that the file may be larger than memory.

For asking a model only: columns are named, no type is guessed, and what a csv file holds is text.
"""

from __future__ import annotations

import codecs
import io
import itertools
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.data.csv_files import (
    SNIFFED_CHARACTERS,
    csv_rows,
    delimiter_notes,
    has_row_numbers,
    header_of,
    sniff_delimiter,
    utf_16_of,
)
from nbtransfer.data.files import check_is_data_file, damaged_parquet, kind_of
from nbtransfer.data.frames import check_column_names
from nbtransfer.data.json_files import json_rows
from nbtransfer.data.opening import open_bytes, reading
from nbtransfer.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_HEAD_BYTES = 4096
_BLOCK_BYTES = 1 << 20
_ROWS_TOGETHER = 1000
_NOT_IN_CP1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")


class TableRows(NamedTuple):
    """The rows of a table: of a file, or in hand.

    Attributes:
        columns: their names.
        read: begins at the first row; given names, yields the values of these columns, row by row.
        notes: how a file is read, in words.
    """

    columns: list[str]
    read: Callable[[Sequence[str]], Iterator[list[Any]]]
    notes: list[str]


def open_rows(path: Path) -> TableRows | None:
    """Return the rows of a csv, tsv, jsonl or parquet file; None where it has to be read whole.

    Raises:
        DataError: if it is no data file, damaged or empty.
    """
    check_is_data_file(path)
    openers = {"csv": _open_csv, "jsonl": _open_lines, "parquet": _open_parquet}
    opener = openers.get(kind_of(path) or "")
    if opener is None:
        return None
    with reading(path):
        rows = opener(path)
    if rows is not None:
        check_column_names(rows.columns, path.name)
    return rows


def _open_csv(path: Path) -> TableRows:
    encoding, notes = _encoding_of(path)
    with _text(path, encoding) as stream:
        start = stream.read(SNIFFED_CHARACTERS).encode()
    _refuse_blank(start, path)
    delimiter = sniff_delimiter(start)
    header = header_of(start, delimiter, path.name)

    def read(columns: Sequence[str]) -> Iterator[list[str]]:
        places = [header.index(name) for name in columns]
        with reading(path), _text(path, encoding) as stream:
            for fields in itertools.islice(csv_rows(stream, delimiter, path.name), 1, None):
                yield [fields[place] for place in places]

    named = header[1:] if has_row_numbers(header) else header
    return TableRows(named, read, notes + delimiter_notes(delimiter, path.name))


def _open_lines(path: Path) -> TableRows | None:
    encoding, notes = _encoding_of(path)
    with _text(path, encoding) as stream:
        first = next((line for line in stream if line.strip()), "")
    _refuse_blank(first.encode(), path)
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        row = None
    # A list of objects, an object over several lines or of columns: its end is needed to read it.
    if not isinstance(row, dict) or all(isinstance(value, list) for value in row.values()):
        return None

    def read(columns: Sequence[str]) -> Iterator[list[Any]]:
        with reading(path), _text(path, encoding) as stream:
            for row in json_rows(stream, path.name):
                yield [row.get(name) for name in columns]

    return TableRows(list(row), read, notes)


def _open_parquet(path: Path) -> TableRows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise damaged_parquet(path, error) from None

    def read(columns: Sequence[str]) -> Iterator[list[Any]]:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_ROWS_TOGETHER, columns=list(columns)):
                    values = [batch.column(name).to_pylist() for name in columns]
                    yield from map(list, zip(*values, strict=True))
        except (pa.ArrowException, OSError) as error:
            raise damaged_parquet(path, error) from None

    return TableRows(columns, read, [])


def _text(path: Path, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="")


def _refuse_blank(start: bytes, path: Path) -> None:
    if not start.strip():
        raise DataError(f"{path.name} is empty. Give a file with a header line and rows.")


def _encoding_of(path: Path) -> tuple[str, list[str]]:
    """Return how a file's text is encoded, as `csv_files.decode` finds it, and a note if oddly.

    The file is gone through once, as a single character far into it can tell.

    Raises:
        DataError: if it is no text.
    """
    with open_bytes(path) as stream:
        head = stream.read(_HEAD_BYTES)
        if head.startswith(codecs.BOM_UTF8):
            return "utf-8-sig", []
        if utf_16 := utf_16_of(head):
            return utf_16, ["read as UTF-16"]
        decoder = codecs.getincrementaldecoder("utf-8")()
        line, block = 1, head
        try:
            while block:
                decoder.decode(block)
                line += block.count(b"\n")
                block = stream.read(_BLOCK_BYTES)
            decoder.decode(b"", final=True)
            return "utf-8", []
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            found = error.object[error.start]
    if any(byte < 9 for byte in head):
        raise DataError(
            f"{path.name} is not text (byte 0x{found:02x} in line {line:,}). Give a csv, tsv, "
            "jsonl, json or parquet file."
        )
    with open_bytes(path) as stream:
        blocks = iter(lambda: stream.read(_BLOCK_BYTES), b"")
        is_cp1252 = all(_NOT_IN_CP1252.isdisjoint(block) for block in blocks)
    note = f"read as latin-1: not UTF-8 at line {line:,}"
    return "cp1252" if is_cp1252 else "latin-1", [note]
