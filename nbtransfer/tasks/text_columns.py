"""Recognising the text column and the label column of a table, by name first, then by values."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.columns import spoken
from nbtransfer.errors import DataError, nearest, quoted
from nbtransfer.tasks.class_labels import MAX_CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from nbtransfer.data.tables import Tables

# Names by tier: a column of an earlier tier wins; two of one tier are a question to the user.
_TEXT_NAMES = (
    ("text",),
    (
        "sentence",
        "review",
        "tweet",
        "content",
        "comment",
        "body",
        "message",
        "document",
        "article",
        "post",
        "review_text",
        "review_body",
        "utterance",
        "question",
        "query",
        "input",
        "txt",
        "sms",
        "email",
        "abstract",
        "description",
        "headline",
        "title",
    ),
)
_LABEL_NAMES = (
    ("label", "labels"),
    (
        "sentiment",
        "class",
        "category",
        "target",
        "stars",
        "rating",
        "topic",
        "intent",
        "emotion",
        "polarity",
        "tag",
        "y",
        "gold",
        "class_label",
        "spam",
        "score",
    ),
)
_MAX_GUESSED_CLASSES = 50
_EXAMINED_ROWS = 10_000


# Columns whose texts are read together, the first and the second of a pair.
_PAIRS = {
    "premise": "hypothesis",
    "sentence1": "sentence2",
    "sentence_1": "sentence_2",
    "sentence_a": "sentence_b",
    "question1": "question2",
    "text": "text_pair",
    "text1": "text2",
    "text_1": "text_2",
    "text_a": "text_b",
}


class Columns(NamedTuple):
    """The columns to read.

    Attributes:
        text: the column that holds the text.
        label: the column that holds the class.
        notes: how they were recognised, in words.
        text_pair: the column that holds the second text of each row, if there is one.
    """

    text: str
    label: str
    notes: tuple[str, ...] = ()
    text_pair: str | None = None

    @property
    def roles(self) -> dict[str, str]:
        """The columns by role."""
        pair = {} if self.text_pair is None else {"text_pair": self.text_pair}
        return {"text": self.text, **pair, "label": self.label}


class _Shape(NamedTuple):
    """What the first rows of a column look like."""

    name: str
    is_text: bool
    is_label: bool
    mean_characters: float
    num_distinct: int
    is_flag: bool = False


def choose_columns(
    tables: Tables,
    *,
    text: str | None = None,
    label: str | None = None,
    text_pair: str | None = None,
) -> Columns:
    """Return the text and the label column: the ones named, otherwise the ones recognised.

    Two columns named like a pair (premise and hypothesis, sentence1 and sentence2) are read as one,
    unless `text` names a single one of them.

    Raises:
        DataError: if a named column is missing, or none or several could be meant.
    """
    table = tables.splits["train"]
    problems = [
        _missing(role, given, table.column_names, tables.name)
        for role, given in (("text", text), ("text-pair", text_pair), ("label", label))
        if given is not None and given not in table.column_names
    ]
    if text_pair is not None and text_pair in (text, label):
        problems.append(
            f"--text-pair names {quoted(text_pair)} a second time. Columns: "
            f"{spoken(table.column_names)}. Choose another."
        )
    if text is not None and text == label:
        problems.append(
            f"--text and --label both name {quoted(text)}. Columns: {spoken(table.column_names)}. "
            "Choose two."
        )
    if problems:
        raise DataError(problems)
    sample = _sample(table)
    shapes = [_shape(sample, name) for name in table.column_names]
    listed = f"Columns: {spoken(table.column_names)}."
    notes = []
    no_label = [s for s in shapes if s.name != label]
    if text is None and text_pair is None and (pair := _guess_pair(no_label)):
        text, text_pair = pair
        notes.append(f"text columns: {quoted(text)} and {quoted(text_pair)}, read as a pair")
    shapes = [s for s in shapes if s.name != text_pair]
    if text is None:
        # A column that is certainly the label is no candidate for the text.
        named = _by_name([s for s in shapes if s.is_label], _LABEL_NAMES)
        taken = label or (named[0].name if len(named) == 1 else None)
        found = _guess_text([s for s in shapes if s.name != taken], tables.name, listed, problems)
        if found:
            text, reason = found
            notes.append(f"text column: {quoted(text)} ({reason})")
    if label is None:
        others = [s for s in shapes if s.name != text]
        label = _guess_label(others, tables.name, listed, problems)
        if label is not None:
            notes.append(f"label column: {quoted(label)} ({_num_classes(table.column(label))})")
    if problems or text is None or label is None:
        raise DataError(problems)
    return Columns(text, label, ("; ".join(notes),) if notes else (), text_pair)


def is_label_name(name: str) -> bool:
    """Return whether a column is named as labels are."""
    return any(_plain(name) in tier for tier in _LABEL_NAMES)


def _guess_pair(shapes: Sequence[_Shape]) -> tuple[str, str] | None:
    by_name = {_plain(s.name): s.name for s in shapes if s.is_text}
    found = [(by_name[a], by_name[b]) for a, b in _PAIRS.items() if a in by_name and b in by_name]
    return found[0] if len(found) == 1 else None


def choose_text_column(tables: Tables, text: str | None) -> tuple[str, list[str]]:
    """Return the text column of data without labels, and how it was recognised, in words.

    Raises:
        DataError: if the named column is missing, or none or several could be meant.
    """
    table = tables.splits["train"]
    if text is not None:
        if text not in table.column_names:
            raise DataError(_missing("text", text, table.column_names, tables.name))
        return text, []
    problems: list[str] = []
    sample = _sample(table)
    shapes = [_shape(sample, name) for name in table.column_names]
    listed = f"Columns: {spoken(table.column_names)}."
    found = _guess_text(shapes, tables.name, listed, problems)
    if found is None:
        raise DataError(problems)
    column, reason = found
    return column, [f"text column: {quoted(column)} ({reason})"]


def _missing(role: str, given: str, names: Sequence[str], data: str) -> str:
    parts = [part.strip() for part in given.split(",")]
    if role == "label" and any(part in names for part in parts):  # several, one of them misspelt
        given = next((part for part in parts if part not in names), given)
    close = nearest(given, names)
    hint = f" Did you mean --{role} {_typed(close)}?" if close else f" Choose one with --{role}."
    return f"no column {quoted(given)} in {data}. Columns: {spoken(names)}.{hint}"


def _num_classes(column: pa.ChunkedArray) -> str:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return f"{pc.count_distinct(column).as_py():,} classes"
    except pa.ArrowNotImplementedError:  # lists and the like, which are refused later
        return "by its name"


def _sample(table: pa.Table) -> pa.Table:
    """Return evenly spread rows: data is often sorted by class, so the first ones do not do."""
    import numpy as np

    if table.num_rows <= _EXAMINED_ROWS:
        return table
    return table.take(np.linspace(0, table.num_rows - 1, _EXAMINED_ROWS).astype(np.int64))


def _shape(table: pa.Table, name: str) -> _Shape:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column(name)
    if column.null_count:
        column = column.drop_null()
    kind = column.type
    if not len(column):
        return _Shape(name, False, False, 0.0, 0)
    if pa.types.is_string(kind):
        num_distinct = pc.count_distinct(column).as_py()
        characters = pc.mean(pc.utf8_length(column)).as_py()
        return _Shape(name, True, num_distinct <= MAX_CLASSES, characters, num_distinct)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        found = pc.unique(column).to_pylist()
        return _Shape(name, False, len(found) <= MAX_CLASSES, 0.0, len(found), {0, 1} >= {*found})
    if pa.types.is_floating(kind):
        whole = pc.all(pc.equal(pc.floor(column), column)).as_py()
        found = pc.unique(column).to_pylist()
        is_label = bool(whole) and len(found) <= MAX_CLASSES
        return _Shape(name, False, is_label, 0.0, len(found), {0, 1} >= {*found})
    return _Shape(name, False, False, 0.0, 0)


def _by_name(shapes: Sequence[_Shape], tiers: Sequence[Sequence[str]]) -> list[_Shape]:
    for tier in tiers:
        found = [s for s in shapes if _plain(s.name) in tier]
        if found:
            return found
    return []


def _plain(name: str) -> str:
    return name.strip().casefold().replace("-", "_").replace(" ", "_").replace(".", "_")


def _guess_text(
    shapes: Sequence[_Shape], data: str, listed: str, problems: list[str]
) -> tuple[str, str] | None:
    named = _by_name([s for s in shapes if s.is_text], _TEXT_NAMES)
    if len(named) == 1:
        return named[0].name, "by its name"
    # A column named like a label is no text, unless nothing else is.
    texts = (
        named
        or [s for s in shapes if s.is_text and not _by_name([s], _LABEL_NAMES)]
        or [s for s in shapes if s.is_text]
    )
    texts = sorted(texts, key=lambda s: -s.mean_characters)
    if not texts:
        problems.append(
            f"no text column in {data}: none of its columns holds text. {listed} Give one of texts."
        )
        return None
    if len(texts) == 1:
        return texts[0].name, "the only column of text"
    if not named and texts[0].mean_characters >= 2 * texts[1].mean_characters:
        return texts[0].name, "longest texts"
    problems.append(
        f"{data} has {len(texts)} columns that could be the text: {_names(texts)}. Choose one: "
        f"--text {_typed(texts[0].name)}"
    )
    return None


def _guess_label(
    shapes: Sequence[_Shape], data: str, listed: str, problems: list[str]
) -> str | None:
    named = _by_name([s for s in shapes if s.is_label], _LABEL_NAMES)
    if not named:
        named = [s for s in shapes if s.is_label and _plain(s.name).endswith(("_label", "_class"))]
    labels = named or [
        s for s in shapes if s.is_label and 1 < s.num_distinct <= _MAX_GUESSED_CLASSES
    ]
    if not labels:
        # A single class, or far too many: a name says more than the values do.
        labels = _by_name(shapes, _LABEL_NAMES)
    if len(labels) == 1:
        return labels[0].name
    if labels:
        all_of_them = ""
        if all(shape.is_flag for shape in labels):
            together = _typed(",".join(shape.name for shape in labels))
            all_of_them = (
                f", or all, as classes of which a row may have several: --label {together}"
            )
        problems.append(
            f"{data} has {len(labels)} columns that could be the label: {_names(labels)}. Choose "
            f"one: --label {_typed(labels[0].name)}{all_of_them}"
        )
    else:
        problems.append(f"no label column in {data}. {listed} Name it with --label.")
    return None


def _names(shapes: Sequence[_Shape]) -> str:
    return spoken([s.name for s in shapes])


def _typed(name: str) -> str:
    """Return a column's name as it is typed in a magic's line."""
    return shlex.quote(name) if name.isprintable() else repr(name)
