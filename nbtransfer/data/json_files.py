"""Reading json and jsonl text: the fast way, and a slow way that can name the line at fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nbtransfer.data.columns import table_from_columns, with_article
from nbtransfer.data.csv_files import decode
from nbtransfer.data.squad_files import is_squad, may_be_squad, squad_columns
from nbtransfer.errors import DataError, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa


def read_json(data: bytes, name: str) -> tuple[pa.Table, list[str]]:
    """Return the rows of JSON lines, a JSON list of objects, a dict of columns, or SQuAD's form.

    Raises:
        DataError: naming line and column, if the text is not JSON or not rows.
    """
    text, notes = decode(data, name)
    if may_be_squad(text) and is_squad(record := _whole(text, name)):
        return table_from_columns(squad_columns(record, name)), [*notes, "SQuAD's form"]
    if text.lstrip()[:1] == b"[":
        return _table(_whole(text, name), name), notes
    if _is_lines(text):
        return _fast_lines(text) or _slow_lines(text, name), notes
    record = _whole(text, name)
    if isinstance(record, dict) and len(record) == 1:
        (inner,) = record.values()
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            return _table(inner, name), notes
    return _table(record, name), notes


def _is_lines(text: bytes) -> bool:
    """Return whether the first line is an object of its own, or broken; not the start of one."""
    first, _, rest = text.strip().partition(b"\n")
    try:
        record = json.loads(first)
    except RecursionError:
        return True
    except ValueError:
        # A pretty-printed object has its brace alone on the first line.
        return first.strip() not in (b"{", b"")
    columns = (
        isinstance(record, dict) and record and all(isinstance(v, list) for v in record.values())
    )
    return bool(rest.strip()) or not columns


def _whole(text: bytes, name: str) -> Any:  # noqa: ANN401 -- JSON can hold anything
    try:
        return json.loads(text)
    except RecursionError:
        raise DataError(
            f"{name} is nested too deeply to be rows. Give a list of objects."
        ) from None
    except ValueError as error:
        place = (
            f", line {error.lineno:,} column {error.colno:,}: {error.msg}"
            if isinstance(error, json.JSONDecodeError)
            else f": {error}"
        )
        raise DataError(f"{name}{place}. Mend the line, or write the file anew.") from None


def _table(record: object, name: str) -> pa.Table:
    from nbtransfer.data.frames import table_from_object

    if not isinstance(record, (list, dict)):
        raise DataError(
            f"{name} holds one {type(record).__name__}, not rows. Give a list of objects."
        )
    return table_from_object(record, name)[0]


def _fast_lines(text: bytes) -> pa.Table | None:
    """Return the rows as Arrow reads them, or None where Arrow refuses or would change a value."""
    import pyarrow as pa
    import pyarrow.json as pajson

    try:
        table = pajson.read_json(
            pa.BufferReader(text),
            read_options=pajson.ReadOptions(block_size=max(1 << 22, min(len(text) + 1, 1 << 28))),
        )
    except (pa.ArrowException, ValueError):
        return None
    # Arrow takes texts that look like dates for dates.
    if any(pa.types.is_temporal(field.type) for field in table.schema):
        return None
    return table


def _slow_lines(text: bytes, name: str) -> pa.Table:
    rows = list(json_rows(text.decode().split("\n"), name))
    keys = dict.fromkeys(key for row in rows for key in row)
    return table_from_columns({key: [row.get(key) for row in rows] for key in keys})


def json_rows(lines: Iterable[str], name: str) -> Iterator[dict[str, Any]]:
    """Yield the object of each line that is not empty.

    Raises:
        DataError: naming line and column, if a line is no object.
    """
    for number, line in enumerate(lines, start=1):
        line = line.rstrip("\r\n")
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except RecursionError:
            raise DataError(f"{name}, line {number:,}: nested too deeply. Mend the line.") from None
        except json.JSONDecodeError as error:
            raise DataError(
                f"{name}, line {number:,} column {error.colno:,}: "
                f"{error.msg[0].lower()}{error.msg[1:]} in {quoted(line)}. Mend the line."
            ) from None
        except ValueError as error:
            raise DataError(f"{name}, line {number:,}: {error}. Mend the line.") from None
        if not isinstance(row, dict):
            raise DataError(
                f"{name}, line {number:,}: {with_article(type(row).__name__)}, not an object. "
                "Each line must look like "
                '{"text": "...", "label": "..."}.'
            )
        yield row
