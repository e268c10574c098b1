"""CoNLL files, as they come."""

from __future__ import annotations

import pytest

from nbtransfer.data.conll_files import looks_like_conll, read_conll
from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError

PLAIN = "Ada\tB-PER\nlives\tO\n\nLeeds\tB-LOC\n"


def rows(text: str, name: str = "x.conll"):
    table, notes = read_conll(text.encode(), name)
    return list(zip(table["tokens"].to_pylist(), table["tags"].to_pylist(), strict=True)), notes


SENTENCES = [(["Ada", "lives"], ["B-PER", "O"]), (["Leeds"], ["B-LOC"])]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("\t", " "),
        PLAIN.replace("\n", "\r\n"),
        "\n\n" + PLAIN + "\n\n",
        PLAIN.replace("\n\n", "\n\t\n"),
        "-DOCSTART- -X- O O\n\nAda NNP B-NP B-PER\nlives VBZ B-VP O\n\nLeeds NNP B-NP B-LOC",
        "# id 1\tdomain=en\tx\nAda\tB-PER\nlives\tO\n\n# id 2\tdomain=en\tx\nLeeds\tB-LOC\n",
        "\ufeff" + PLAIN,
    ],
    ids=["tabs", "spaces", "CRLF", "blank ends", "tab in blank", "CoNLL-2003", "comments", "BOM"],
)
def test_words_and_last_columns_are_read(text):
    assert rows(text)[0] == SENTENCES


def test_what_was_read_is_noted():
    _, notes = rows("-DOCSTART- O\n\n" + PLAIN.replace("\t", " "))
    assert "read as CoNLL: 2 sentences, words in column 1, tags in column 2" in notes
    assert "1 line -DOCSTART- left out" in notes


def test_a_hash_may_be_a_word_and_spaces_that_do_not_break_stay_inside():
    assert rows("# O\na\u00a0b O\n\n#1 B-X\n")[0] == [
        (["#", "a\u00a0b"], ["O", "O"]),
        (["#1"], ["B-X"]),
    ]


def test_a_ragged_line_is_named():
    with pytest.raises(DataError, match=r"x\.conll: line 2 has 1 column instead of 2 \('lives'\)"):
        rows("Ada\tB-PER\nlives\n\nLeeds\tB-LOC\n")


def test_one_column_is_refused():
    with pytest.raises(DataError, match=r"x\.conll has no column of tags"):
        rows("Ada\nlives\n")


def test_text_files_are_conll_or_refused(tmp_path):
    (tmp_path / "a.txt").write_text(PLAIN)
    (tmp_path / "b.txt").write_text("Ada lives here.\nShe likes it.\n")
    assert load_tables(str(tmp_path / "a.txt")).splits["train"].num_rows == 2
    with pytest.raises(DataError, match="a word and its tag a line"):
        load_tables(str(tmp_path / "b.txt"))
    assert not looks_like_conll(b"")


def test_files_named_after_splits_become_splits(tmp_path):
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.conll").write_text(PLAIN)
    assert list(load_tables(str(tmp_path / "*.conll")).splits) == ["train", "validation", "test"]
