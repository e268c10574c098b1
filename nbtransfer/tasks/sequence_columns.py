"""Recognising the source and the target column of a table of text pairs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.columns import as_string, spoken
from nbtransfer.errors import DataError, nearest, quoted
from nbtransfer.tasks.languages import is_word, language_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from nbtransfer.data.tables import Tables

# Names by tier: a column of an earlier tier wins.
SOURCES = (("source",), ("src", "source_text", "src_text", "input", "input_text", "original"))
TARGETS = (
    ("target",),
    ("tgt", "target_text", "tgt_text", "translation", "translated", "output", "reference"),
)
DOCUMENTS = (
    ("article", "document"),
    ("dialogue", "text", "body", "content", "story", "report", "transcript", "maintext"),
    ("source", "input"),
)
SUMMARIES = (("summary", "highlights"), ("abstract", "tldr", "summaries"))
# Taken where a summary is asked for; beside a text they are as often no summary at all.
SHORT_TEXTS = (("target", "output"), ("headline", "title"))
_LABELS = frozenset(("label", "labels", "sentiment", "class", "category", "stars", "rating"))


class PairColumns(NamedTuple):
    """The columns chosen, their languages where their names tell, and what was decided."""

    source: str
    target: str
    languages: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()


def flatten_pairs(table: pa.Table) -> pa.Table:
    """Return the table with a column of translations, `{"en": .., "fr": ..}`, as one column each.

    Names that are taken already stay with the column that has them.
    """
    import pyarrow as pa

    columns: dict[str, pa.ChunkedArray] = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        if not is_translations(field):
            columns[field.name] = column
            continue
        flat = pa.table({"_": column}).flatten()
        for part in flat.column_names:
            name = part.removeprefix("_.")
            if name not in table.column_names:
                columns[name] = as_string(flat[part])
    if list(columns) == table.column_names:
        return table
    fields = [
        table.schema.field(name) if name in table.column_names else pa.field(name, pa.string())
        for name in columns
    ]
    return pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields))


def is_translations(field: pa.Field) -> bool:
    """Return whether a column holds objects of at least two texts, named after languages."""
    import pyarrow as pa

    if not pa.types.is_struct(field.type):
        return False
    parts = [field.type.field(i) for i in range(field.type.num_fields)]
    texts = [p for p in parts if pa.types.is_string(p.type) or pa.types.is_large_string(p.type)]
    named = field.name.casefold() == "translation" or all(language_of(p.name) for p in parts)
    return len(texts) == len(parts) >= 2 and named


def looks_translated(table: pa.Table) -> bool:
    """Return whether a table has a source and a target, or two languages side by side."""
    if any(is_translations(field) for field in table.schema):
        return True
    texts = text_columns(table)
    by_name = _by_name(texts, SOURCES) and _by_name(texts, TARGETS)
    return bool(by_name) or len(_languages(texts)) >= 2


def looks_summarised(table: pa.Table) -> bool:
    """Return whether a table has a text and its summary, and no class."""
    if any(name.casefold() in _LABELS for name in table.column_names):
        return False
    texts = text_columns(table)
    return bool(_by_name(texts, DOCUMENTS) and _by_name(texts, SUMMARIES))


def choose_translation(tables: Tables, source: str | None, target: str | None) -> PairColumns:
    """Return the columns to translate from and to: those named, otherwise those recognised.

    Raises:
        DataError: if a named column is missing, or none or several could be meant.
    """
    table = tables.splits["train"]
    _check_named(table, tables.name, source, target)
    texts = [name for name in text_columns(table) if name not in (source, target)]
    reason = "by their names"
    if source is None or target is None:
        by_name = _by_name(texts, SOURCES), _by_name(texts, TARGETS)
        languages = _languages(texts)
        if source is None and target is None and not all(by_name) and len(languages) == 2:
            source, target = languages
            reason = "named after languages; turned round: " + _options(target, source)
        elif source is None and target is None and not all(by_name) and len(languages) > 2:
            raise DataError(
                f"{tables.name} has {len(languages)} columns named after languages: "
                f"{spoken(languages)}. Choose two: {_options(*languages[:2])}"
            )
        else:
            # With one side named, the other is the one that is left.
            left = languages or texts
            lone = left[0] if len(left) == 1 and (source or target) else None
            source, target = source or by_name[0] or lone, target or by_name[1] or lone
    source, target = _both(tables, source, target, "translate from", "translate to")
    pair = (language_of(source), language_of(target))
    languages_known = (pair[0], pair[1]) if pair[0] and pair[1] and pair[0] != pair[1] else None
    words = f" ({languages_known[0]} to {languages_known[1]})" if languages_known else ""
    note = f"source column: {quoted(source)}; target column: {quoted(target)} ({reason}){words}"
    return PairColumns(source, target, languages_known, (note,))


def choose_summarised(tables: Tables, source: str | None, target: str | None) -> PairColumns:
    """Return the column to summarise and the one with summaries: those named, or recognised.

    Raises:
        DataError: if a named column is missing, or none or several could be meant.
    """
    table = tables.splits["train"]
    _check_named(table, tables.name, source, target)
    texts = [name for name in text_columns(table) if name not in (source, target)]
    target = target or _by_name(texts, SUMMARIES) or _by_name(texts, SHORT_TEXTS)
    rest = [name for name in texts if name != target]
    source = source or _by_name(rest, DOCUMENTS) or (rest[0] if len(rest) == 1 else None)
    source, target = _both(tables, source, target, "summarise", "take as summary")
    note = f"source column: {quoted(source)}; target column: {quoted(target)} (by their names)"
    return PairColumns(source, target, None, (note,))


def text_columns(table: pa.Table) -> list[str]:
    """Return the names of the columns that hold text."""
    import pyarrow as pa

    return [field.name for field in table.schema if pa.types.is_string(field.type)]


def summary_named(columns: Mapping[str, str | None]) -> bool:
    """Return whether the columns a user named are those of a summary."""
    names = {c.casefold() for c in (columns.get("source"), columns.get("target")) if c}
    return bool(names & {n for tier in (*SUMMARIES, DOCUMENTS[0], *SHORT_TEXTS[1:]) for n in tier})


def _languages(texts: Sequence[str]) -> list[str]:
    named = [name for name in texts if language_of(name)]
    certain = [name for name in named if not is_word(name)]
    return certain if len(certain) >= 2 else named


def _by_name(texts: Sequence[str], tiers: Sequence[Sequence[str]]) -> str | None:
    """Return the first column whose name stands in the earliest tier."""
    for tier in tiers:
        for name in tier:
            for text in texts:
                if text.strip().casefold().replace("-", "_").replace(" ", "_") == name:
                    return text
    return None


def _check_named(table: pa.Table, data: str, source: str | None, target: str | None) -> None:
    problems = []
    for role, given in (("source", source), ("target", target)):
        if given is None or given in table.column_names:
            continue
        close = nearest(given, table.column_names)
        hint = (
            f" Did you mean --{role} {_typed(close)}?" if close else f" Choose one with --{role}."
        )
        problems.append(
            f"no column {quoted(given)} in {data}. Columns: {spoken(table.column_names)}.{hint}"
        )
    if source is not None and source == target:
        problems.append(
            f"--source and --target both name {quoted(source)}. Columns: "
            f"{spoken(table.column_names)}. Choose two."
        )
    if problems:
        raise DataError(problems)


def _both(
    tables: Tables, source: str | None, target: str | None, read: str, written: str
) -> tuple[str, str]:
    """Return both names, or say which could not be told."""
    if source is not None and target is not None:
        return source, target
    names = tables.splits["train"].column_names
    missing = [
        f"no column to {verb} was recognised"
        for verb, name in ((read, source), (written, target))
        if name is None
    ]
    texts = text_columns(tables.splits["train"])
    first, second = (*texts, "COLUMN", "COLUMN")[:2]
    example = _options(source or (first if first != target else second), target or second)
    raise DataError(
        f"{' and '.join(missing)} in {tables.name}. Columns: {spoken(names)}. Name them: {example}"
    )


def _options(source: str, target: str) -> str:
    return f"--source {_typed(source)} --target {_typed(target)}"


def _typed(name: str) -> str:
    """Return a column's name as it is typed in a magic's line."""
    return shlex.quote(name) if name.isprintable() else repr(name)
