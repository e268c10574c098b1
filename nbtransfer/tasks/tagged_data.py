"""Texts with tagged words: from tables as read to rows that are checked, split and described."""

from __future__ import annotations

import hashlib
import importlib.util
from typing import TYPE_CHECKING

from nbtransfer.data.card import DataCard, describe_columns, find_repetition, fingerprint, text_ids
from nbtransfer.data.splits import Splits, choose_validation
from nbtransfer.errors import DataError, MissingPackageError, quoted
from nbtransfer.tasks.class_labels import alike_names
from nbtransfer.tasks.labelled_data import with_validation
from nbtransfer.tasks.tag_columns import Columns, choose_columns
from nbtransfer.tasks.tag_schemes import (
    OUTSIDE,
    Scheme,
    kinds_of,
    recognise_scheme,
    tag_names,
    to_iob2,
)
from nbtransfer.tasks.tagged_rows import TaggedRow, read_splits
from nbtransfer.tasks.task import Prepared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from nbtransfer.data.tables import Tables
    from nbtransfer.spec import TaskName

TASK: TaskName = "token-classification"
MAX_KINDS = 200
_FEW_ENTITIES = 8


def prepare(
    tables: Tables,
    asked: Mapping[str, str | None],
    *,
    validation: object = None,
    split_seed: int = 42,
    label_names: Sequence[str] | None = None,
) -> Prepared:
    """Return the rows as text, tokens, starts, tags (IOB2, as numbers) and row.

    Args:
        tables: the data as read.
        asked: the column of each role; None recognises it.
        validation: as for every task; see `labelled_data.prepare`.
        split_seed: decides which rows are held out.
        label_names: the tags of a trained model, to evaluate on this data.

    Raises:
        DataError: naming every problem found.
        MissingPackageError: if seqeval, which measures entities, is not installed.
    """
    if importlib.util.find_spec("seqeval") is None:  # better said now than after the training
        raise MissingPackageError("seqeval", "Measuring entities")
    columns = choose_columns(tables, asked)
    notes = [*tables.notes, *columns.notes]
    raw, validation = with_validation(tables, validation, notes)
    problems: list[str] = []
    learns = label_names is None
    rows = read_splits(raw, columns, tables.name, problems, notes, learns=learns)
    if problems:
        raise DataError(problems)
    where = f"{'spans' if columns.are_spans else 'tags'} column {quoted(columns.tags)}"
    where += f" of {tables.name}"
    scheme = _scheme(rows, where, notes)
    tagged = {s: [to_iob2(row.tags, scheme.name) for row in some] for s, some in rows.items()}
    names = _names(tagged, raw["train"], columns, label_names, where)
    examples = {split: _table(rows[split], tagged[split], names) for split in rows}
    chosen = choose_validation(_with_ids(examples), validation, split_seed=split_seed)
    card = _card(tables, columns, raw["train"], chosen, names, notes)
    splits = {s: t.drop_columns(["text_id", "label", "tags_id"]) for s, t in chosen.splits.items()}
    return Prepared(splits, card)


def _scheme(rows: Mapping[str, Sequence[TaggedRow]], where: str, notes: list[str]) -> Scheme:
    """Return how all splits write entities; a note says so."""
    found = recognise_scheme(row.tags for some in rows.values() for row in some)
    if isinstance(found, list):
        listed = ", ".join(map(quoted, found[:5])) + (", …" if len(found) > 5 else "")
        raise DataError(
            f"{where} holds {listed}: no tags of entities as IOB1, IOB2 or IOBES write them (O, "
            "B-PER, I-PER). Tags of every word, such as parts of speech, are not built."
        )
    if found.name != "IOB2":
        notes.append(f"tags are written as {found.name}; they are converted to IOB2")
    elif found.num_strange_starts:
        count = found.num_strange_starts
        entities = "1 entity begins" if count == 1 else f"{count:,} entities begin"
        notes.append(
            f"tags are written as IOB2; {entities} with I- and not B-, and are read so (first: "
            f"row {found.first_strange:,})"
        )
    elif not where.startswith("spans"):
        notes.append("tags are written as IOB2")
    return found


def _names(
    tagged: Mapping[str, Sequence[Sequence[str]]],
    table: pa.Table,
    columns: Columns,
    label_names: Sequence[str] | None,
    where: str,
) -> tuple[str, ...]:
    """Return the tags that a model tells apart: the data's own order where it is IOB2 and whole."""
    from nbtransfer.data.columns import column_facts

    used = {tag for rows in tagged.values() for tags in rows for tag in tags}
    kinds = kinds_of(sorted(used))
    if label_names is not None:
        if unknown := [kind for kind in kinds if f"B-{kind}" not in label_names]:
            raise DataError(
                f"{where} holds entities of type {', '.join(map(quoted, unknown[:5]))}, which the "
                f"model does not have. Types: {', '.join(map(quoted, kinds_of(label_names)))}. "
                "Leave them out."
            )
        return tuple(label_names)
    in_train = kinds_of(sorted({tag for tags in tagged["train"] for tag in tags}))
    if not in_train:
        raise DataError(
            f"{where} marks no entity: every tag is {OUTSIDE!r}. There is nothing to learn. Mark "
            "some, or choose another column."
        )
    if len(kinds) > MAX_KINDS:
        raise DataError(
            f"{where} has {len(kinds):,} different types of entities: it looks like names or ids, "
            "not types. Choose another column."
        )
    given = column_facts(table.schema.field(columns.tags)).class_names
    whole = tag_names(kinds)
    return given if given is not None and set(given) == set(whole) else whole


def _table(
    rows: Sequence[TaggedRow], tagged: Sequence[Sequence[str]], names: Sequence[str]
) -> pa.Table:
    import pyarrow as pa

    number = {name: i for i, name in enumerate(names)}
    return pa.table(
        {
            "text": pa.array([row.text for row in rows], pa.string()),
            "tokens": pa.array([row.tokens for row in rows], pa.list_(pa.string())),
            "starts": pa.array([row.starts for row in rows], pa.list_(pa.int32())),
            "tags": pa.array([[number[t] for t in tags] for tags in tagged], pa.list_(pa.int32())),
            "row": pa.array([row.row for row in rows], pa.int64()),
        }
    )


def _with_ids(examples: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Return the tables with numbers for equal texts and equal tags, and `label`: any entity.

    What is held out is stratified by `label`, so that validation has its share of entities.
    """
    import numpy as np
    import pyarrow as pa

    texts = text_ids([table.column("text") for table in examples.values()])
    ids: dict[tuple[int, ...], int] = {}
    found = {}
    for (split, table), text_id in zip(examples.items(), texts, strict=True):
        tags = [tuple(row) for row in table["tags"].to_pylist()]
        marked = np.array([any(row) for row in tags], dtype=np.int32)
        if min(np.bincount(marked, minlength=2)) < 2:
            marked[:] = 0
        found[split] = (
            table.append_column("text_id", pa.array(text_id))
            .append_column("label", pa.array(marked))
            .append_column(
                "tags_id", pa.array([ids.setdefault(row, len(ids)) for row in tags], pa.int32())
            )
        )
    return found


def _card(
    tables: Tables,
    columns: Columns,
    raw: pa.Table,
    chosen: Splits,
    names: tuple[str, ...],
    notes: Sequence[str],
) -> DataCard:
    import numpy as np

    splits = chosen.splits
    tags = {s: _flat(t, "tags") for s, t in splits.items()}
    counts = {
        s: tuple(np.bincount(values, minlength=len(names)).tolist()) for s, values in tags.items()
    }
    compared = {
        s: t.select(["text_id"]).append_column("label", t["tags_id"]) for s, t in splits.items()
    }
    repetition = find_repetition(compared)
    outside = names.index(OUTSIDE)
    judged = counts.get("validation", counts["train"])
    return DataCard(
        name=tables.name,
        origin=tables.origin,
        task=TASK,
        text_column=columns.words,
        label_column=columns.tags,
        columns=describe_columns(raw, {}),
        num_rows={split: table.num_rows for split, table in splits.items()},
        label_names=names,
        class_counts=counts,
        num_duplicates=repetition.num_duplicates,
        num_overlap=repetition.num_overlap,
        num_conflicts=repetition.num_conflicts,
        majority_share=judged[outside] / max(1, sum(judged)),
        roles=columns.roles,
        fingerprint=_fingerprint(splits, names),
        notes=(*notes, _counted(counts, names), *chosen.notes),
        warnings=(*chosen.warnings, *_warnings(counts, names)),
    )


def _flat(table: pa.Table, column: str) -> np.ndarray:
    import numpy as np
    import pyarrow.compute as pc

    return np.asarray(pc.list_flatten(table[column]).to_numpy(), dtype=np.int64)


def _counted(counts: Mapping[str, Sequence[int]], names: Sequence[str]) -> str:
    kinds = kinds_of(names)
    by_kind = {kind: counts["train"][names.index(f"B-{kind}")] for kind in kinds}
    listed = ", ".join(f"{quoted(kind, 30)} {number:,}" for kind, number in by_kind.items())
    return f"entities in train: {sum(by_kind.values()):,} ({listed})"


def _warnings(counts: Mapping[str, Sequence[int]], names: Sequence[str]) -> list[str]:
    found = []
    kinds = kinds_of(names)
    for group in alike_names(kinds):
        found.append(
            f"the types {' and '.join(map(quoted, group))} differ only by case or space. If they "
            "are one, make their names equal."
        )
    for kind in kinds:
        number = {s: n[names.index(f"B-{kind}")] for s, n in counts.items()}
        here = number.pop("train")
        judged = [f"{count:,} in {split}" for split, count in number.items() if count]
        if not here and judged:
            found.append(
                f"no training row has an entity of type {quoted(kind)}, but there are "
                f"{' and '.join(judged)}: they cannot be found."
            )
        elif 0 < here < _FEW_ENTITIES:
            entities = "1 training entity" if here == 1 else f"{here} training entities"
            found.append(
                f"type {quoted(kind, 30)} has only {entities}: it will hardly be learned. Mark "
                "more, or merge it with another type."
            )
    return found


def _fingerprint(splits: Mapping[str, pa.Table], names: Sequence[str]) -> str:
    """Return the sha256 of texts, words, tags and their names."""
    import numpy as np
    import pyarrow as pa

    texts = {
        s: t.select(["text"]).append_column("label", pa.array(np.zeros(t.num_rows, np.int32)))
        for s, t in splits.items()
    }
    total = hashlib.sha256(fingerprint(texts, names).encode())
    for table in splits.values():
        for column in ("starts", "tags"):
            total.update(_flat(table, column).astype("<i4").tobytes())
    return total.hexdigest()
