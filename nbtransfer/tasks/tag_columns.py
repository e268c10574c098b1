"""Recognising the columns of entities: words and tags, or texts and the places marked in them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.columns import column_facts, frame_name, spoken
from nbtransfer.errors import DataError, nearest, quoted
from nbtransfer.tasks.text_columns import is_label_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from nbtransfer.data.tables import Tables

_NAMES: dict[str, tuple[str, ...]] = {
    "tokens": ("tokens", "words", "token", "word"),
    "tags": ("ner_tags", "tags", "ner_tag", "ner", "iob_tags", "bio_tags", "entity_tags", "labels"),
    "text": ("text", "sentence", "content", "document", "sentences"),
    "spans": ("spans", "entities", "annotations", "ents", "labels", "label", "span"),
}
START_KEYS = ("start", "begin", "start_offset", "start_char")
END_KEYS = ("end", "stop", "end_offset", "end_char")
KIND_KEYS = ("label", "type", "entity_type", "entity", "tag", "labels", "entity_group")


class Columns(NamedTuple):
    """The columns to read: of one pair, words and tags, or of the other, texts and spans.

    Attributes:
        words: the column of words, or of texts.
        tags: the column of their tags, or of the spans.
        are_spans: whether it is the other pair.
        notes: how they were recognised, in words.
    """

    words: str
    tags: str
    are_spans: bool
    notes: tuple[str, ...] = ()

    @property
    def roles(self) -> dict[str, str]:
        """The columns by role."""
        first, second = ("text", "spans") if self.are_spans else ("tokens", "tags")
        return {first: self.words, second: self.tags}


def looks_tagged(table: pa.Table) -> bool:
    """Return whether a table has a column of words and one of tags, or of texts and of spans."""
    found = {role: _candidates(table, role) for role in _NAMES}
    tokens = [name for name in found["tokens"] if _is_named(name, "tokens")]
    tags = [name for name in found["tags"] if _is_named(name, "tags")]
    return bool(tokens and tags) or bool(found["text"] and found["spans"])


def choose_columns(tables: Tables, columns: Mapping[str, str | None]) -> Columns:
    """Return the columns: the ones named, otherwise the ones recognised.

    Raises:
        DataError: if a named column is missing, or none or several could be meant.
    """
    table, data = tables.splits["train"], tables.name
    named = {role: column for role in _NAMES if (column := columns.get(role))}
    problems = [
        _missing(role, column, table.column_names, data)
        for role, column in named.items()
        if column not in table.column_names
    ]
    first, second = set(named) & {"tokens", "tags"}, set(named) & {"text", "spans"}
    if first and second:
        problems.append(
            f"{_options(first | second)} do not go together. Give --tokens and --tags, or --text "
            "and --spans."
        )
    if problems:
        raise DataError(problems)
    are_spans = bool(second) or (
        not first and not _candidates(table, "tokens") and bool(_candidates(table, "spans"))
    )
    roles = ("text", "spans") if are_spans else ("tokens", "tags")
    notes: list[str] = []
    chosen = []
    for role, other in zip(roles, reversed(roles), strict=True):
        column = named.get(role)
        if column is None:
            column = _guess(table, data, role, named.get(other), problems)
            notes.append(f"{role} column: {quoted(column)}" if column else "")
        chosen.append(column or "")
    if not problems and chosen[0] == chosen[1]:
        problems.append(
            f"--{roles[0]} and --{roles[1]} both name {quoted(chosen[0])}. Columns: "
            f"{spoken(table.column_names)}. Choose two."
        )
    if problems:
        raise DataError(problems)
    said = "; ".join(filter(None, notes))
    return Columns(chosen[0], chosen[1], are_spans, (said,) if said else ())


def key_of(kind: pa.DataType, keys: Sequence[str]) -> str | None:
    """Return the first of `keys` that a list of objects has."""
    names = {kind.value_type.field(i).name for i in range(kind.value_type.num_fields)}
    return next((key for key in keys if key in names), None)


def _guess(
    table: pa.Table, data: str, role: str, taken: str | None, problems: list[str]
) -> str | None:
    found = [name for name in _candidates(table, role) if name != taken]
    best = [name for name in found if _rank(name, role) == _rank(found[0], role)]
    listed = f"Columns: {spoken(table.column_names)}."
    if len(best) == 1:
        return best[0]
    if not best:
        problems.append(f"no {role} column in {data}: {_wanted(role, table, data)} {listed}")
    else:
        problems.append(
            f"{data} has {len(best)} columns that could be the {role}: {spoken(best)}. Choose "
            f"one: --{role} {shlex.quote(best[0])}"
        )
    return None


def _wanted(role: str, table: pa.Table, data: str) -> str:
    """Return what a column of the role holds, and how to make one of what is nearest to it."""
    import pyarrow as pa

    frame = frame_name(data)
    texts = [n for n in table.column_names if pa.types.is_string(table.schema.field(n).type)]
    near = next((name for name in _NAMES[role] if name in texts), None)
    if role == "text":
        return "it holds the texts that the spans are of."
    if role == "spans":
        return "it holds a list of {'start': 0, 'end': 5, 'label': 'PER'} for each text."
    what = "words" if role == "tokens" else "tags"
    if near is not None:
        return (
            f"column {quoted(near)} holds text, not lists of {what}. Split it first: "
            f"{frame}[{near!r}] = {frame}[{near!r}].str.split()"
        )
    return f"it holds a list of {what} for each row."


def _candidates(table: pa.Table, role: str) -> list[str]:
    """Return the columns whose type suits the role, those of a telling name first."""
    found = [name for name in table.column_names if _suits(table, name, role)]
    named = sorted((n for n in found if _is_named(n, role)), key=lambda n: _rank(n, role))
    return [*named, *(n for n in found if not any(_is_named(n, r) for r in _NAMES))]


def _is_named(name: str, role: str) -> bool:
    return _rank(name, role) < len(_NAMES[role])


def _rank(name: str, role: str) -> int:
    plain = name.strip().casefold().replace("-", "_").replace(" ", "_")
    names = _NAMES[role]
    return names.index(plain) if plain in names else len(names)


def _suits(table: pa.Table, name: str, role: str) -> bool:
    import pyarrow as pa

    field = table.schema.field(name)
    kind = field.type
    if role == "text":
        return bool(pa.types.is_string(kind))
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    inner = kind.value_type
    if role == "spans":
        if pa.types.is_null(inner):  # every list is empty: the name alone can tell
            return _is_named(name, "spans") and not is_label_name(name)
        return bool(pa.types.is_struct(inner)) and all(
            key_of(kind, keys) for keys in (START_KEYS, END_KEYS, KIND_KEYS)
        )
    if pa.types.is_string(inner) or pa.types.is_large_string(inner):
        return True
    is_numbered = column_facts(field).class_names is not None or _rank(name, "tags") < 3
    return role == "tags" and bool(pa.types.is_integer(inner)) and is_numbered


def _missing(role: str, given: str, names: Sequence[str], data: str) -> str:
    close = nearest(given, names)
    hint = f" Did you mean --{role} {shlex.quote(close)}?" if close else f" Choose with --{role}."
    return f"no column {quoted(given)} in {data}. Columns: {spoken(names)}.{hint}"


def _options(roles: set[str]) -> str:
    return ", ".join(f"--{role}" for role in sorted(roles))
