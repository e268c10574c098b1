"""What `%dataset` shows: it loads a data set, looks at it without any model, and draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from IPython.display import display

from nbtransfer.data.lengths import MAX_MEASURED_TEXTS, measure_lengths, spread_rows
from nbtransfer.errors import DataError, MissingPackageError, ModelError
from nbtransfer.panels.data_view import (
    DataView,
    LengthFacts,
    TokenizedText,
    cut,
    data_markup,
    data_text,
)
from nbtransfer.settings import resolve_runs_dir
from nbtransfer.spec import LANGUAGE_MODELING
from nbtransfer.tasks.catalog import choose_task, task_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from IPython.display import DisplayHandle

    from nbtransfer.data.lengths import Lengths
    from nbtransfer.data.sources import Tables
    from nbtransfer.models.card import ModelCard
    from nbtransfer.spec import TaskName
    from nbtransfer.tasks.task import Prepared

NUM_HEAD_ROWS = 8
NUM_TOKENIZED = 2
_USUAL_MODEL = "demo:minilm"
_MANY_ROWS = 100_000
# A longer text is cut before it is tokenised for show; nobody reads on, and a text can have 50 MB.
_MAX_SHOWN_TEXT = 400


class Measured(NamedTuple):
    """Lengths of texts in tokens, None where they were counted in words, and the facts on them."""

    lengths: Lengths | None
    facts: LengthFacts


def show_dataset(
    data: object,
    *,
    name: str | None = None,
    task: TaskName | None = None,
    columns: Mapping[str, str | None] | None = None,
    model: str | None = _USUAL_MODEL,
    max_length: int | None = None,
) -> None:
    """Show a data set: a card at once, then a figure of its classes and lengths.

    Args:
        data: an object of the notebook, `demo:NAME`, a path or a hub id.
        name: what to call an object.
        task: the task to prepare it for; recognised where it is not named.
        columns: the columns to read, by role; recognised where they are not named.
        model: whose tokens are counted; None, or the demo model where it is not installed, counts
            words.
        max_length: where texts would be cut; None takes the suggested length.

    Raises:
        DataError: if the data cannot be read. Data that cannot be classified is shown all the same.
        ModelError: if `model` is named and cannot be opened.
    """
    from nbtransfer.data.corpus import load_corpus
    from nbtransfer.data.sources import load_tables

    read = load_corpus if task in LANGUAGE_MODELING else load_tables
    tables = read(data, name=name)
    num_rows = sum(table.num_rows for table in tables.splits.values())
    # Counting a million rows takes seconds; what needs no counting is shown meanwhile.
    first = None
    if num_rows > _MANY_ROWS:
        first = _show(first_view(tables, f"Counting {num_rows:,} rows …"))
    opened, notes = _open_tokenizer(model)
    problems: tuple[str, ...] = ()
    prepared = None
    try:
        prepared = _prepare(tables, task, columns or {})
    except DataError as error:
        problems = error.problems
    measured = measure(prepared, opened, max_length) if prepared is not None else None
    _show(make_view(tables, prepared, measured, opened, problems, notes), first)
    if prepared is not None:
        _show_figure(prepared, measured)


def _show(view: DataView, shown: DisplayHandle | None = None) -> DisplayHandle | None:
    """Show the card, in place of the one that is `shown` where there is one."""
    bundle = {"text/html": data_markup(view), "text/plain": data_text(view)}
    if shown is None:
        handle: DisplayHandle | None = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        return handle
    shown.update(bundle, raw=True)  # type: ignore[no-untyped-call]
    return shown


def _prepare(tables: Tables, task: TaskName | None, columns: Mapping[str, str | None]) -> Prepared:
    return choose_task(task, tables, columns).prepare(tables, columns)


def _open_tokenizer(model: str | None) -> tuple[ModelCard | None, tuple[str, ...]]:
    """Return the model whose tokens are counted, or None and the reason."""
    if model is None:
        return None, ()
    from nbtransfer.models.catalog import open_model

    try:
        opened = open_model(model, runs_dir=resolve_runs_dir())
    except (ModelError, MissingPackageError) as error:
        if model != _USUAL_MODEL:
            raise
        return None, (f"Lengths are in words: {error}",)
    if opened.tokenizer_file is None:
        return None, (f"Lengths are in words: {model} has no tokenizer.json.",)
    return opened, ()


def measure(prepared: Prepared, model: ModelCard | None, max_length: int | None) -> Measured | None:
    """Return the lengths of the training texts; of at most 10,000 evenly spread ones.

    Texts that are read together count together. Those that are read in windows are not cut.
    """
    import numpy as np

    task = task_named(prepared.card.task)
    texts = task.texts(prepared.splits["train"])
    if not len(texts[0]):
        return None
    if model is None or model.tokenizer_file is None:
        values = np.sum([word_counts(column) for column in texts], axis=0)
        return Measured(None, _length_facts("words", values))
    lengths = measure_lengths(texts, model.tokenizer_file)
    values = np.asarray(lengths.tokens)
    if task.objective(prepared.card) == "spans":
        return Measured(lengths, _length_facts("tokens", values))
    kept = max_length or lengths.suggested(model.max_positions)
    texts_cut, tokens_cut = lengths.cut(kept)
    if task_named(prepared.card.task).reads_windows:
        tokens_cut = 0.0
    facts = _length_facts("tokens", values)._replace(
        max_length=kept, share_texts_cut=texts_cut, share_tokens_cut=tokens_cut
    )
    return Measured(lengths, facts)


def word_counts(texts: pa.ChunkedArray) -> np.ndarray:
    """Return the number of words of at most 10,000 evenly spread texts."""
    import pyarrow.compute as pc

    if len(texts) > MAX_MEASURED_TEXTS:
        texts = texts.take(spread_rows(len(texts), MAX_MEASURED_TEXTS))
    return pc.count_substring_regex(texts, r"\S+").to_numpy()


def _length_facts(unit: str, values: np.ndarray) -> LengthFacts:
    import numpy as np

    return LengthFacts(
        unit=unit,
        median=int(np.median(values)),
        longest=int(values.max()),
        num_measured=len(values),
    )


def make_view(
    tables: Tables,
    prepared: Prepared | None,
    measured: Measured | None,
    model: ModelCard | None,
    problems: tuple[str, ...],
    notes: tuple[str, ...],
) -> DataView:
    """Return everything that is shown."""
    from nbtransfer.data.card import describe_columns

    data = prepared.card if prepared is not None else None
    first = tables.splits["train"]
    facts = measured.facts if measured is not None else None
    if facts is not None and prepared is not None:
        total = prepared.splits["train"].num_rows
        if facts.num_measured < total:
            notes = (*notes, f"Lengths were counted on {facts.num_measured:,} of {total:,} texts.")
    if data is not None:
        notes = (*dict.fromkeys((*data.notes, *notes)),)
        num_rows = data.num_rows
    else:
        notes = (*tables.notes, *notes)
        num_rows = {name: table.num_rows for name, table in tables.splits.items()}
    tokenized: tuple[TokenizedText, ...] = ()
    if model is not None and prepared is not None:
        read = task_named(prepared.card.task).texts(prepared.splits["train"])[0]
        texts = read[:NUM_TOKENIZED].to_pylist()
        kept = (facts.max_length if facts is not None else 0) or model.max_positions
        tokenized = tokenize_for_show(texts, str(model.tokenizer_file), kept)
    return DataView(
        name=tables.name,
        origin=tables.origin,
        num_rows=num_rows,
        columns=data.columns if data is not None else describe_columns(first, {}),
        card=data,
        problems=problems,
        lengths=facts,
        tokenizer=model.name if model is not None else "",
        tokenized=tokenized,
        head=head_rows(first),
        notes=notes,
    )


def first_view(tables: Tables, note: str) -> DataView:
    """Return what is known of the data without counting."""
    from nbtransfer.data.card import ColumnInfo

    table = tables.splits["train"]
    columns = tuple(
        ColumnInfo(
            name=field.name,
            type=str(field.type),
            num_missing=column.null_count,
            num_distinct=None,
            example=cut(column[0].as_py()) if len(column) else "",
        )
        for field, column in zip(table.schema, table.columns, strict=True)
    )
    return DataView(
        name=tables.name,
        origin=tables.origin,
        num_rows={name: split.num_rows for name, split in tables.splits.items()},
        columns=columns,
        card=None,
        problems=(),
        lengths=None,
        tokenizer="",
        tokenized=(),
        head=head_rows(table),
        notes=(*tables.notes, note),
    )


def tokenize_for_show(
    texts: list[str], tokenizer_file: str, max_length: int
) -> tuple[TokenizedText, ...]:
    """Return the texts before and after tokenisation, each cut to what can be read."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(tokenizer_file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tuple(
        TokenizedText(
            cut(text, _MAX_SHOWN_TEXT),
            tuple(tokenizer.encode(text[:_MAX_SHOWN_TEXT]).tokens),
            max_length,
        )
        for text in texts
    )


def head_rows(table: pa.Table) -> tuple[tuple[str, ...], ...]:
    """Return the first rows, each cell cut; missing values are empty."""
    rows = table.slice(0, NUM_HEAD_ROWS)
    columns = [["" if v is None else cut(v) for v in column.to_pylist()] for column in rows.columns]
    return tuple(zip(*columns, strict=True))


def _show_figure(prepared: Prepared, measured: Measured | None) -> None:
    """Draw classes and lengths, after the card: drawing takes a second."""
    from nbtransfer.panels.figure_bundle import show_figure
    from nbtransfer.plots import data_overview as plot

    lengths = measured.lengths if measured is not None else None
    max_length = measured.facts.max_length if measured is not None and lengths is not None else None
    max_length = max_length or None  # 0: nothing is cut
    info = plot.data_overview_info(prepared.card, lengths, max_length)
    if not info.classes and not info.bins:
        return
    show_figure(
        plot.data_overview_figure(info),
        plot.data_overview_png(info),
        plot.data_overview_text(info),
    )
