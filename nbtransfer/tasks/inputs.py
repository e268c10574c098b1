"""Texts in and out: prepared rows as tokens, and what a user wants answered as prepared rows."""

# Shapes: N rows.
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbtransfer.data.encoding import Encoding, encode_texts
from nbtransfer.errors import DataError, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.inputs import Wanted
    from nbtransfer.tasks.task import Task, Tokenizer

TEXT_COLUMNS = ("text", "text_pair")
_ASKED = (*TEXT_COLUMNS, "question", "context", "source")


def encode_rows(
    tokenizer: Tokenizer, table: pa.Table, max_length: int, targets: np.ndarray | None
) -> Encoding:
    """Return the texts (or pairs of texts) of prepared rows as tokens, one encoded row each."""
    import numpy as np

    pairs = table["text_pair"] if "text_pair" in table.column_names else None
    tokens, segments = encode_texts(tokenizer, table["text"], max_length, pairs)
    return Encoding(
        tokens=tokens, segments=segments, targets=targets, sources=np.arange(table.num_rows)
    )


def read_texts(table: pa.Table) -> list[pa.ChunkedArray]:
    """Return the column of texts, and that of second texts where there is one."""
    return [table[name] for name in TEXT_COLUMNS if name in table.column_names]


def wanted_of(task: Task, card: DataCard) -> Wanted:
    """Return what a model of the task reads of a row that it is asked about.

    Args:
        task: what the model was trained for.
        card: the data it was trained on, whose columns are looked for first.
    """
    from nbtransfer.data.inputs import Wanted

    names = {role: tuple(dict.fromkeys((card.roles.get(role, role), role))) for role in task.roles}
    if "tokens" in names:  # words and running text are read alike
        first, other = ("tokens", "text") if "tokens" in card.roles else ("text", "tokens")
        return Wanted((first,), (tuple(dict.fromkeys((*names[first], *names[other]))),))
    roles = [r for r in _ASKED if r in names and (r != "text_pair" or r in card.roles)]
    return Wanted(tuple(roles), tuple(names[role] for role in roles), nested="source" in roles)


def text_rows(values: Sequence[object], card: DataCard, first: int = 0) -> pa.Table:
    """Return what a user gives as texts, or pairs of them, as a table of text (and text_pair).

    Args:
        values: texts; where the model reads pairs, tuples of two texts or dicts with the names of
            the run's columns.
        card: the data the model was trained on.
        first: the number of the first of them among all that are given.

    Raises:
        DataError: if a value is not a text, or not a pair where the model reads pairs.
    """
    import pyarrow as pa

    roles = [role for role in TEXT_COLUMNS if role in card.roles or role == "text"]
    rows = [_texts_of(value, i, roles, card) for i, value in enumerate(values, first)]
    columns = zip(*rows, strict=True) if rows else [[] for _ in roles]
    return pa.table(
        {role: pa.array(column, pa.string()) for role, column in zip(roles, columns, strict=True)}
    )


def _texts_of(value: object, i: int, roles: list[str], card: DataCard) -> list[str]:
    names = [card.roles.get(role, role) for role in roles]
    found: list[object] = [value]
    if isinstance(value, Mapping):
        found = [value.get(role, value.get(name)) for role, name in zip(roles, names, strict=True)]
    elif isinstance(value, (tuple, list)):
        found = list(value)
    if len(found) == len(roles) and all(isinstance(text, str) for text in found):
        # Broken Unicode becomes question marks: the tokenizer takes none.
        return [text.encode("utf-8", "replace").decode() for text in map(str, found)]
    said = f"input {i} is {quoted(value)}, a {type(value).__name__}."
    if len(roles) == 1:
        raise DataError(f'{said} Give texts: nt.predict(run, ["first text", "second text"]).')
    raise DataError(
        f"{said} This model reads pairs of texts ({' and '.join(map(quoted, names))}): "
        'nt.predict(run, [("first text", "second text")]).'
    )
