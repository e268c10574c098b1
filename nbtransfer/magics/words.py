"""Splits magic lines and cell bodies into words as a shell would, remembering what was quoted."""

from __future__ import annotations

import io
import shlex
from typing import NamedTuple

from nbtransfer.errors import SpecError


class Word(NamedTuple):
    """One word; what begins with a quote is text as it stands, never a name or an option."""

    text: str
    is_quoted: bool = False


def split_line(line: str, cell: str | None = None) -> list[Word]:
    """Return the words of a magic's line and, after them, of its cell body.

    In the body `#` begins a comment, and a backslash at a line's end is dropped.

    Raises:
        SpecError: if quotes are not balanced.
    """
    words = _split(line.strip().removesuffix(";"), "the line", is_body=False)
    for number, text in enumerate((cell or "").splitlines(), 1):
        words += _split(
            text.rstrip().removesuffix("\\"), f"line {number} of the cell", is_body=True
        )
    return words


def _split(text: str, place: str, *, is_body: bool) -> list[Word]:
    stream = io.StringIO(text)
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[Word] = []
    position = 0
    while True:
        try:
            token = lexer.get_token()
        except ValueError:
            raise SpecError(
                f"the quotes in {place} are not balanced. Put a text that holds ' into double "
                "quotes."
            ) from None
        if token is None:
            return words
        # The lexer reads a word and the blank after it: what it has read begins with the word.
        end = stream.tell()
        first = text[position:end].lstrip()[:1]
        position = end
        if is_body and first == "#":
            return words
        words.append(Word(token, first in ("'", '"')))
