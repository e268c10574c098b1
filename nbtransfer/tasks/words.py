"""Splitting raw text into words: where each begins and ends.

Words are what stands between spaces, without the punctuation around it, each mark of which is a
word of its own; marks inside stay, so that addresses, `e-mail`, `U.S` and `3.5` are one word, as in
most tagged corpora. `'s` is a word; so is each Chinese or Japanese character, which no space
divides.
"""

from __future__ import annotations

import re
import unicodedata

_CHUNK = re.compile(r"\S+")
_POSSESSIVE = re.compile(r"['’][sS]$")
_IDEOGRAPH = (
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"  # kana and Han
)
_PIECE = re.compile(rf"[{_IDEOGRAPH}]|[–—…]|[^{_IDEOGRAPH}–—…]+")
_HANDLE = "@#"  # belong to the word that follows


def split_words(text: str) -> list[tuple[int, int]]:
    """Return the words' places in `text`: where each begins, and where the next thing does."""
    return [word for chunk in _CHUNK.finditer(text) for word in _words(text, *chunk.span())]


def _words(text: str, start: int, end: int) -> list[tuple[int, int]]:
    before, after = [], []
    while start < end and _is_mark(text[start]) and not _is_handle(text, start, end):
        before.append((start, start + 1))
        start += 1
    while start < end and _is_mark(text[end - 1]):
        after.append((end - 1, end))
        end -= 1
    inside: list[tuple[int, int]] = []
    if start < end:
        tail = _POSSESSIVE.search(text, start, end)
        split = tail.start() if tail and tail.start() > start else end
        inside = [match.span() for match in _PIECE.finditer(text, start, split)]
        inside += [(split, end)] * (split < end)
    return [*before, *inside, *reversed(after)]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def _is_handle(text: str, place: int, end: int) -> bool:
    return text[place] in _HANDLE and place + 1 < end and text[place + 1].isalnum()


def widen(words: list[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """Return the first word and the word after the last that a stretch of text touches."""
    touched = [i for i, (a, b) in enumerate(words) if a < end and b > start]
    return (touched[0], touched[-1] + 1) if touched else (0, 0)
