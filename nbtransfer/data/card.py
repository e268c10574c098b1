"""The data card: what is known about a data set once it is prepared for a task."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.data.columns import column_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from nbtransfer.spec import TaskName

_EXAMPLE_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True)
class ColumnInfo:
    """One column as it was read.

    Attributes:
        name: the column's name.
        type: its Arrow type, or `class label`.
        num_missing: null values.
        num_distinct: different values, or None for types that are not counted.
        example: the first value, cut to 80 characters.
    """

    name: str
    type: str
    num_missing: int
    num_distinct: int | None
    example: str


@dataclass(frozen=True, kw_only=True)
class DataCard:
    """What is known about a data set.

    Attributes:
        name: the data as the user called it.
        origin: where it came from.
        task: the task it was prepared for.
        text_column: the column read as text, the first of several.
        label_column: the column read as answer; empty where the text is its own.
        columns: all columns of the train split as they were read.
        num_rows: rows by split, after preparation.
        label_names: names of the classes 0, 1, ...
        class_counts: rows by split and class.
        num_duplicates: rows of train whose text stands in an earlier row.
        num_overlap: rows by split (train apart) whose text is also in train.
        num_conflicts: different texts that carry two labels.
        majority_share: accuracy of always answering train's largest class, on validation (on train
            where there is none); None for a task without classes.
        fingerprint: sha256 of the prepared rows and class names.
        notes: choices made, in words.
        warnings: what the user should look at.
        roles: the column read for each of the task's roles.
        num_unanswerable: by split, questions that have no answer.
        thresholds: of several classes a row, the probability from which each is said; 0.5 where
            none were tuned. Of questions, one: by how much "no answer" must be ahead to be said.
        scale: of scores, the mean and standard deviation in train; the model learns them with mean
            0 and deviation 1.
        settings: the options of the spec that only this task reads, as they were decided.
    """

    name: str
    origin: str
    task: TaskName
    text_column: str
    label_column: str
    columns: tuple[ColumnInfo, ...]
    num_rows: dict[str, int]
    label_names: tuple[str, ...]
    class_counts: dict[str, tuple[int, ...]]
    num_duplicates: int
    num_overlap: dict[str, int]
    num_conflicts: int
    majority_share: float | None
    fingerprint: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    roles: dict[str, str] = field(default_factory=dict)
    num_unanswerable: dict[str, int] = field(default_factory=dict)
    thresholds: tuple[float, ...] = ()
    scale: tuple[float, float] = (0.0, 1.0)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def has_unanswerable(self) -> bool:
        """Whether train teaches that a question may have no answer."""
        return self.num_unanswerable.get("train", 0) > 0

    @property
    def counted(self) -> Counted:
        """What a reader counts: rows by class, or where words are tagged, entities by type."""
        if self.task != "token-classification":
            return Counted("class", "classes", self.label_names, self.class_counts)
        begins = [i for i, name in enumerate(self.label_names) if name.startswith("B-")]
        return Counted(
            "entity",
            "types of entities",
            tuple(self.label_names[i][2:] for i in begins),
            {s: tuple(counts[i] for i in begins) for s, counts in self.class_counts.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> DataCard:
        """Return the card that `to_json` wrote; fields of newer versions are left out."""
        names = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in record.items() if k in names}
        values["columns"] = tuple(ColumnInfo(**c) for c in values["columns"])
        values["class_counts"] = {s: tuple(c) for s, c in values["class_counts"].items()}
        for name in ("label_names", "notes", "warnings"):
            values[name] = tuple(values.get(name, ()))
        for name, default in (("thresholds", ()), ("scale", (0.0, 1.0))):
            values[name] = tuple(values.get(name, default))
        # Cards of version 0.1 name two columns and no roles.
        values.setdefault("roles", {"text": values["text_column"], "label": values["label_column"]})
        return cls(**values)


class Counted(NamedTuple):
    """What is counted of the data by split: one of it, several, their names and numbers."""

    word: str
    words: str
    names: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]


class Repetition(NamedTuple):
    """Texts that stand more than once; the fields mean what they mean in DataCard."""

    num_duplicates: int
    num_overlap: dict[str, int]
    num_conflicts: int


def describe_columns(
    table: pa.Table, num_distinct: Mapping[str, int] | None = None
) -> tuple[ColumnInfo, ...]:
    """Return each column's type, missing and different values, and an example.

    Args:
        table: the columns as they were read.
        num_distinct: counts that are known already, by column; to count texts takes long.
    """
    return tuple(
        _describe(table, position, (num_distinct or {}).get(name))
        for position, name in enumerate(table.column_names)
    )


def class_counts(splits: Mapping[str, pa.Table], num_classes: int) -> dict[str, tuple[int, ...]]:
    """Return the rows of each class, by split."""
    import numpy as np

    return {
        split: tuple(np.bincount(table.column("label").to_numpy(), minlength=num_classes).tolist())
        for split, table in splits.items()
    }


def majority_share(counts: Mapping[str, Sequence[int]]) -> float:
    """Return how often train's largest class is right, on validation (on train without one)."""
    train = counts["train"]
    largest = max(range(len(train)), key=train.__getitem__)
    judged = counts.get("validation", train)
    return judged[largest] / total if (total := sum(judged)) else 0.0


def find_repetition(splits: Mapping[str, pa.Table]) -> Repetition:
    """Count texts repeated within train, shared between splits, and labelled in two ways.

    Args:
        splits: tables of text_id and, where rows are labelled, label; equal texts have equal
            text_id, from 0 on.
    """
    import numpy as np

    names = list(splits)
    codes = {split: table.column("text_id").to_numpy() for split, table in splits.items()}
    all_codes = np.concatenate(list(codes.values()))
    labels = [
        splits[s]["label"].to_numpy()
        if "label" in splits[s].column_names
        else np.zeros(splits[s].num_rows)
        for s in names
    ]
    all_labels = np.concatenate(labels)
    num_texts = int(all_codes.max()) + 1 if len(all_codes) else 0
    in_train = np.zeros(num_texts, dtype=bool)
    in_train[codes["train"]] = True
    a_label = np.zeros(num_texts, dtype=all_labels.dtype)
    a_label[all_codes] = all_labels
    conflicting = all_codes[all_labels != a_label[all_codes]]
    return Repetition(
        num_duplicates=len(codes["train"]) - int(in_train.sum()),
        num_overlap={s: int(in_train[codes[s]].sum()) for s in names if s != "train"},
        num_conflicts=len(np.unique(conflicting)),
    )


def text_ids(columns: Sequence[pa.ChunkedArray]) -> list[np.ndarray]:
    """Return a number per row for each column of texts, from 0 on; equal texts have equal ones."""
    import numpy as np
    import pyarrow as pa

    chunks = [chunk for column in columns for chunk in column.chunks]
    # large_string: the dictionary of all texts may pass the 2 GiB that `string` holds.
    joined = pa.chunked_array(chunks, type=pa.string()).cast(pa.large_string())
    encoded = joined.dictionary_encode().unify_dictionaries()
    parts = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    codes = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    ends = np.cumsum([len(column) for column in columns])
    return list(np.split(codes, ends[:-1]))


def fingerprint(splits: Mapping[str, pa.Table], label_names: Sequence[str]) -> str:
    """Return the sha256 of class names, texts and labels, however Arrow cut its chunks.

    Of a pair, both texts count.
    """
    import numpy as np
    import pyarrow.compute as pc

    total = hashlib.sha256()
    for name in label_names:
        _update(total, name.encode())
    for split, table in splits.items():
        _update(total, split.encode())
        _update(total, table.column("label").to_numpy().astype("<i4").tobytes())
        for name in ("text", "text_pair"):
            if name not in table.column_names:
                continue
            texts, lengths = hashlib.sha256(), hashlib.sha256()
            for chunk in table.column(name).chunks:
                sizes = pc.binary_length(chunk).to_numpy().astype("<i8")
                lengths.update(sizes.tobytes())
                _, offsets, data = chunk.buffers()
                if not len(chunk) or data is None:
                    continue
                places = np.frombuffer(offsets, dtype=np.int32)
                start, end = places[chunk.offset], places[chunk.offset + len(chunk)]
                texts.update(memoryview(data)[start:end])
            total.update(lengths.digest() + texts.digest())
    return total.hexdigest()


def fingerprint_of_rows(splits: Mapping[str, pa.Table]) -> str:
    """Return the sha256 of tables of any columns, however Arrow cut their chunks."""
    import pyarrow as pa

    total = hashlib.sha256()
    for split, table in splits.items():
        _update(total, split.encode())
        whole = table.combine_chunks().replace_schema_metadata(None)
        # Twice, for its length and for its bytes: no copy of the rows is ever made.
        counted = pa.MockOutputStream()
        for sink in (counted, pa.PythonFile(_Hashed(total), mode="w")):
            with pa.ipc.new_stream(sink, whole.schema) as writer:
                writer.write_table(whole)
            if sink is counted:
                total.update(counted.size().to_bytes(8, "little"))
    return total.hexdigest()


class _Hashed(io.RawIOBase):
    """A file that is not kept, only hashed."""

    def __init__(self, digest: hashlib._Hash) -> None:
        self._digest = digest

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:  # noqa: ANN401 -- any buffer
        self._digest.update(part)
        return len(part)


def _update(total: hashlib._Hash, part: bytes) -> None:
    """Add `part` behind its length, so that no two sequences of parts read alike."""
    total.update(len(part).to_bytes(8, "little") + part)


def _describe(table: pa.Table, position: int, num_distinct: int | None) -> ColumnInfo:
    import pyarrow as pa
    import pyarrow.compute as pc

    field, column = table.schema.field(position), table.column(position)
    if num_distinct is None:
        # Arrow cannot count lists, nor pandas' periods and intervals.
        with contextlib.suppress(pa.ArrowNotImplementedError):
            num_distinct = pc.count_distinct(column, mode="only_valid").as_py()
    present = column.drop_null() if column.null_count else column
    example = "" if not len(present) else str(present[0].as_py())
    named = column_facts(field).class_names is not None
    return ColumnInfo(
        name=field.name,
        type="class label" if named else str(field.type),
        num_missing=column.null_count,
        num_distinct=num_distinct,
        example=example if len(example) <= _EXAMPLE_CHARACTERS else example[:79] + "…",
    )
