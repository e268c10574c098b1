"""Rows of words and tags: what is left of a table once its words, tags or spans are read."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.data.columns import column_facts, frame_name, spoken, valid_text
from nbtransfer.errors import count_of, quoted
from nbtransfer.tasks.tag_columns import END_KEYS, KIND_KEYS, START_KEYS, key_of
from nbtransfer.tasks.tag_schemes import OUTSIDE
from nbtransfer.tasks.words import split_words, widen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from nbtransfer.tasks.tag_columns import Columns


class TaggedRow(NamedTuple):
    """One text with its words and their tags.

    Attributes:
        text: the text.
        starts: where in it each word begins.
        tokens: the words.
        tags: their tags as given, of any scheme.
        row: where the row stood in its table.
    """

    text: str
    starts: list[int]
    tokens: list[str]
    tags: list[str]
    row: int


class _Oddities:
    """Counts what was mended in rows, for one note on each kind."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, int]] = {}

    def add(self, kind: str, row: int, count: int = 1) -> None:
        number, first = self._found.get(kind, (0, row))
        self._found[kind] = (number + count, first)

    def notes(self, where: str) -> list[str]:
        """Return the kinds, which say `{n}` where the number belongs."""
        return [
            f"{kind.format(n=f'{number:,}')} in {where} (first: row {first:,})"
            for kind, (number, first) in self._found.items()
        ]


def tagged_rows(
    table: pa.Table,
    columns: Columns,
    where: str,
    problems: list[str],
    notes: list[str],
    *,
    learns: bool = True,
) -> list[TaggedRow]:
    """Return the rows of a table that have words and tags; problems are added to `problems`.

    Where nothing is learnt from them, all of a table's texts may be without an entity.
    """
    missing = [c for c in (columns.words, columns.tags) if c not in table.column_names]
    if missing:
        problems.append(
            f"{where} has no column {' and no column '.join(map(quoted, missing))}. Columns: "
            f"{spoken(table.column_names)}. Name them as in train."
        )
        return []
    if columns.are_spans:
        keys = _span_keys(table, columns, where, problems, learns)
        return [] if keys is None else _from_spans(table, columns, keys, where, problems, notes)
    return _from_tags(table, columns, where, problems, notes)


def joined(tokens: list[str]) -> tuple[str, list[int]]:
    """Return words as one text, spaces between them, and where each begins."""
    starts, place = [], 0
    for token in tokens:
        starts.append(place)
        place += len(token) + 1
    return " ".join(tokens), starts


def _from_tags(
    table: pa.Table, columns: Columns, where: str, problems: list[str], notes: list[str]
) -> list[TaggedRow]:
    if not all(
        _is_list(table, role, name, where, problems)
        for role, name in (("tokens", columns.words), ("tags", columns.tags))
    ):
        return []
    tag_of = _tag_reader(table, columns.tags, where, problems)
    if tag_of is None:
        return []
    odd = _Oddities()
    rows = []
    pairs = zip(table[columns.words].to_pylist(), table[columns.tags].to_pylist(), strict=True)
    for row, (tokens, tags) in enumerate(pairs):
        if not tokens or tags is None:
            odd.add("{n} rows left out: no words or no tags", row)
            continue
        if len(tokens) != len(tags):
            problems.append(
                f"row {row:,} of {where} has {count_of(len(tokens), 'token')} (column "
                f"{quoted(columns.words)}) but {count_of(len(tags), 'tag')} (column "
                f"{quoted(columns.tags)}). Give each word one tag."
            )
            return []
        if missing := sum(tag is None for tag in tags):
            odd.add("{n} words without a tag are read as outside of all entities", row, missing)
        try:
            named = [tag_of(tag) for tag in tags]
        except (IndexError, ValueError):
            problems.append(
                f"tags column {quoted(columns.tags)} of {where} holds {quoted(tags)} in row "
                f"{row:,}, with a number that names no tag. Mend or drop the row."
            )
            return []
        kept = [
            (valid_text(token), tag)
            for token, tag in zip(tokens, named, strict=True)
            if token is not None and token.strip()
        ]
        if len(kept) < len(tokens):
            odd.add("{n} empty tokens left out", row, len(tokens) - len(kept))
        if not kept:
            odd.add("{n} rows left out: no words or no tags", row)
            continue
        words = [token for token, _ in kept]
        text, starts = joined(words)
        rows.append(TaggedRow(text, starts, words, [tag for _, tag in kept], row))
    notes += odd.notes(where)
    if not rows:
        problems.append(f"no row of {where} has both words and tags. Give some that do.")
    return rows


def _is_list(table: pa.Table, role: str, name: str, where: str, problems: list[str]) -> bool:
    import pyarrow as pa

    field = table.schema.field(name)
    kind, frame = field.type, frame_name(where)
    facts = column_facts(field)
    advice = f"Split it first: {frame}[{name!r}] = {frame}[{name!r}].str.split()"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = kind.value_type
        is_text = pa.types.is_string(inner) or pa.types.is_large_string(inner)
        if is_text or (role == "tags" and pa.types.is_integer(inner)):
            return True
        found, advice = f"lists of {inner} values", f"Give lists of {_WORDS[role]}."
    elif facts.num_objects:
        found = f"values of different types (row {facts.first_object:,}: {facts.object_type})"
        advice = f"Give each row a list of {_WORDS[role]}."
    elif pa.types.is_string(kind):
        found = "text"
    else:
        found, advice = f"{kind} values", f"Give each row a list of {_WORDS[role]}."
    problems.append(
        f"{role} column {quoted(name)} of {where} holds {found}, not lists of {_WORDS[role]}. "
        f"{advice}"
    )
    return False


_WORDS = {"tokens": "words", "tags": "tags"}


def _tag_reader(
    table: pa.Table, column: str, where: str, problems: list[str]
) -> Callable[[Any], str] | None:
    """Return what makes a name of a tag as it stands in the column."""
    import pyarrow as pa

    field = table.schema.field(column)
    if not pa.types.is_integer(field.type.value_type):
        return lambda tag: str(tag).strip() if tag is not None else OUTSIDE
    names = column_facts(field).class_names
    if names is None:
        frame = frame_name(where)
        problems.append(
            f"tags column {quoted(column)} of {where} holds numbers without names. Name them "
            f"first: {frame}[{column!r}] = [[NAMES[n] for n in tags] for tags in "
            f"{frame}[{column!r}]], with NAMES such as ['O', 'B-PER', 'I-PER']"
        )
        return None

    def name_of(tag: int | None) -> str:
        if tag is None or not 0 <= tag < len(names):
            raise IndexError
        return names[tag]

    return name_of


def _from_spans(
    table: pa.Table,
    columns: Columns,
    keys: tuple[str, str, str],
    where: str,
    problems: list[str],
    notes: list[str],
) -> list[TaggedRow]:
    odd = _Oddities()
    rows: list[TaggedRow] = []
    pairs = zip(table[columns.words].to_pylist(), table[columns.tags].to_pylist(), strict=True)
    for row, (text, spans) in enumerate(pairs):
        if text is None or not text.strip() or spans is None:
            odd.add("{n} rows left out: no text or no list of spans", row)
            continue
        words = split_words(text)
        tags = [OUTSIDE] * len(words)
        given = [tuple(span[key] for key in keys) for span in spans if span is not None]
        if problem := _span_problem(text, given):
            problems.append(f"row {row:,} of {where} has {problem}")
            return []
        found = [(int(start), int(end), kind) for start, end, kind in given]
        for start, end, kind in sorted(found, key=lambda span: span[:2]):
            first, after = widen(words, start, end)
            if first == after:
                odd.add("{n} spans of spaces left out", row)
            elif any(tag != OUTSIDE for tag in tags[first:after]):
                odd.add("{n} spans left out that share a word with another", row)
            else:
                marked = text[start:end].strip()
                if text[words[first][0] : words[after - 1][1]] != marked:
                    odd.add("{n} spans that begin or end inside a word are widened to it", row)
                name = str(kind).strip()
                tags[first:after] = [f"B-{name}"] + [f"I-{name}"] * (after - first - 1)
        rows.append(
            TaggedRow(text, [a for a, _ in words], [text[a:b] for a, b in words], tags, row)
        )
    notes += odd.notes(where)
    if not rows:
        problems.append(f"no row of {where} has both a text and spans. Give some that do.")
    return rows


def _span_keys(
    table: pa.Table, columns: Columns, where: str, problems: list[str], learns: bool
) -> tuple[str, str, str] | None:
    """Return what a span's start, end and type are called."""
    import pyarrow as pa

    if not pa.types.is_string(table.schema.field(columns.words).type):
        problems.append(
            f"text column {quoted(columns.words)} of {where} holds "
            f"{table.schema.field(columns.words).type} values, not text. Choose one with --text."
        )
        return None
    kind = table.schema.field(columns.tags).type
    is_nested = (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and (
        pa.types.is_struct(kind.value_type) or pa.types.is_null(kind.value_type)
    )
    keys: tuple[str | None, ...] = (None, None, None)
    if is_nested and pa.types.is_struct(kind.value_type):
        keys = tuple(key_of(kind, names) for names in (START_KEYS, END_KEYS, KIND_KEYS))
    elif is_nested and not learns:
        return START_KEYS[0], END_KEYS[0], KIND_KEYS[0]  # of no span at all
    elif is_nested:
        problems.append(
            f"every list in spans column {quoted(columns.tags)} of {where} is empty: "
            "there is nothing to learn. Mark some entities."
        )
        return None
    start, end, label = keys
    if start is None or end is None or label is None:
        problems.append(
            f"spans column {quoted(columns.tags)} of {where} is of type {quoted(str(kind))}. Give "
            "each text a list such as [{'start': 0, 'end': 5, 'label': 'PER'}]; spans (start, end, "
            "label) become that by [{'start': s, 'end': e, 'label': l} for s, e, l in spans]."
        )
        return None
    return start, end, label


def _span_problem(text: str, spans: list[tuple[Any, ...]]) -> str | None:
    """Return what is wrong with the spans of a text."""
    for start, end, kind in spans:
        numbers = all(
            isinstance(n, int) or (isinstance(n, float) and n.is_integer()) for n in (start, end)
        )
        if not numbers:
            return (
                f"a span from {quoted(start)} to {quoted(end)}: places are whole numbers of "
                "characters. Mend or drop it."
            )
        if not 0 <= start < end <= len(text):
            return (
                f"a span from {start:g} to {end:g}, but its text has {len(text):,} characters. "
                "A span begins at 0 or later and ends, after its beginning, at most there."
            )
        if kind is None or not str(kind).strip():
            return f"a span from {start:g} to {end:g} without a label. Name its type."
    ordered = sorted(spans, key=lambda span: span[:2])
    for (_, end, _), (start, other, _) in itertools.pairwise(ordered):
        if start < end:
            return (
                f"overlapping spans: {quoted(text[int(start) : int(other)], 30)} begins at "
                f"{start:g}, before the one before it ends at {end:g}. Keep one of them."
            )
    return None


def unusable_test(split: str, table: pa.Table, columns: Columns) -> str | None:
    """Return why a test split cannot be scored, as with those that are published without tags."""
    if split != "test":
        return None
    if columns.tags not in table.column_names or columns.words not in table.column_names:
        return f"it has no column {quoted(columns.tags)}"
    if table[columns.tags].null_count == table.num_rows:
        return "it has no tags"
    return None


def read_splits(
    raw: Mapping[str, pa.Table],
    columns: Columns,
    data: str,
    problems: list[str],
    notes: list[str],
    *,
    learns: bool = True,
) -> dict[str, list[TaggedRow]]:
    """Return the rows of each split; problems are added to `problems`."""
    found: dict[str, list[TaggedRow]] = {}
    for split, table in raw.items():
        if reason := unusable_test(split, table, columns):
            notes.append(f"the test split is not used: {reason}")
            continue
        where = data if split == "train" else f"{data} ({split})"
        learnt = learns and split == "train"
        found[split] = tagged_rows(table, columns, where, problems, notes, learns=learnt)
    return found
