"""Every kind of source gives the same tables, and says how it was read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError

ROWS = [
    {"text": "a fine film", "label": 1},
    {"text": 'said "no", twice', "label": 0},
    {"text": "two\nlines", "label": 1},
    {"text": "NA", "label": 0},
]
TABLE = pa.Table.from_pylist(ROWS)


def write_csv(path: str, delimiter: str = ",", encoding: str = "utf-8") -> str:
    pd.DataFrame(ROWS).to_csv(path, sep=delimiter, index=False, encoding=encoding)
    return path


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def by_datasets():
    import datasets

    return datasets.Dataset.from_list(ROWS)


OBJECTS = {
    "DataFrame": lambda: pd.DataFrame(ROWS),
    "DataFrame of objects": lambda: pd.DataFrame(ROWS, dtype=object),
    "frame with an index of its own": lambda: pd.DataFrame(ROWS, index=[9, 8, 7, 6]),
    "list of dicts": lambda: ROWS,
    "dict of columns": lambda: {k: [r[k] for r in ROWS] for k in ROWS[0]},
    "pyarrow Table": lambda: TABLE,
    "datasets.Dataset": by_datasets,
}


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_objects_in_memory_are_read_alike(make):
    tables = load_tables(make(), name="df")
    assert tables.name == "df"
    assert tables.splits["train"].to_pylist() == ROWS


FILES = {
    "comma": lambda: write_csv("a.csv"),
    "semicolon": lambda: write_csv("a.csv", ";"),
    "bar": lambda: write_csv("a.csv", "|"),
    "tab in csv": lambda: write_csv("a.csv", "\t"),
    "tsv": lambda: write_csv("a.tsv", "\t"),
    "byte-order mark": lambda: write_csv("a.csv", encoding="utf-8-sig"),
    "UTF-16": lambda: write_csv("a.csv", encoding="utf-16"),
    "UTF-16 without mark": lambda: write_csv("a.csv", encoding="utf-16-le"),
    "Windows line ends": lambda: (
        Path("a.csv").write_bytes(Path(write_csv("b.csv")).read_bytes().replace(b"1\n", b"1\r\n")),
        "a.csv",
    )[1],
    "index column": lambda: (pd.DataFrame(ROWS).to_csv("a.csv"), "a.csv")[1],
    "gzip": lambda: (pd.DataFrame(ROWS).to_csv("a.csv.gz", index=False), "a.csv.gz")[1],
    "parquet": lambda: (pq.write_table(TABLE, "a.parquet"), "a.parquet")[1],
    "jsonl": lambda: (
        Path("a.jsonl").write_text("\n".join(map(json.dumps, ROWS))),
        "a.jsonl",
    )[1],
    "json list": lambda: (Path("a.json").write_text(json.dumps(ROWS, indent=1)), "a.json")[1],
    "json columns": lambda: (
        Path("a.json").write_text(json.dumps({k: [r[k] for r in ROWS] for k in ROWS[0]})),
        "a.json",
    )[1],
    "json under a key": lambda: (
        Path("a.json").write_text(json.dumps({"data": ROWS}, indent=1)),
        "a.json",
    )[1],
    "json lines named json": lambda: (
        Path("a.json").write_text("\n".join(map(json.dumps, ROWS))),
        "a.json",
    )[1],
}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_files_are_read_alike(make):
    path = make()
    tables = load_tables(path)
    assert (tables.name, tables.origin) == (path, f"file {path}")
    assert tables.splits["train"].to_pylist() == ROWS


NOTES = {
    "semicolon": (FILES["semicolon"], "read with ';' between the columns"),
    "tab": (FILES["tab in csv"], "read with tab between the columns"),
    "UTF-16": (FILES["UTF-16"], "read as UTF-16"),
    "index": (FILES["index column"], "the nameless first column (row numbers) is left out"),
}


@pytest.mark.parametrize("row", NOTES.values(), ids=NOTES)
def test_choice_made_while_reading_is_noted(row):
    make, note = row
    assert note in load_tables(make()).notes


def test_latin_1_is_read_and_noted_with_its_line():
    Path("a.csv").write_bytes("text,label\nok,1\ncafé – naïve,0\n".encode("cp1252"))
    tables = load_tables("a.csv")
    assert tables.splits["train"].column("text").to_pylist() == ["ok", "café – naïve"]
    assert tables.notes == ("read as latin-1: not UTF-8 at line 3",)


def test_numbers_are_recognised_only_where_every_value_is_one():
    Path("a.csv").write_text("a,b,c,d,e,f\n1,007,NA,1.5,1e3,12345678901234567890\n2,8,2,,nan,1\n")
    types = {f.name: str(f.type) for f in load_tables("a.csv").splits["train"].schema}
    assert types == {"a": "int64", "b": "string", "c": "string", "d": "double"} | dict.fromkeys(
        "ef", "string"
    )


def test_quotes_inside_unquoted_fields_are_kept():
    Path("a.csv").write_text('text,label\na 5" pipe,1\nthe "best" one,0\n')
    texts = load_tables("a.csv").splits["train"].column("text").to_pylist()
    assert texts == ['a 5" pipe', 'the "best" one']


def test_blank_first_lines_and_long_column_names_are_fine():
    Path("a.csv").write_text("\n\nHow do you feel about it all in all?,label\nwell,1\nbad,0\n")
    train = load_tables("a.csv").splits["train"]
    assert train.column_names == ["How do you feel about it all in all?", "label"]
    assert train.column("label").to_pylist() == [1, 0]


def test_line_of_a_fault_counts_blank_lines_too():
    Path("a.csv").write_text("\n\ntext,label\nwell,1\n\nbad,0,0\n")
    with pytest.raises(DataError, match="line 6: 3 fields"):
        load_tables("a.csv")


def test_reading_csv_leaves_the_csv_modules_limit_alone():
    import csv

    limit = csv.field_size_limit()
    Path("a.csv").write_text("text,label\n" + "a" * 200_000 + ",1\nb,0\n")
    assert len(load_tables("a.csv").splits["train"].column("text")[0].as_py()) == 200_000
    assert csv.field_size_limit() == limit


def test_commas_in_texts_do_not_mislead_the_delimiter():
    Path("a.csv").write_text("text;label\na, b, c;1\nd, e;0\n")
    assert load_tables("a.csv").splits["train"].column_names == ["text", "label"]


def test_dates_and_mixed_values_in_json_lines_stay_texts():
    Path("a.jsonl").write_text('{"text": "2024-01-01", "label": 1}\n{"text": 5, "label": 2}\n')
    assert load_tables("a.jsonl").splits["train"].column("text").to_pylist() == ["2024-01-01", "5"]
    Path("b.jsonl").write_text('{"text": "2024-01-01"}\n')
    assert load_tables("b.jsonl").splits["train"].column("text").to_pylist() == ["2024-01-01"]


def test_pattern_puts_files_together_in_order_of_name():
    for name in ("b", "a"):
        Path(f"{name}.csv").write_text(f"text,label\n{name},1\n")
    tables = load_tables("*.csv")
    assert tables.origin == "2 files *.csv"
    assert tables.splits["train"].column("text").to_pylist() == ["a", "b"]


def test_files_named_like_splits_become_splits():
    for name in ("train", "dev", "test"):
        Path(f"{name}.csv").write_text(f"text,label\n{name},1\n")
    splits = load_tables("*.csv").splits
    assert {s: t.column("text").to_pylist() for s, t in splits.items()} == {
        "train": ["train"],
        "validation": ["dev"],
        "test": ["test"],
    }


def test_dataset_dict_keeps_its_splits_and_names_those_left_out():
    import datasets

    part = by_datasets()
    data = datasets.DatasetDict({"train": part, "valid": part, "unsupervised": part})
    tables = load_tables(data, name="ds")
    assert list(tables.splits) == ["train", "validation"]
    assert tables.notes == (
        "split 'valid' is used as validation",
        "split 'unsupervised' (4 rows) is not used",
    )


def test_only_split_is_used_as_train():
    tables = load_tables({"test": pd.DataFrame(ROWS)}, name="d")
    assert tables.notes == ("split 'test' is used as train",)


def test_streaming_dataset_is_refused_with_what_to_take():
    streaming = type("IterableDataset", (), {"__module__": "datasets.iterable_dataset"})
    with pytest.raises(DataError, match=r"list\(ds.take\(10000\)\)"):
        load_tables(streaming(), name="ds")


def test_tables_are_handed_through():
    tables = load_tables(ROWS)
    assert load_tables(tables) is tables


def test_reading_a_frame_imports_neither_datasets_nor_torch():
    import subprocess

    code = (
        "import sys, pandas as pd\n"
        "from nbtransfer.data.sources import load_tables\n"
        "load_tables(pd.DataFrame({'text': ['a'], 'label': [1]}))\n"
        "print({'datasets', 'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
