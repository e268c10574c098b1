"""Questions about contexts: from tables as read to rows that are checked, split and described."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.data.card import (
    DataCard,
    describe_columns,
    find_repetition,
    fingerprint_of_rows,
    text_ids,
)
from nbtransfer.data.columns import spoken
from nbtransfer.data.splits import choose_validation
from nbtransfer.errors import DataError, count_of, quoted
from nbtransfer.tasks.answer_values import RightAnswers, read_answers
from nbtransfer.tasks.labelled_data import with_validation
from nbtransfer.tasks.question_columns import QuestionColumns, choose_question_columns
from nbtransfer.tasks.task import Prepared
from nbtransfer.tasks.text_values import text_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from nbtransfer.data.splits import Splits
    from nbtransfer.data.tables import Tables
    from nbtransfer.spec import TaskName

TASK: TaskName = "question-answering"


def prepare_questions(
    tables: Tables,
    columns: Mapping[str, str | None],
    *,
    validation: object = None,
    split_seed: int = 42,
    learns: bool = True,
) -> Prepared:
    """Return question, context, answers, their starts, and row; split and described.

    Rows of one context stay on one side of the split, so that no validation context was read in
    training.

    Args:
        tables: the data as read.
        columns: the column of each role; None recognises it.
        validation: as for `Task.prepare`.
        split_seed: decides which contexts are held out.
        learns: whether a model is to learn from train; one that is only evaluated needs less.

    Raises:
        DataError: naming every problem found.
    """
    chosen = choose_question_columns(tables, columns)
    notes = [*tables.notes, *chosen.notes]
    raw, validation = with_validation(tables, validation, notes)
    problems: list[str] = []
    examples: dict[str, pa.Table] = {}
    for split, table in raw.items():
        where = tables.name if split == "train" else f"{tables.name} ({split})"
        if split == "test" and _is_withheld(table, chosen):
            notes.append("the test split is not used: it has no answers")
            continue
        if (rows := question_rows(table, chosen, where, problems, notes)) is not None:
            examples[split] = rows
    if problems:
        raise DataError(problems)
    split_up = _hold_out(examples, validation, split_seed)
    card = _card(tables, chosen, raw["train"], split_up, notes)
    asked, unanswerable = card.num_rows["train"], card.num_unanswerable["train"]
    if learns and asked == unanswerable:
        raise DataError(
            f"no training row of {tables.name} has an answer (column {quoted(chosen.answers)}). "
            "Choose another with --answers."
        )
    return Prepared(split_up.splits, card)


def question_rows(
    table: pa.Table, columns: QuestionColumns, where: str, problems: list[str], notes: list[str]
) -> pa.Table | None:
    """Return a split's rows as the task's own columns; None, and problems, where that fails."""
    import numpy as np
    import pyarrow as pa

    missing = [name for name in columns.roles.values() if name not in table.column_names]
    if missing:
        problems.append(
            f"{where} has no column {' and no column '.join(map(quoted, missing))}. Columns: "
            f"{spoken(table.column_names)}. Name them as in train."
        )
        return None
    texts = {}
    for role in ("question", "context"):
        column = getattr(columns, role)
        values = text_values(table, column, where, problems, notes)
        if values is None:
            return None
        if values.null_count == len(values):
            problems.append(
                f"every {role} of {where} is missing or empty (column {quoted(column)}). Choose "
                f"another with --{role}."
            )
            return None
        if values.null_count:
            first = int(np.flatnonzero(values.is_null().to_numpy())[0])
            was = "row is" if values.null_count == 1 else "rows are"
            notes.append(
                f"{values.null_count:,} {was} left out of {where}: no {role} (first: row {first:,})"
            )
        texts[role] = values
    present = ~(texts["question"].is_null().to_numpy() | texts["context"].is_null().to_numpy())
    rows = np.flatnonzero(present).astype(np.int64)
    if not len(rows):
        problems.append(f"no row of {where} has both a question and a context. Give some that do.")
        return None
    contexts = texts["context"].take(rows)
    given = (columns.answers, columns.answer_start, columns.impossible)
    answers = read_answers(table, contexts.to_pylist(), rows, given, where, problems, notes)
    if answers is None:
        return None
    return pa.table(
        {
            "question": texts["question"].take(rows),
            "context": contexts,
            **_answer_columns(answers),
            "row": rows,
        }
    )


def _answer_columns(answers: RightAnswers) -> dict[str, pa.Array]:
    import pyarrow as pa

    return {
        "answers": pa.array(answers.texts, pa.list_(pa.string())),
        "starts": pa.array(answers.starts, pa.list_(pa.int64())),
    }


def _is_withheld(table: pa.Table, columns: QuestionColumns) -> bool:
    """Return whether a test split has no answers at all, as those of competitions."""
    if columns.answers not in table.column_names:
        return True
    return not any(
        value.get("text") if isinstance(value, dict) else value
        for value in table.column(columns.answers).to_pylist()
    )


def _hold_out(examples: Mapping[str, pa.Table], validation: object, split_seed: int) -> Splits:
    """Return the rows split as asked, whole contexts at a time."""
    import numpy as np
    import pyarrow as pa

    ids = dict(zip(examples, text_ids([t["context"] for t in examples.values()]), strict=True))
    # A row for each context stands for all its questions while the split is drawn.
    contexts = {
        split: pa.table(
            {
                "label": np.zeros(len(distinct), dtype=np.int64),
                "text_id": np.arange(len(distinct)),
                "context_id": distinct,
            }
        )
        for split, distinct in ((split, np.unique(numbers)) for split, numbers in ids.items())
    }
    chosen = choose_validation(contexts, validation, split_seed=split_seed)  # type: ignore[arg-type]
    if "validation" not in chosen.splits or chosen.splits["validation"] is contexts.get(
        "validation"
    ):
        splits = {split: table for split, table in examples.items() if split in chosen.splits}
        order = [s for s in ("train", "validation", "test") if s in splits]
        notes = chosen.notes
        if "validation" in splits:
            count = count_of(splits["validation"].num_rows, "row")
            notes = (f"validation: the split named validation, {count}",)
        elif validation is not False:
            notes = ("no validation: there is one context only",)
            warning = "nothing is held out for validation: all questions share one context."
            return chosen._replace(
                splits={s: splits[s] for s in order}, notes=notes, warnings=(warning,)
            )
        return chosen._replace(splits={s: splits[s] for s in order}, notes=notes)
    held = np.isin(ids["train"], chosen.splits["validation"]["context_id"].to_numpy())
    splits = {
        **examples,
        "train": examples["train"].filter(~held),
        "validation": examples["train"].filter(held),
    }
    note = (
        f"validation: {chosen.splits['validation'].num_rows:,} of "
        f"{contexts['train'].num_rows:,} contexts, seed {split_seed}: "
        f"{count_of(int(held.sum()), 'row')}"
    )
    order = [s for s in ("train", "validation", "test") if s in splits]
    return chosen._replace(splits={s: splits[s] for s in order}, notes=(note,), warnings=())


def _card(
    tables: Tables,
    columns: QuestionColumns,
    first: pa.Table,
    chosen: Splits,
    notes: list[str],
) -> DataCard:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    splits = chosen.splits
    questions = text_ids([table["question"] for table in splits.values()])
    contexts = text_ids([table["context"] for table in splits.values()])
    pairs, places = {}, np.cumsum([0] + [t.num_rows for t in splits.values()])
    stacked = np.stack([np.concatenate(contexts), np.concatenate(questions)])
    _, numbers = np.unique(stacked, axis=1, return_inverse=True)
    numbers = numbers.reshape(-1)
    for split, begin, end in zip(splits, places[:-1], places[1:], strict=True):
        none = np.zeros(end - begin, dtype=np.int64)
        pairs[split] = pa.table({"label": none, "text_id": numbers[begin:end]})
    repetition = find_repetition(pairs)
    unanswerable = {
        split: int(pc.sum(pc.equal(pc.list_value_length(table["answers"]), 0)).as_py() or 0)
        for split, table in splits.items()
    }
    warnings = [*chosen.warnings]
    for split, num_rows in repetition.num_overlap.items():
        if num_rows:
            warnings.append(f"{count_of(num_rows, f'{split} question')} also in train.")
    in_train = np.unique(contexts[list(splits).index("train")])
    for split, numbers_here in zip(splits, contexts, strict=True):
        shared = int(np.isin(np.unique(numbers_here), in_train).sum())
        if split != "train" and shared:
            warnings.append(
                f"{count_of(shared, f'{split} context')} also in train: the figures will flatter."
            )
    asked = {s: t.num_rows for s, t in splits.items()}
    if num_without := sum(unanswerable.values()):
        notes.append(
            f"{num_without:,} of {count_of(sum(asked.values()), 'question')} have no answer: the "
            "model may say so"
        )
        if not unanswerable["train"]:
            warnings.append("no training row is without an answer: it will not be learned.")
    return DataCard(
        name=tables.name,
        origin=tables.origin,
        task=TASK,
        text_column=columns.question,
        label_column=columns.answers,
        columns=describe_columns(first),
        num_rows=asked,
        label_names=(),
        class_counts={},
        num_duplicates=repetition.num_duplicates,
        num_overlap=repetition.num_overlap,
        num_conflicts=0,
        majority_share=None,
        roles=columns.roles,
        fingerprint=fingerprint_of_rows(splits),
        num_unanswerable=unanswerable,
        notes=(*notes, *chosen.notes),
        warnings=tuple(warnings),
    )
