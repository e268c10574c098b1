"""Rows of files, one after the other: the same as where the file is read whole."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nbtransfer.data import file_rows
from nbtransfer.data.file_rows import open_rows
from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError
from tests.data.bad_rows import gz_bomb

TRICKY = [
    "plain",
    "comma, and ; semicolon",
    'a "quoted" word',
    "two\nlines",
    "",
    "007",
    "NA",
    "null",
    "käse 🧀",
    "=1+1",
    "tab\there",
    "x" * 200_000,
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_csv(name, delimiter=",", encoding="utf-8", header="id,text", texts=TRICKY):
    import csv
    import io

    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerows([header.split(","), *([str(i), text] for i, text in enumerate(texts))])
    Path(name).write_bytes(out.getvalue().encode(encoding))


def both(name, column="text"):
    """The column as it is streamed, and as it is read whole; then the notes of each."""
    rows = open_rows(Path(name))
    tables = load_tables(name)
    streamed = [value for (value,) in rows.read([column])]
    return streamed, tables.splits["train"][column].to_pylist(), rows.notes, list(tables.notes)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_is_read_as_whole(delimiter, encoding):
    write_csv("a.csv", delimiter, encoding)
    streamed, whole, notes, wholes = both("a.csv")
    assert streamed == whole == TRICKY
    assert sorted(notes) == sorted(wholes)


@pytest.mark.parametrize(("word", "codec"), [("größer", "cp1252"), ("ÃÁ", "latin-1")])
@pytest.mark.parametrize("far", [0, 5000])
def test_text_that_is_no_unicode_is_read_the_same_way(word, codec, far):
    write_csv("a.csv", encoding=codec, texts=[*["plain"] * far, "Ä " + word])
    streamed, whole, notes, wholes = both("a.csv")
    assert streamed == whole and streamed[-1] == "Ä " + word
    assert notes == wholes == [f"read as latin-1: not UTF-8 at line {far + 2:,}"]


def test_the_index_that_pandas_writes_is_no_column():
    write_csv("a.csv", header=",text")
    assert open_rows(Path("a.csv")).columns == ["text"]


def test_empty_lines_are_no_rows():
    Path("a.csv").write_text("\n\ntext,n\n\na,1\n\nb,2\n\n")
    streamed, whole, *_ = both("a.csv")
    assert streamed == whole == ["a", "b"]


def test_numbers_stay_as_they_are_written():
    Path("a.csv").write_text("text,n\n1.50,1\n2,2\n")
    assert list(open_rows(Path("a.csv")).read(["text"])) == [["1.50"], ["2"]]


def test_columns_come_in_the_order_asked_for():
    Path("a.csv").write_text("a,b,c\n1,2,3\n")
    Path("a.jsonl").write_text('{"a": 1, "b": 2, "c": 3}\n')
    pq.write_table(pa.table({"a": [1], "b": [2], "c": [3]}), "a.parquet")
    assert list(open_rows(Path("a.csv")).read(["c", "a"])) == [["3", "1"]]
    for name in ("a.jsonl", "a.parquet"):
        assert list(open_rows(Path(name)).read(["c", "a"])) == [[3, 1]]


def test_lines_of_json_are_read_as_whole():
    lines = [json.dumps({"id": i, "text": text}) for i, text in enumerate(TRICKY)]
    Path("a.jsonl").write_text("\n".join([*lines, "", '{"id": 99}']))
    streamed, whole, *_ = both("a.jsonl")
    assert streamed == whole == [*TRICKY, None]


def test_parquet_is_read_as_whole_with_lists_and_dictionaries():
    table = pa.table(
        {
            "text": pa.array(TRICKY).dictionary_encode(),
            "a.b": [["x", "y"]] * len(TRICKY),
            "large": pa.array(TRICKY, pa.large_string()),
        }
    )
    pq.write_table(table, "a.parquet", row_group_size=5)
    for column in ("text", "a.b", "large"):
        streamed, whole, *_ = both("a.parquet", column)
        assert streamed == whole == table[column].to_pylist()


@pytest.mark.parametrize(
    ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_packed_files_are_unpacked_on_the_way(ending, pack):
    write_csv("a.csv")
    Path(f"a.csv.{ending}").write_bytes(pack(Path("a.csv").read_bytes()))
    streamed, whole, *_ = both(f"a.csv.{ending}")
    assert streamed == whole == TRICKY


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "text,n\na,1\nb\n", "a.csv, line 3: 1 fields where the header has 2. Mend"),
        ("a.csv", 'text,n\n"open,1\nb,2\n', "a.csv, line 2: a quote is opened and not closed"),
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", " \n\n", "a.csv is empty"),
        ("a.csv", "good,1\nbad,2\ngood,3\n", "a.csv seems to have no header line"),
        ("a.csv", b"a,b\n\x00\x01\xff", "a.csv is not text (byte 0xff in line 2)"),
        ("a.csv", "text,text\na,b\n", "more than one column named 'text'"),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "a.jsonl, line 2 column 10: expecting value in"),
        ("a.jsonl", '{"text": "a"}\n[1]\n', "a.jsonl, line 2: a list, not an object"),
        ("a.jsonl", "\n", "a.jsonl is empty"),
        ("a.parquet", b"PAR1no", "a.parquet is damaged or no parquet file"),
        ("a.csv.gz", b"no gzip", "a.csv.gz is damaged or not really a .gz file"),
        ("a.csv.bz2", b"no bzip", "a.csv.bz2 is damaged or not really a .bz2 file"),
        ("a.csv.xz", b"no xz at all", "a.csv.xz is damaged or not really a .xz file"),
        ("a.csv.gz", gz_bomb, "unpacks to more than 64 MiB"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_named_with_its_line(name, content, says):
    content = content() if callable(content) else content
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        rows = open_rows(Path(name))
        list(rows.read(rows.columns[:1]))
    assert says in str(caught.value)


def test_a_file_without_blanks_is_not_read_ahead(monkeypatch):
    """Of a file of ten thousand rows no more is drawn than a block of text."""
    Path("a.csv").write_text("text,n\n" + "a good film,1\n" * 10_000)
    drawn = []
    rows = file_rows.csv_rows

    def counted(*arguments):
        for fields in rows(*arguments):
            drawn.append(fields)
            yield fields

    monkeypatch.setattr(file_rows, "csv_rows", counted)
    read = open_rows(Path("a.csv")).read(["text"])
    assert [next(read) for _ in range(3)] == [["a good film"]] * 3
    assert len(drawn) == 4


def test_the_process_s_limit_of_a_field_is_left_as_it_was():
    import csv

    write_csv("a.csv")
    before = csv.field_size_limit()
    read = open_rows(Path("a.csv")).read(["text"])
    next(read)
    assert csv.field_size_limit() == before
