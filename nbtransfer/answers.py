"""What a run's model says of texts, how good that is, and how it sees them."""

from __future__ import annotations

import numbers
import os
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from nbtransfer.errors import DataError, RunError, SpecError, count_of, nearest, quoted
from nbtransfer.runs import store
from nbtransfer.settings import resolve_runs_dir
from nbtransfer.spec import LANGUAGE_MODELING, ROLES, joined_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from nbtransfer.data.inputs import Inputs
    from nbtransfer.runs.report import Report
    from nbtransfer.runs.representations import EmbeddingMap
    from nbtransfer.runs.run import Run
    from nbtransfer.tasks.task import Task

RunsDir = str | os.PathLike[str] | None
PART_ROWS = 10_000  # answered together: they fill a device, and are little beside a model
_FEWEST_ROWS = 10


def evaluate(
    run: object = None,
    data: object = None,
    *,
    split: str | None = None,
    data_name: str | None = None,
    runs_dir: RunsDir = None,
    **columns: str | Sequence[str] | None,
) -> Report:
    """Measure a run's model on held-out rows.

    Args:
        run: a Run, its name or folder; None takes the newest.
        data: labelled rows, as for `finetune`; None takes the run's own `split`.
        split: `validation` (the default), `test` or `train` of the run's own rows; of `data`, by
            default the first there is of test, validation and train.
        data_name: what to call data that is no string.
        runs_dir: where runs are kept.
        columns: the columns of `data` by role (`text=`, `label=` and so on); by default the run's.

    Returns:
        The report; it is kept in the run's folder.

    Raises:
        RunError: no such run, split or model.
        DataError: the rows do not fit the run's task or classes.
        TypeError: there is no such argument.
    """
    _check_arguments("evaluate", columns)
    from nbtransfer.runs.scoring import evaluate_rows, require_model

    opened = store.open_run(run, resolve_runs_dir(runs_dir))
    require_model(opened)
    name = split or "validation"
    is_own = data is None
    if is_own and name == "validation" and opened.paths.evaluation(name).report.is_file():
        return opened.report(name)
    rows, shown, slug = _rows_of(opened, data, split, columns, data_name)
    return evaluate_rows(opened, rows, name=slug, split=shown)


def _check_arguments(function: str, columns: dict[str, Any]) -> None:
    if strange := [name for name in columns if name not in ROLES]:
        close = nearest(strange[0], ("split", "data_name", "runs_dir", *ROLES))
        hint = f" Did you mean {close!r}?" if close else ""
        raise TypeError(f"{function}() has no argument {strange[0]!r}.{hint}")


class _Rows(NamedTuple):
    """Prepared rows, what to call them, and the same as a folder's name."""

    rows: pa.Table
    shown: str
    slug: str


def _rows_of(
    run: Run, data: object, split: str | None, columns: dict[str, Any], name: str | None
) -> _Rows:
    """Return rows of the run's own, or of `data`, by the run's columns where the data has them."""
    from nbtransfer.data.corpus import load_corpus
    from nbtransfer.data.sources import load_tables
    from nbtransfer.runs.files import read_table
    from nbtransfer.tasks.catalog import task_named
    from nbtransfer.tasks.label_columns import label_columns
    from nbtransfer.tasks.sequence_columns import flatten_pairs

    card = run.data_card
    if data is None:
        split = split or "validation"
        if not card.num_rows:
            raise RunError(
                f"{quoted(str(run.dir))} is a model without its run, and so without rows. Measure "
                f"it on rows of yours: %evaluate {run.reference} DATA",
                run,
            )
        if not run.paths.split(split).is_file():
            raise RunError(
                f"run {run.id!r} has no split {quoted(split)}. Splits: "
                f"{', '.join(card.num_rows)}. Measure one of them, or rows of yours: %evaluate "
                f"{run.id} DATA",
                run,
            )
        return _Rows(read_table(run.paths.split(split)), split, split)
    read = load_corpus if run.data_card.task in LANGUAGE_MODELING else load_tables
    tables = read(data, name=name)
    if split is None:
        split = next(s for s in ("test", "validation", "train") if s in tables.splits)
    if split not in tables.splits:
        listed = ", ".join(tables.splits)
        raise DataError(f"{tables.name} has no split {quoted(split)}. Splits: {listed}.")
    # A column of translations holds the run's columns within it.
    rows = flatten_pairs(tables.splits[split])
    there = rows.column_names
    known = {role: c for role, c in card.roles.items() if c in there or label_columns(there, c)}
    named = {role: joined_names(column) for role, column in columns.items() if column is not None}
    prepared = task_named(card.task).prepare(
        tables._replace(splits={"train": rows}),
        {**known, **named},
        validation=False,
        trained_on=card,
    )
    letters = (c if c.isascii() and c.isalnum() else "-" for c in tables.name)
    slug = "".join(letters).strip("-")[:40] or "data"
    if slug == "validation":  # the run's own report has that name, and stays
        slug = "validation-data"
    shown = tables.name if len(tables.splits) == 1 else f"{tables.name} ({split})"
    return _Rows(prepared.splits["train"], shown, slug)


@overload
def predict(
    run: object,
    inputs: object,
    *,
    column: str | None = None,
    output: None = None,
    runs_dir: RunsDir = None,
) -> list[Any]: ...


@overload
def predict(
    run: object,
    inputs: object,
    *,
    column: str | None = None,
    output: str | os.PathLike[str],
    runs_dir: RunsDir = None,
) -> Path: ...


def predict(
    run: object,
    inputs: object,
    *,
    column: str | None = None,
    output: str | os.PathLike[str] | None = None,
    runs_dir: RunsDir = None,
) -> list[Any] | Path:
    """Return what a run's model says of texts, or write it to a file.

    Rows go to the model 10,000 at a time, and no more of them are held in memory. What can be read
    twice (all but generators and streaming data) is checked to its end before the model is asked.

    Args:
        run: a Run, its name or folder, or a folder to which its `model/` was copied; None takes the
            newest.
        inputs: one text, or several (a list, a Series, a column of a Dataset, a generator); for a
            task that reads several columns, a dict of them, or a list of dicts; a table
            (DataFrame, Dataset, Arrow), a csv, tsv, jsonl or parquet file, or `demo:NAME`. Of a
            table the columns that the model was trained on are read. A string in a list is always
            a text.
        column: the column of texts of a table, where it is another one.
        output: a parquet or csv file for the answers, one a row and in the rows' order; it is there
            when all are answered. Inputs and answers may then be larger than memory.
        runs_dir: where runs are kept.

    Returns:
        One result for each input: of text classification, with `.label`, `.score` and
        `.probabilities`; of question answering, with `.answer`, `.score`, `.start` and `.end`.
        With `output`, its path.

    Raises:
        RunError: no such run or model.
        DataError: an input is not what the task reads.
        SpecError: `output` cannot be written.
    """
    from nbtransfer.data.answer_files import AnswerFile
    from nbtransfer.runs.scoring import require_model, say_choice
    from nbtransfer.tasks.catalog import task_named

    opened = store.open_run(run, resolve_runs_dir(runs_dir))
    require_model(opened)
    task = task_named(opened.data_card.task)
    given = inputs_of(opened, inputs, column=column)
    if given.said and given is not inputs:
        say_choice(given.said)
    if output is None:
        results: list[Any] = []
        for answers in _answers(opened, task, given):
            results += task.results(answers, opened.data_card)
        return results
    file = AnswerFile(output, given.paths)
    with file:
        for answers in _answers(opened, task, given):
            file.write(answers)
        if not file.columns:
            raise DataError(f"{given.name} hold no rows, so there is nothing to write.")
    return file.path


def inputs_of(
    run: Run, inputs: object, *, column: str | None = None, name: str = "the inputs"
) -> Inputs:
    """Return the rows that a run's model is asked about, as `predict` takes them.

    Raises:
        DataError: if nothing can be read of them, or a column is missing.
    """
    from nbtransfer.data.inputs import open_inputs
    from nbtransfer.tasks.catalog import task_named
    from nbtransfer.tasks.inputs import wanted_of

    wanted = wanted_of(task_named(run.data_card.task), run.data_card)
    column = joined_names(column)
    if column is not None and not isinstance(column, str):
        raise DataError(f"column={quoted(column)} must be the name of a column.")
    return open_inputs(inputs, wanted, column=column, name=name)


def _answers(run: Run, task: Task, given: Inputs) -> Iterator[pa.Table]:
    """Yield what a run's model says of all rows, a part at a time; none is read ahead."""
    from nbtransfer.runs.scoring import part_of, predict_rows, tell_rows_read

    total = _count_checked(run, task, given) if given.repeats else None
    before = 0
    for part in given.parts(PART_ROWS):
        rows = task.inputs(part, run.data_card, before)
        with part_of(total, before):
            answers = predict_rows(run, rows)
        before += len(part)
        yield answers
    if total is None:
        tell_rows_read(before, before)


def _count_checked(run: Run, task: Task, given: Inputs) -> int:
    """Return how many rows there are, once each was looked at: a late mistake would cost much."""
    count = 0
    for part in given.parts(PART_ROWS):
        task.inputs(part, run.data_card, count)
        count += len(part)
    if not count and given.paths:
        raise DataError(f"{given.name} has no rows. Give a file with some.")
    return count


def embeddings(
    run: object = None,
    data: object = None,
    *,
    split: str | None = None,
    num_rows: int = 500,
    data_name: str | None = None,
    runs_dir: RunsDir = None,
    **columns: str | Sequence[str] | None,
) -> EmbeddingMap:
    """Look at what training made of the representations of texts.

    Args:
        run: a Run of text classification, its name or folder; None takes the newest.
        data: labelled rows; None takes the run's own `split`.
        split: as for `evaluate`.
        num_rows: how many rows are looked at, evenly spread over the split.
        data_name: what to call data that is no string.
        runs_dir: where runs are kept.
        columns: as for `evaluate`.

    Returns:
        A 2-D map of the texts before and after, how far apart their classes lie, and how well a
        linear classifier reads each layer.

    Raises:
        RunError: no such run, split or model.
        DataError: the rows do not fit the run's classes, or are fewer than 10.
        SpecError: the run's task has no classes of texts.
        TypeError: there is no such argument.
    """
    _check_arguments("embeddings", columns)
    from nbtransfer.data.lengths import spread_rows
    from nbtransfer.runs.scoring import map_rows, require_model

    opened = store.open_run(run, resolve_runs_dir(runs_dir))
    require_model(opened)
    if opened.data_card.task != "text-classification":
        raise SpecError(
            f"embeddings are coloured by class, and {opened.id!r} is a run of "
            f"{opened.data_card.task}. Take a run of text-classification."
        )
    _ = opened.model_card  # a model without its run has none, and says so
    if not isinstance(num_rows, numbers.Integral) or num_rows < _FEWEST_ROWS:
        raise SpecError(
            f"num_rows={quoted(num_rows)} must be at least {_FEWEST_ROWS}, a whole number."
        )
    rows, shown, _ = _rows_of(opened, data, split, columns, data_name)
    if rows.num_rows < _FEWEST_ROWS:
        raise DataError(
            f"{shown} has {count_of(rows.num_rows, 'row')}: a map of so few says nothing. Give at "
            f"least {_FEWEST_ROWS}."
        )
    return map_rows(opened, rows.take(spread_rows(rows.num_rows, int(num_rows))), split=shown)
