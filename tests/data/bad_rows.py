"""The corpus of bad input: each row is one way data can be wrong, and what to do."""

from __future__ import annotations

import gzip
import json
import pickle
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

GOOD = ["a fine film", "a dull film", "well made", "badly made", "I smiled", "I slept"]
SIDES = ["pos", "neg"] * 3


class File(NamedTuple):
    """A file to be written before the data is read by its name."""

    name: str
    content: bytes | str


class Row(NamedTuple):
    """One kind of bad input: the data, how it is prepared, and what the message must say."""

    id: str
    data: Any
    says: str
    options: dict[str, Any] | None = None


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def good(**changed: Any) -> pd.DataFrame:
    return pd.DataFrame({"text": GOOD, "label": SIDES} | changed)


def gz_bomb() -> bytes:
    return gzip.compress(b"text,label\n" + b"a" * (65 << 20), compresslevel=1)


def named(values: list[int], names: list[str], texts: list[str] = GOOD) -> pa.Table:
    """A table as datasets writes it: class numbers, with their names in the schema."""
    features = {"label": {"_type": "ClassLabel", "names": names}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"text": texts[: len(values)], "label": values})
    return table.replace_schema_metadata(metadata)


def parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


LISTS = [["pos"], ["neg", "pos"], [], ["pos"], ["neg"], ["neg"]]
TWO_HEADS = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
TWICE = pd.DataFrame([["a", "b", 1]], columns=["text", "text", "label"])

OBJECTS = [
    Row("no rows", frame(text=[], label=[]), r"has no rows .*Give at least one row"),
    Row("no columns", pd.DataFrame(), r"has no rows \(columns: none\)"),
    Row("a number", 5, r"is an int, which cannot be read as data. Give a DataFrame"),
    Row("none", None, r"cannot be read as data. Give a DataFrame"),
    Row("a series", good()["text"], r"a pandas Series: one column.*give the whole DataFrame"),
    Row("an array", np.zeros((2, 2)), r"is an? ndarray, which cannot be read"),
    Row("a list of texts", GOOD, r"row 0 of df is a str, not a dict. Give a list of dicts"),
    Row("rows of two kinds", [{"text": "a", "label": 1}, 3], r"row 1 of df is an int, not a dict"),
    Row("empty list", [], r"has no rows"),
    Row("a dict of scalars", {"text": "a"}, r"must map column names to lists"),
    Row("columns of two lengths", {"text": ["a"], "label": [1, 2]}, r"differ in length .*equal"),
    Row("a dict without train", {"a": good(), "b": good()}, r"no split named train. Splits: a, b"),
    Row("two column levels", TWO_HEADS, r"MultiIndex\). Flatten them first: df.columns ="),
    Row("repeated column", TWICE, r"more than one column named 'text'. Rename or drop"),
    Row("unknown demo", "demo:tweet", r"no demo data named 'tweet'.*Did you mean demo:tweets\?"),
    Row("empty name", "", r"'' is not a file name"),
    Row("a NUL in the name", "a\0.csv", r"is not a file name"),
]

COLUMNS = [
    Row(
        "label misspelt",
        good(),
        r"^no column 'lable' in df. Columns: text, label. Did you mean "
        r"--label label\?$",
        {"label": "lable"},
    ),
    Row("text misspelt", good(), r"Did you mean --text text\?", {"text": "txt"}),
    Row("label far off", good(), r"text, label. Choose one with --label", {"label": "zzz"}),
    Row(
        "both misspelt",
        good(),
        r"(?s)2 problems:.*--text text.*--label label",
        {"text": "tex", "label": "labell"},
    ),
    Row(
        "text is label",
        good(),
        r"--text and --label both name 'text'.*Choose two",
        {"text": "text", "label": "text"},
    ),
    Row(
        "two labels",
        frame(text=GOOD, stars=[1, 2] * 3, topic=["a", "b"] * 3),
        r"2 columns that could be the label: stars, topic. Choose one: --label stars",
    ),
    Row(
        "two labels by shape",
        frame(text=GOOD, a=[1, 2] * 3, b=[0, 1] * 3),
        r"could be the label: a, b. Choose one: --label a",
    ),
    Row(
        "two texts",
        frame(review=GOOD, comment=GOOD, label=SIDES),
        r"could be the text: review, comment. Choose one: --text review",
    ),
    Row(
        "no text",
        frame(a=[1, 2] * 3, label=SIDES),
        r"no text column in df: none of",
    ),
    Row("no label", frame(text=GOOD), r"no label column in df. .*Name it with --label"),
    Row(
        "columns of numbers",
        frame(a=[0.5, 1.5], b=[0.1, 0.2]),
        r"(?s)2 problems.*no text column.*no label column",
    ),
    Row(
        "numbers as text",
        good(text=range(6), label=[0, 1] * 3),
        r"holds int64 values, not text. No column holds text. Choose",
        {"text": "text", "label": "label"},
    ),
    Row(
        "lists as text",
        good(text=[["a", "b"]] * 6),
        r"Join the words of each row first",
        {"text": "text"},
    ),
    Row(
        "bytes as text",
        good(text=[b"a", b"b"] * 3),
        r"holds bytes, not text. Decode them",
        {"text": "text"},
    ),
    Row(
        "an object among texts",
        good(text=[*GOOD[:5], {"a": 1}]),
        r"type dict in row 5. Each row needs one text",
        {"text": "text"},
    ),
    Row(
        "a list among texts",
        good(text=[["x"], *GOOD[:5]]),
        r"type list in row 0. Each row needs",
        {"text": "text"},
    ),
]

VALUES = [
    Row(
        "all texts missing",
        good(text=[None] * 6),
        r"every text of df is missing or empty.*Choose",
        {"text": "text"},
    ),
    Row(
        "all texts blank",
        good(text=["", " ", "\t", "\n", "\u00a0", ""]),
        r"every text of df is missing or empty.*Choose",
        {"text": "text"},
    ),
    Row(
        "all labels missing",
        good(label=[None] * 6),
        r"label column 'label' of df is empty",
        {"label": "label"},
    ),
    Row(
        "all labels NaN",
        good(label=[float("nan")] * 6),
        r"Give each row a class|Choose another",
        {"label": "label"},
    ),
    Row(
        "no row whole",
        good(text=["a", None] * 3, label=[None, "x"] * 3),
        r"no row of df has both a text and a label",
    ),
    Row("one class", good(label=["pos"] * 6), r"one class only, 'pos'. Classification needs"),
    Row("one class left", good(label=["pos", "", None, "pos", " ", "pos"]), r"one class only"),
    Row(
        "all texts the same",
        good(text=["same"] * 6),
        r"every text of df is the same, 'same'.*choose another column with --text",
    ),
    Row(
        "more classes than rows",
        named([0, 1], list("abcdef")),
        r"2 rows for 6 classes. Give at least a few rows a class",
    ),
    Row(
        "ids as label",
        good(label=list("abcdef")),
        r"looks like text or ids.*--label",
        {"label": "label"},
    ),
    Row(
        "10,000 classes",
        frame(text=["a", "b"] * 10_000, label=list(range(10_000)) * 2),
        r"10,000 different values.*text or ids, not classes. Choose another with --label",
        {"label": "label"},
    ),
    Row(
        "fractions as label",
        good(label=[0.5, 1.0, 2.0, 0.5, 1.0, 2.0]),
        r"holds 0.5 in row 0:.*Take --task text-regression .* or turn them into classes",
        {"label": "label"},
    ),
    Row(
        "infinity as label",
        good(label=[1.0, float("inf")] * 3),
        r"holds inf in row 1",
        {"label": "label"},
    ),
    Row(
        "mixed labels",
        good(label=["1", 1, "2", 2, "1", 1]),
        r"mixes text and numbers \(first number in row 1\).*astype\(str\)",
        {"label": "label"},
    ),
    Row(
        "lists as label",
        good(label=LISTS),
        r"Take --task multi-label-classification where a row has several classes",
        {"label": "label"},
    ),
    Row(
        "a list among labels",
        good(label=["a", "b", ["a"], "a", "b", "a"]),
        r"holds a list in row 2. Give one class a row",
        {"label": "label"},
    ),
    Row("multi-hot label", good(label=[[0, 1]] * 6), r"multi-label", {"label": "label"}),
    Row(
        "dates as label",
        good(label=pd.to_datetime(["2024-01-01", "2024-01-02"] * 3)),
        r"is of type timestamp.*Give one class a row",
        {"label": "label"},
    ),
    Row(
        "label out of range",
        named([0, 1, 2, 0], ["neg", "pos"]),
        r"holds 2 in row 2, but its classes are 0 to 1 \('neg', 'pos'\). Mend or drop",
    ),
    Row("negative label", named([0, 1, -1, 0], ["neg", "pos"]), r"holds -1 in row 2, but"),
    Row(
        "class only in validation",
        {"train": good(), "validation": good(label=["odd"] * 6)},
        r"holds 'odd', which train does not have. Classes: 'neg', 'pos'. Add training rows",
    ),
    Row(
        "validation without label",
        {"train": good(), "validation": good()[["text"]]},
        r"\(validation\) has no column 'label'. Columns: text. Name them as in train",
    ),
    Row(
        "test as validation",
        {"train": good(), "test": good()},
        r"the test split is never used to choose a model. Give a fraction",
        {"validation": "test"},
    ),
    Row(
        "unknown validation split",
        good(),
        r"no split 'held'. Splits: train. A fraction such",
        {"validation": "held"},
    ),
    Row(
        "validation not a fraction",
        good(),
        r"validation=1.5 is not understood: give a fraction",
        {"validation": 1.5},
    ),
    Row("validation is true", good(), r"validation=True is not understood", {"validation": True}),
    Row("missing validation file", good(), r"no file 'held.csv'", {"validation": "held.csv"}),
]

FILES = [
    Row("missing file", "reviews.csv", r"no file 'reviews.csv'. Data files in .*none"),
    Row(
        "near file name",
        [File("reviews.csv", "text,label\na,b\n"), "review.csv"],
        r"no file 'review.csv'. Did you mean 'reviews.csv'\?",
    ),
    Row(
        "near file without suffix",
        [File("d/reviews.csv", "text,label\na,b\n"), "d/reviews"],
        r"no file 'd/reviews'. Did you mean 'd/reviews.csv'\?",
    ),
    Row("missing folder", "./nowhere/a.csv", r"there is no folder 'nowhere'. Check the path"),
    Row(
        "a folder",
        [File("d/a.csv", "text,label\na,b\n"), "./d"],
        r"is a folder. Name a file or a pattern in it, such as 'd/\*.csv' \(1 data files\)",
    ),
    Row("an empty folder", [File("d/a.log", "x"), "./d"], r"is a folder. It holds no csv"),
    Row("a pattern without match", "*.csv", r"no csv, .* file matches '\*.csv'.*Check the pattern"),
    Row("empty file", File("a.csv", ""), r"a.csv is empty \(0 bytes\)"),
    Row("blank file", File("a.csv", "\n \n"), r"a.csv is empty"),
    Row("header only", File("a.csv", "text,label\n"), r"has no rows \(columns: text, label\)"),
    Row(
        "no header",
        File("a.csv", "what a lovely day it was today,1\nno,0\n"),
        r"no header line: .*Add a first line",
    ),
    Row("no header, numbers", File("a.csv", "lovely,1\nno,0\n"), r"Add a first line"),
    Row("no header, words", File("a.csv", "lovely,pos\nno,neg\nyes,pos\n"), r"Add a first line"),
    Row("repeated header", File("a.csv", "text,text,label\na,b,c\n"), r"more than one column"),
    Row(
        "ragged line",
        File("a.csv", "text,label\nfine,1\na, b,0\n"),
        r"a.csv, line 3: 3 fields where the header has 2. Mend the line, or put quotes",
    ),
    Row("ragged after newlines", File("a.csv", 'text,label\n"two\nlines",1\nx\n'), r"line 4: 1 f"),
    Row(
        "open quote",
        File("a.csv", 'text,label\nfine,1\n"open,0\nlast,1\n'),
        r'a.csv, line 3: a quote is opened and not closed.*twice \(""\)',
    ),
    Row("quote closed early", File("a.csv", 'text,label\nfine,1\n"he" said,0\n'), r"line 3: a"),
    Row("not text", File("a.csv", bytes(range(256)) * 4), r"a.csv is not text"),
    Row("half UTF-16", File("a.csv", b"\xff\xfet\x00e\x00\x00\xd8a\x00"), r"damaged at byte"),
    Row(
        "bad JSON line",
        File("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b", label: 2}\n'),
        r"a.jsonl, line 2 column 15: .*Mend the line",
    ),
    Row("cut JSON line", File("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b'), r"line 2 col"),
    Row(
        "JSON lines of lists",
        File("a.jsonl", '{"text": "a", "label": 1}\n["b", 2]\n'),
        r"line 2: a list, not an object. Each line must look like",
    ),
    Row("JSON scalar", File("a.json", "3"), r"not an object|not rows"),
    Row("JSON cut off", File("a.json", '[{"text": "a"},'), r"a.json, line 1 column 16"),
    Row("JSON nested too deep", File("a.json", "[" * 20_000), r"nested too deeply"),
    Row("JSON line nested too deep", File("a.jsonl", '{"a":' * 20_000), r"nested too deeply"),
    Row("damaged parquet", File("a.parquet", b"PAR1" + b"x" * 9), r"is damaged or no parquet file"),
    Row("cut parquet", File("a.parquet", parquet(pa.table({"a": [1]}))[:-20]), r"Write it anew"),
    Row("pickle", File("a.pkl", pickle.dumps({"a": 1})), r"a.pkl is refused: .pkl files can"),
    Row("pickle named csv", File("a.csv", pickle.dumps({"a": 1}, 4)), r"a.csv is not text"),
    Row("script", File("load.py", "print(1)"), r"scripts are never run; give the data itself"),
    Row("weights", File("pytorch_model.bin", b"x"), r"model.bin is refused: .bin files can"),
    Row("spreadsheet", File("a.xlsx", b"PK"), r"pandas.read_excel"),
    Row("plain text", File("./a.txt", "hello"), r"give a table with a header line, as .csv"),
    Row("unknown suffix", File("./a.data", "x"), r"'.data' are not read; save it as csv"),
    Row("gzip bomb", File("a.csv.gz", gz_bomb()), r"unpacks to more than .*which no text does"),
    Row("cut gzip", File("a.csv.gz", gzip.compress(b"text,label\n" * 9)[:-9]), r"is damaged"),
    Row("not gzip", File("a.csv.gz", b"text,label\na,b\n"), r"not really a .gz file"),
    Row("not bz2", File("a.csv.bz2", b"text,label\na,b\n"), r"not really a .bz2 file"),
    Row(
        "two files, two headers",
        [File("a.csv", "text,label\na,b\n"), File("b.csv", "t,l\na,b\n"), "*.csv"],
        r"b.csv has the columns t, l; a.csv has text, label",
    ),
    Row("parquet within gzip", File("a.parquet.gz", b"x"), r"unpack the file first"),
]

CORPUS = [*OBJECTS, *COLUMNS, *VALUES, *FILES]
