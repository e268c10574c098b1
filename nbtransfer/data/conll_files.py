"""Reading CoNLL files: a word and its tag a line, a blank line between sentences."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from nbtransfer.data.columns import table_from_columns
from nbtransfer.data.csv_files import decode
from nbtransfer.errors import DataError, count_of, quoted

if TYPE_CHECKING:
    import pyarrow as pa

_SNIFFED_CHARACTERS = 1 << 16
_TAG = re.compile(r"O|[BIESLUM]-\S+")
_SPACES = re.compile(r"[ \t]+")
_DOCUMENT = "-DOCSTART-"
_LEAST_SHARE = 0.9


def looks_like_conll(data: bytes) -> bool:
    """Return whether text is a word and its tag a line, rather than prose."""
    text = data[:_SNIFFED_CHARACTERS].decode("utf-8", "replace")
    lines = [line for line in text.splitlines()[:-1] or text.splitlines() if line.strip()]
    tagged = [line for line in lines if len(line.split()) > 1 and _TAG.fullmatch(line.split()[-1])]
    return len(tagged) >= _LEAST_SHARE * len(lines) > 0


def read_conll(data: bytes, name: str) -> tuple[pa.Table, list[str]]:
    """Return the sentences of a CoNLL file as columns tokens and tags, and notes on the reading.

    Lines that open a document (-DOCSTART-) and comments are left out.

    Raises:
        DataError: naming the line, if one has another number of columns than the rest.
    """
    text, notes = decode(data, name)
    lines = text.decode().split("\n")
    is_tabbed, num_columns = _columns(lines, name)
    sentences: list[list[list[str]]] = [[]]
    num_documents = 0
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r")
        if not line.strip():
            sentences.append([])
            continue
        fields = _fields(line, is_tabbed)
        if fields[0].strip() == _DOCUMENT:
            num_documents += 1
            sentences.append([])
        elif len(fields) == num_columns:
            sentences[-1].append(fields)
        elif not (line.startswith("#") and not sentences[-1]):
            raise DataError(
                f"{name}: line {number:,} has {count_of(len(fields), 'column')} instead of "
                f"{num_columns} ({quoted(line)}). Give each word a line, with its tag last."
            )
    kept = [sentence for sentence in sentences if sentence]
    notes.append(
        f"read as CoNLL: {count_of(len(kept), 'sentence')}, words in column 1, tags in column "
        f"{num_columns}"
    )
    if num_documents:
        notes.append(f"{count_of(num_documents, 'line')} {_DOCUMENT} left out")
    columns = {
        "tokens": [[fields[0] for fields in sentence] for sentence in kept],
        "tags": [[fields[-1].strip() for fields in sentence] for sentence in kept],
    }
    return table_from_columns(columns), notes


def _columns(lines: list[str], name: str) -> tuple[bool, int]:
    """Return whether tabs stand between the columns (else spaces), and how many there are."""
    shown = [line for line in lines if line.strip() and not line.startswith(_DOCUMENT)]
    is_tabbed = sum("\t" in line for line in shown) > len(shown) / 2
    counted = Counter(len(_fields(line, is_tabbed)) for line in shown)
    num_columns = counted.most_common(1)[0][0] if counted else 0
    if num_columns < 2:
        raise DataError(
            f"{name} has no column of tags. A CoNLL file holds a word a line with its tag behind "
            "it, and an empty line between sentences."
        )
    return is_tabbed, num_columns


def _fields(line: str, is_tabbed: bool) -> list[str]:
    # str.split() would also split at spaces that do not break, which words may hold.
    plain = line.strip(" \r")
    return plain.split("\t") if is_tabbed else _SPACES.split(plain.strip("\t"))
