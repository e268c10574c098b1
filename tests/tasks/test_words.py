"""Splitting raw text into words."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtransfer.tasks.words import split_words, widen

CASES = [
    ("Ada lives in Leeds.", "Ada lives in Leeds ."),
    ('"Yes," (she) said!', '" Yes , " ( she ) said !'),
    ("the U.S. and e-mail", "the U.S . and e-mail"),
    ("Kim's dogs' bowl", "Kim 's dogs ' bowl"),
    ("see http://a.b/c?d=1, ok", "see http://a.b/c?d=1 , ok"),
    ("@ada likes #paris", "@ada likes #paris"),
    ("3.5 % of $2", "3.5 % of $ 2"),
    ("Lyon–Turin… soon", "Lyon – Turin … soon"),
    ("東京タワー is", "東 京 タ ワ ー is"),
    ("हिन्दी भाषा", "हिन्दी भाषा"),
    ("no\u00a0break\tand\nline", "no break and line"),
    ("", ""),
    ("  \n", ""),
]


@pytest.mark.parametrize("text,words", CASES, ids=[c[1][:20] or "nothing" for c in CASES])
def test_words_are_split_as_tagged_corpora_split_them(text, words):
    assert [text[a:b] for a, b in split_words(text)] == words.split()


@given(st.text(max_size=60))
def test_words_are_in_order_hold_no_space_and_leave_nothing_but_space(text):
    words = split_words(text)
    assert all(a < b for a, b in words)
    assert all(b <= c for (_, b), (c, _) in itertools.pairwise(words))
    assert "".join(text[a:b] for a, b in words) == "".join(text.split())


def test_a_stretch_is_widened_to_the_words_it_touches():
    words = split_words("Berliners love Kant")
    assert widen(words, 0, 6) == (0, 1)
    assert widen(words, 4, 12) == (0, 2)
    assert widen(words, 9, 10) == (0, 0)
