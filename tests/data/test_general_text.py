"""Tests of nbtransfer.data.general_text: enough of it, nothing twice, nothing odd."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from nbtransfer.data.general_text import general_paragraphs

_REPEATED = 6  # words in a row that no two paragraphs may share


def test_there_are_enough_short_paragraphs():
    paragraphs = general_paragraphs()
    assert 60 <= len(paragraphs) <= 100
    assert all(30 <= len(text.split()) <= 60 for text in paragraphs)


def test_no_two_paragraphs_say_the_same():
    def stretches(text):
        words = text.lower().split()
        return {tuple(words[i : i + _REPEATED]) for i in range(len(words) - _REPEATED + 1)}

    found = [stretches(text) for text in general_paragraphs()]
    assert not [pair for pair in combinations(found, 2) if pair[0] & pair[1]]
    starts = Counter(" ".join(text.split()[:4]) for text in general_paragraphs())
    assert max(starts.values()) == 1


def test_they_are_plain_sentences():
    for text in general_paragraphs():
        assert text.isascii() and text[0].isupper() and text.endswith(".")
        assert "  " not in text and "\n" not in text
