"""Reading csv and tsv text: encoding, delimiter, quotes, and types that never change a text."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
from collections import Counter
from typing import TYPE_CHECKING

from nbtransfer.errors import DataError, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

_TAB_SUFFIXES = (".tsv", ".tab")
_DELIMITERS = ",\t;|"
_SPOKEN = {",": "','", "\t": "tab", ";": "';'", "|": "'|'"}
SNIFFED_CHARACTERS = 1 << 16
_SNIFFED_ROWS = 50
# No leading zeros and no more digits than the type holds: 007 and long ids are names.
_WHOLE_NUMBER = r"^-?(0|[1-9][0-9]{0,17})$"
_DECIMAL_NUMBER = r"^-?((0|[1-9][0-9]{0,14})(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?$"
# csv's own limit of 131,072 characters a field is below what one long text needs.
_MAX_FIELD_CHARACTERS = 1 << 30


def read_csv(data: bytes, name: str) -> tuple[pa.Table, list[str]]:
    """Return the rows of a csv or tsv file, and notes about how it was read.

    Every field is read as text, and a column becomes a column of numbers only where each of its
    values is one: so NA, null, 007 and 1e5-like words in texts stay what they are.

    Raises:
        DataError: naming the line, if a line has too many or too few fields or an open quote.
    """
    text, notes = decode(data, name)
    limit = csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    try:
        return _read_decoded(text, notes, name)
    finally:
        csv.field_size_limit(limit)


def _read_decoded(text: bytes, notes: list[str], name: str) -> tuple[pa.Table, list[str]]:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    delimiter = sniff_delimiter(text)
    notes += delimiter_notes(delimiter, name)
    _check_quotes(text, delimiter, name)
    header = header_of(text, delimiter, name)
    num_blank = len(text[: len(text) - len(text.lstrip(b"\r\n"))].splitlines())
    try:
        table = pacsv.read_csv(
            pa.BufferReader(text),
            read_options=pacsv.ReadOptions(
                block_size=max(1 << 20, min(len(text) + 1, (1 << 31) - 1)),
                column_names=header,
                skip_rows_after_names=num_blank + 1,
            ),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
    except pa.ArrowException as error:
        for _ in csv_rows(_lines(text), delimiter, name):  # to name the line at fault
            pass
        reason = str(error).splitlines()[0][:120]
        raise DataError(f"{name} cannot be read as csv ({reason}).") from None
    return _with_types(_without_row_numbers(table, notes)), notes


def decode(data: bytes, name: str) -> tuple[bytes, list[str]]:
    """Return the bytes as UTF-8 without a byte-order mark, and a note if they were not that.

    Raises:
        DataError: if the bytes are no text.
    """
    if data.startswith(codecs.BOM_UTF8):
        data = data[3:]
    if utf_16 := utf_16_of(data):
        try:
            return data.decode(utf_16).encode(), ["read as UTF-16"]
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name} looks like UTF-16 but is damaged at byte {error.start:,}. "
                "Save it as UTF-8."
            ) from None
    try:
        data.decode("utf-8")
        return data, []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        control = sum(data[:4096].count(c) for c in range(9))
        if control:
            raise DataError(
                f"{name} is not text (byte 0x{data[error.start]:02x} in line {line:,}). Give a "
                "csv, tsv, jsonl, json or parquet file."
            ) from None
    try:
        return data.decode("cp1252").encode(), [f"read as latin-1: not UTF-8 at line {line:,}"]
    except UnicodeDecodeError:
        return data.decode("latin-1").encode(), [f"read as latin-1: not UTF-8 at line {line:,}"]


def utf_16_of(data: bytes) -> str | None:
    """Return the UTF-16 codec that the bytes seem to be in, with or without a byte-order mark."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    start = data[:4096]
    # In Latin script every second byte is zero; text in UTF-8 has hardly any.
    for offset, codec in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, letters = start[offset::2], start[1 - offset :: 2]
        if len(zeros) > 8 and zeros.count(0) > 0.9 * len(zeros) and letters.count(0) == 0:
            return codec
    return None


def sniff_delimiter(text: bytes) -> str:
    """Return the character that cuts most of the first rows into equally many fields."""
    sample = text[:SNIFFED_CHARACTERS].decode("utf-8", "ignore")
    best, best_score = ",", (0.0, 0, 0)
    for delimiter in _DELIMITERS:
        widths = [len(row) for row in _first_rows(sample, delimiter)]
        if not widths or widths[0] < 2:
            continue
        share = Counter(widths)[widths[0]] / len(widths)
        score = (round(share, 2), delimiter in sample.partition("\n")[0], widths[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def delimiter_notes(delimiter: str, name: str) -> list[str]:
    """Return in words what stands between the columns, where a reader would not expect it."""
    expected = delimiter == "," or (delimiter == "\t" and name.casefold().endswith(_TAB_SUFFIXES))
    return [] if expected else [f"read with {_SPOKEN[delimiter]} between the columns"]


def _first_rows(text: str, delimiter: str) -> list[list[str]]:
    """Return the first rows that are not empty, without a last one that may be cut off."""
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) >= _SNIFFED_ROWS:
                return rows
    return rows[:-1] if len(rows) > 1 and not text.endswith("\n") else rows


def header_of(text: bytes, delimiter: str, name: str) -> list[str]:
    """Return the column names, after a look whether the first line is names at all.

    Names do not come back as values of their own column, as classes do, and are not numbers, unless
    all of them are.
    """
    lines = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", newline="")
    header = next((row for row in csv.reader(lines, delimiter=delimiter) if row), [])
    header = [column.strip() for column in header]
    rows = _first_rows(text[:SNIFFED_CHARACTERS].decode("utf-8", "ignore"), delimiter)[1:]
    come_back = any(
        column and column == row[i].strip()
        for row in rows
        for i, column in enumerate(header[: len(row)])
    )
    numbers = [c for c in header if c.lstrip("-").replace(".", "", 1).isdigit()]
    if come_back or (numbers and len(numbers) < len([c for c in header if c])):
        raise DataError(
            f"{name} seems to have no header line: it begins with "
            f"{quoted(delimiter.join(header))}. Add a first line that names the columns, such as "
            f"text{delimiter}label."
        )
    return header


def _check_quotes(text: bytes, delimiter: str, name: str) -> None:
    """Refuse a quote that is never closed, or closed in mid-field: it would swallow rows."""
    import numpy as np

    characters = np.frombuffer(text, dtype=np.uint8)
    places = np.flatnonzero(characters == ord('"'))
    if not len(places):
        return
    padded = np.concatenate(([10], characters, [10])).astype(np.uint8)
    neighbours = np.array([ord(delimiter), 10, 13, ord('"')], dtype=np.uint8)
    opening, closing = places[::2], places[1::2]
    regular = (
        len(places) % 2 == 0
        and np.isin(padded[opening], neighbours).all()
        and np.isin(padded[closing + 2], neighbours).all()
    )
    if regular:
        return
    # A quote inside an unquoted field ('5" pipe') is fine; only the slow, exact reader can tell.
    for _ in csv_rows(_lines(text), delimiter, name):
        pass


def _lines(text: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", newline="")


def csv_rows(lines: Iterable[str], delimiter: str, name: str) -> Iterator[list[str]]:
    """Yield the fields of the header and of each row, exactly and slowly; empty lines are none.

    Raises:
        DataError: naming the line, if it has too many or too few fields or an open quote.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    width, start = 0, 1
    while True:
        # The limit is the whole process's, so it is put back before anything else can read.
        limit = csv.field_size_limit(_MAX_FIELD_CHARACTERS)
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"{error}. Mend the line."
            if "field larger" not in problem:
                problem = (
                    "a quote is opened and not closed as it should be. Close it, or write a quote "
                    'inside a quoted text twice ("").'
                )
            raise DataError(f"{name}, line {start:,}: {problem}") from None
        finally:
            csv.field_size_limit(limit)
        if fields:
            width = width or len(fields)
            if len(fields) != width:
                raise DataError(
                    f"{name}, line {start:,}: {len(fields)} fields where the header has {width}. "
                    f"Mend the line, or put quotes round texts that contain {_SPOKEN[delimiter]}."
                )
            yield fields
        start = reader.line_num + 1


def has_row_numbers(columns: Sequence[str]) -> bool:
    """Return whether the first column is the nameless index that `DataFrame.to_csv` writes."""
    return len(columns) > 1 and columns[0] in ("", "Unnamed: 0")


def _without_row_numbers(table: pa.Table, notes: list[str]) -> pa.Table:
    if has_row_numbers(table.column_names):
        notes.append("the nameless first column (row numbers) is left out")
        return table.remove_column(0)
    return table


def _with_types(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    columns = [_typed(column) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    for pattern, number in ((_WHOLE_NUMBER, pa.int64()), (_DECIMAL_NUMBER, pa.float64())):
        # The first rows settle it for nearly every column of text, at no cost.
        for part in (column.slice(0, 100), column):
            values = part.filter(pc.not_equal(part, ""))
            if not len(values) or not pc.all(pc.match_substring_regex(values, pattern)).as_py():
                break
        else:
            missing = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
            return missing.cast(number)
    return column
