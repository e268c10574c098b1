import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtransfer.errors import SpecError
from nbtransfer.magics.words import Word, split_line


def texts(line, cell=None):
    return [word.text for word in split_line(line, cell)]


def test_quotes_are_taken_off_and_remembered():
    assert split_line("""run "a text" 'b' c""") == [
        Word("run"),
        Word("a text", True),
        Word("b", True),
        Word("c"),
    ]


def test_a_quote_inside_a_word_leaves_it_a_word():
    assert split_line("""df["my col"]""") == [Word("df[my col]")]


def test_an_empty_text_is_a_word():
    assert split_line('""') == [Word("", True)]


def test_comments_are_for_the_body_only():
    assert texts("a #b") == ["a", "#b"]
    assert texts("a", "--x 1 # why\n# all of it\n--y '#2' c#d") == [
        *("a", "--x", "1", "--y", "#2", "c#d"),
    ]


def test_a_quote_in_a_comment_is_not_unbalanced_when_it_stands_alone():
    assert texts("", "--x 1\n# as the paper's authors do\n--y 2") == ["--x", "1", "--y", "2"]


def test_a_backslash_at_the_end_of_a_line_and_a_final_semicolon_are_dropped():
    assert texts("a b;", "--x 1 \\\n--y 2") == ["a", "b", "--x", "1", "--y", "2"]


@pytest.mark.parametrize(
    ("line", "cell", "place"),
    [("a 'b", None, "the line"), ("a", '--x 1\n--y "2', "line 2 of the cell")],
)
def test_unbalanced_quotes_name_their_line(line, cell, place):
    with pytest.raises(SpecError, match=f"the quotes in {place} are not balanced"):
        split_line(line, cell)


@given(st.lists(st.text(min_size=1), max_size=6))
def test_what_shlex_quotes_comes_back_whole(words):
    line = " ".join(map(shlex.quote, words))
    assert texts(f"{line} end")[:-1] == words
