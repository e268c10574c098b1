"""What a model is asked about, whatever it is given as."""

from __future__ import annotations

import gzip
import itertools
from collections import deque
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nbtransfer.data.inputs import Wanted, names_data, open_inputs
from nbtransfer.errors import DataError

ONE = Wanted(("text",), (("review", "text"),))
TWO = Wanted(("question", "context"), (("asked", "question"), ("story", "context")))
TEXTS = ["good", "bad", "so-so"]
COLUMNS = {"id": [1, 2, 3], "review": TEXTS}
ROWS = [{"id": i, "review": text} for i, text in enumerate(TEXTS)]


def rows_of(data, wanted=ONE, **options):
    given = open_inputs(data, wanted, **options)
    return list(given.begin())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class OnlyItems:
    """What torch calls a dataset: a length and items, no iterator."""

    def __len__(self):
        return len(TEXTS)

    def __getitem__(self, place):
        return TEXTS[place]


class Stream:
    """As a streaming dataset: rows without a number, and perhaps from far away."""

    column_names = None

    def __iter__(self):
        return iter(ROWS)


@pytest.mark.parametrize(
    "data",
    [
        TEXTS,
        deque(TEXTS),
        np.array(TEXTS),
        pd.Series(TEXTS),
        pd.Series(TEXTS, dtype="category"),
        pa.array(TEXTS),
        pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
        ROWS,
        pd.DataFrame(COLUMNS),
        pd.DataFrame({"text": [1, 2, 3], "review": TEXTS}),
        pa.table(COLUMNS),
        pa.table({"review": pa.array(TEXTS).dictionary_encode()}),
        datasets.Dataset.from_dict(COLUMNS),
        datasets.Dataset.from_dict(COLUMNS)["review"],
        datasets.Dataset.from_dict(COLUMNS).with_format("numpy"),
        datasets.DatasetDict(
            train=datasets.Dataset.from_dict({"review": ["other"]}),
            test=datasets.Dataset.from_dict(COLUMNS),
        ),
        {"train": pd.DataFrame({"review": ["other"]}), "dev": pd.DataFrame(COLUMNS)},
        OnlyItems(),
    ],
    ids=lambda data: type(data).__name__,
)
def test_every_kind_of_rows_gives_its_texts_as_often_as_wanted(data):
    given = open_inputs(data, ONE)
    assert given.repeats and not given.said
    assert list(given.begin()) == list(given.begin()) == TEXTS
    assert given.first(2) == TEXTS[:2]


@pytest.mark.parametrize(
    "data",
    [
        (text for text in TEXTS),
        iter(ROWS),
        Stream(),
        map(str.strip, TEXTS),
    ],
    ids=lambda data: type(data).__name__,
)
def test_a_stream_is_gone_through_once_and_its_first_rows_are_not_lost(data):
    given = open_inputs(data, ONE)
    assert not given.repeats
    assert given.first(2) == TEXTS[:2]
    assert list(given.begin()) == TEXTS


@pytest.mark.parametrize("data", ["a text", {"review": "a text"}, {"text": "a text"}])
def test_one_row_is_one_row(data):
    assert rows_of(data) == ["a text"]


def test_a_pair_is_one_row():
    assert rows_of(("first", "second")) == [("first", "second")]


@pytest.mark.parametrize(
    "data",
    [
        {"asked": "who?", "story": "Ann."},
        [{"question": "who?", "context": "Ann.", "id": 3}],
        pd.DataFrame({"id": [1], "asked": ["who?"], "context": ["Ann."]}),
        ({"story": text, "asked": "who?"} for text in ["Ann."]),
    ],
    ids=lambda data: type(data).__name__,
)
def test_several_columns_come_by_role_whatever_they_are_called(data):
    assert rows_of(data, TWO) == [{"question": "who?", "context": "Ann."}]


ENGLISH = Wanted(("source",), (("en", "source"),), nested=True)
SIDES = [{"en": "good", "fr": "bon"}, {"en": "bad", "fr": "mauvais"}]
NESTED = [{"id": i, "translation": sides} for i, sides in enumerate(SIDES)]


@pytest.mark.parametrize(
    "data",
    [
        NESTED,
        [{"translation": {"en": sides["en"]}} for sides in SIDES],
        (row for row in NESTED),
        pd.DataFrame(NESTED),
        pd.DataFrame(NESTED)["translation"],
        pa.Table.from_pylist(NESTED),
        datasets.Dataset.from_list(NESTED),
        datasets.Dataset.from_list(NESTED).to_iterable_dataset(),
        datasets.Dataset.from_list(
            NESTED,
            features=datasets.Features(
                id=datasets.Value("int64"), translation=datasets.Translation(["en", "fr"])
            ),
        ),
        pd.DataFrame(SIDES).assign(translation=[{"en": "taken"}] * 2),
    ],
    ids=lambda data: type(data).__name__,
)
def test_of_a_column_of_translations_the_source_language_is_read(data):
    assert rows_of(data, ENGLISH) == ["good", "bad"]


@pytest.mark.parametrize("name", ["sides.jsonl", "sides.json", "sides.parquet"])
def test_of_a_column_of_translations_in_a_file_the_source_language_is_read(folder, name):
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(NESTED), name)
    else:
        pd.DataFrame(NESTED).to_json(name, orient="records", lines=name.endswith("jsonl"))
    given = open_inputs(name, ENGLISH)
    assert list(given.begin()) == ["good", "bad"]
    assert given.said == f"asked about: column 'en' of {name}"


@pytest.mark.parametrize("kind", [list, pd.DataFrame, datasets.Dataset.from_list])
def test_translations_without_the_source_language_are_refused_with_those_there_are(kind):
    german = [{"translation": {"de": "gut", "fr": "bon"}}]
    with pytest.raises(DataError) as caught:
        rows_of(kind(german), ENGLISH)
    assert str(caught.value) == (
        "no column 'en' in the inputs. Columns: translation, de, fr. Name the one to read: "
        "--column NAME"
    )
    assert rows_of(kind(german), ENGLISH, column="de") == ["gut"]


def test_another_column_is_read_where_one_is_named():
    frame = pd.DataFrame({"review": ["a"], "body": ["b"], 7: ["c"]})
    assert rows_of(frame, column="body") == ["b"]
    assert rows_of(frame, column="7") == ["c"]
    assert rows_of([{"review": "a", "body": "b"}], column="body") == ["b"]


def test_no_more_of_a_stream_is_read_than_is_asked_for():
    drawn = itertools.count()
    given = open_inputs((f"text {i}" for i in drawn), ONE)
    assert next(drawn) == 0  # nothing yet
    parts = given.parts(10)
    assert len(next(parts)) == len(next(parts)) == 10
    assert next(drawn) == 21


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "the inputs is None, which holds no texts. Give texts, as in nt.predict(run"),
        (5, "the inputs is 5, an int, which holds no texts"),
        (2.5, "is 2.5, a float"),
        (b"a text", "is b'a text', a bytes"),
        (object, "a type, which holds no texts"),
        (np.array([["a", "b"]]), "the inputs is an array of shape (1, 2): each text is one value"),
        (np.array("a"), "an array of shape ()"),
        (pd.DataFrame({"revue": ["a"]}), "no column 'review' in the inputs. Columns: revue. Did"),
        (pd.DataFrame({"n": [1]}), "Columns: n. Name the one to read: --column NAME"),
        ([{"body": "a"}], "no column 'review' in the inputs. Columns: body"),
        (({"a review": i} for i in "a"), "Did you mean --column 'a review'?"),
        (pd.DataFrame([["a", "b"]], columns=["review", "review"]), "more than one column named"),
        ({"a": pa.table(COLUMNS)}, "no split test, validation or train. Give one of: a."),
    ],
    ids=[
        *("nothing", "int", "float", "bytes", "type", "matrix", "scalar", "frame", "numbers"),
        *("dicts", "stream", "twins", "splits"),
    ],
)
def test_what_holds_no_texts_is_refused_in_words(data, says):
    with pytest.raises(DataError) as caught:
        rows_of(data)
    assert says in str(caught.value)


def test_columns_that_do_not_fit_are_listed_with_what_to_do():
    with pytest.raises(DataError) as caught:
        rows_of(pd.DataFrame({"asked": ["a"], "stories": ["b"]}), TWO)
    assert str(caught.value) == (
        "no column 'story' in the inputs. Columns: asked, stories. Is it 'stories'? This model "
        "reads 'asked' and 'story': rename the columns that hold them."
    )
    with pytest.raises(DataError, match="--column names one column, and this model reads question"):
        rows_of(pd.DataFrame({"asked": ["a"], "story": ["b"]}), TWO, column="asked")
    with pytest.raises(DataError, match="--column a is given, and the inputs are no table"):
        rows_of(["a"], column="a")


@pytest.mark.parametrize("as_path", [False, True])
@pytest.mark.parametrize("name", ["films.csv", "films.tsv", "films.jsonl", "films.parquet"])
def test_a_file_is_read_by_its_name(folder, name, as_path):
    frame = pd.DataFrame(COLUMNS)
    if name.endswith("parquet"):
        frame.to_parquet(name)
    elif name.endswith("jsonl"):
        frame.to_json(name, orient="records", lines=True)
    else:
        frame.to_csv(name, sep="\t" if name.endswith("tsv") else ",", index=False)
    given = open_inputs(Path(name) if as_path else name, ONE)
    assert list(given.begin()) == list(given.begin()) == TEXTS
    assert given.said == f"asked about: column 'review' of {name}"
    assert given.paths == (Path(name),)


def test_what_cannot_be_read_row_by_row_is_read_whole(folder):
    Path("films.json").write_text('[{"review": "good"}, {"review": "bad"}]')
    assert rows_of("films.json") == ["good", "bad"]
    Path("columns.jsonl").write_text('{"review": ["good", "bad"]}')
    assert rows_of("columns.jsonl") == ["good", "bad"]


def test_files_of_a_pattern_follow_one_another_and_splits_are_chosen(folder):
    for i, text in enumerate(TEXTS):
        pd.DataFrame({"review": [text]}).to_csv(f"part-{i}.csv", index=False)
    assert rows_of("part-*.csv") == TEXTS
    for name in ("train", "dev"):
        pd.DataFrame({"review": [name]}).to_csv(f"{name}.csv", index=False)
    assert rows_of("[td]*.csv") == ["dev"]


def test_demo_data_are_read_by_their_name_and_the_split_is_said():
    given = open_inputs("demo:entities", Wanted(("tokens",), (("tokens", "text"),)))
    assert len(given.first(3)) == 3
    assert given.said == "asked about: column 'text' of demo:entities (test)"


def test_a_list_holds_texts_whatever_they_are_called(folder):
    pd.DataFrame(COLUMNS).to_csv("films.csv")
    assert rows_of(["films.csv", "demo:tweets"]) == ["films.csv", "demo:tweets"]


@pytest.mark.parametrize(
    "text",
    [
        "reviews.csv",
        "data/x.parquet",
        "a.jsonl",
        "b.TSV",
        "x.csv.gz",
        "demo:tweets",
        "demo:nothing",
    ],
)
def test_what_is_called_like_data_is_no_text(folder, text):
    assert names_data(text)


@pytest.mark.parametrize(
    "text",
    [
        "a good film",
        "see reviews.csv",
        "I sent you reviews.csv",
        "v1.2",
        "and/or",
        "",
        "~nobody",
        "~nobody.csv",
        "demo: hello",
        "demo:tweets are fun",
        "x" * 5000 + ".csv",
        "a\n.csv",
        "nul\0.csv",
        "imdb",
    ],
    ids=lambda text: text[:20],
)
def test_a_text_is_a_text(folder, text):
    assert not names_data(text)


def test_a_file_with_a_blank_in_its_name_is_read_where_it_exists(folder):
    assert not names_data("my films.csv")
    pd.DataFrame(COLUMNS).to_csv("my films.csv")
    assert rows_of("my films.csv") == TEXTS


def test_a_missing_file_is_named_with_the_nearest_and_what_to_do_if_it_is_a_text(folder):
    Path("films.csv").write_text("review\na\n")
    with pytest.raises(DataError) as caught:
        rows_of("fims.csv")
    assert str(caught.value) == (
        "no file 'fims.csv'. Did you mean 'films.csv'? To ask about this very text, put it in a "
        "list."
    )


def test_existing_files_that_hold_no_data_are_refused_and_not_classified(folder):
    Path("book.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match="read it first"):
        rows_of("book.xlsx")
    Path("model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(DataError, match="can run code"):
        rows_of("model.pkl")


def test_a_damaged_packed_file_is_named(folder):
    whole = gzip.compress(b"review\n" + b"good\n" * 50_000, compresslevel=0)
    Path("a.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a\.csv\.gz is damaged or not really a \.gz"):
        rows_of("a.csv.gz")


def test_columns_are_looked_for_in_every_file_of_a_pattern(folder):
    pq.write_table(pa.table({"review": ["a"]}), "part-0.parquet")
    pq.write_table(pa.table({"text": ["b"]}), "part-1.parquet")
    pq.write_table(pa.table({"body": ["c"]}), "part-2.parquet")
    assert rows_of("part-[01].parquet") == ["a", "b"]
    with pytest.raises(DataError, match=r"no column 'review' in part-2\.parquet. Columns: body"):
        rows_of("part-*.parquet")
