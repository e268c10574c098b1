"""Tests of nbtransfer.data.corpus: text files, folders and lists become documents."""

from __future__ import annotations

import pandas as pd
import pytest

from nbtransfer.data.corpus import load_corpus
from nbtransfer.errors import DataError


def texts(data, **options):
    return load_corpus(data, **options).splits["train"]["text"].to_pylist()


def test_a_file_is_cut_at_its_blank_lines(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("one\nstill one\n\n\ntwo\n   \nthree\n")
    tables = load_corpus(str(file))
    assert texts(str(file)) == ["one\nstill one", "two", "three"]
    assert tables.notes == ("a.txt: 3 documents, cut at blank lines",)


def test_without_blank_lines_each_line_is_a_document(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\nthree")
    assert texts(tmp_path / "a.txt") == ["one", "two", "three"]


def test_one_line_is_one_document(tmp_path):
    (tmp_path / "a.txt").write_text("all there is")
    assert texts(tmp_path / "a.txt") == ["all there is"]


def test_each_of_several_files_is_a_document(tmp_path):
    for name in ("b.md", "a.txt", "deep/c.rst"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"first of {name}\n\nsecond")
    (tmp_path / "table.csv").write_text("text\nx\n")
    found = load_corpus(tmp_path)
    assert found.splits["train"].num_rows == 3
    assert found.notes == ("3 text files: each is one document",)
    assert texts(str(tmp_path / "*.txt")) == ["first of a.txt", "second"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_other_encodings_are_read(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes("naïve café".encode(encoding))
    assert texts(tmp_path / "a.txt") == ["naïve café"]


def test_texts_come_from_lists_series_and_tables():
    assert texts(["a", "b"]) == ["a", "b"]
    assert texts(("a", "b")) == ["a", "b"]
    assert texts(pd.Series(["a", "b"])) == ["a", "b"]
    assert texts(pd.DataFrame({"text": ["a", "b"]})) == ["a", "b"]
    assert texts([{"text": "a"}, {"text": "b"}]) == ["a", "b"]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda f: (f / "a.txt").write_text("  \n \n"), "a.txt holds no text. Give some."),
        (lambda f: (f / "a.txt").write_bytes(b"ab\0cd"), "a.txt is no text file"),
        (lambda f: None, "no file 'a.txt' in .* Check the path."),
        (lambda f: (f / "b.txt").write_text("x"), "Did you mean 'b.txt'?"),
    ],
)
def test_a_file_without_text_is_refused_in_words(tmp_path, write, message):
    write(tmp_path)
    with pytest.raises(DataError, match=message):
        load_corpus(tmp_path / "a.txt")


def test_a_folder_without_text_files_is_refused(tmp_path):
    (tmp_path / "code.py").write_text("x")
    with pytest.raises(DataError, match="folder without text files"):
        load_corpus(tmp_path)
