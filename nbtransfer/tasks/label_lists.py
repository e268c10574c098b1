"""Reading a column of lists of classes: by name, by number, or as a 0 or 1 for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.data.columns import column_facts
from nbtransfer.errors import quoted
from nbtransfer.tasks.class_labels import MAX_CLASSES
from nbtransfer.tasks.labelled_rows import unknown_classes
from nbtransfer.tasks.text_columns import is_label_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from nbtransfer.data.tables import Tables


def is_list(kind: pa.DataType) -> bool:
    """Return whether a column's values are lists."""
    import pyarrow as pa

    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)


def list_column(tables: Tables, wanted: str | None) -> str | None:
    """Return the column of lists that was named, or is named like a label; None without one."""
    fields = [field for field in tables.splits["train"].schema if is_list(field.type)]
    if wanted is not None:
        return next((field.name for field in fields if field.name == wanted), None)
    named = [field.name for field in fields if is_label_name(field.name)]
    return named[0] if len(named) == 1 else None


class LabelLists:
    """Turns lists of classes into lists of class numbers; train's are read first.

    Args:
        column: where they stand.
        names: the classes of a trained model; None learns them from train.
    """

    def __init__(self, column: str, names: Sequence[str] | None) -> None:
        self._column = column
        self._is_learnt = names is None
        self._is_flags = False
        self._width = 0
        self.names: list[str] = list(names or ())

    def read(
        self, table: pa.Table, where: str, problems: list[str], notes: list[str]
    ) -> pa.ChunkedArray | None:
        """Return lists of class numbers, null where a row has none; None, and a problem, or more.

        An empty list stands for a row of no class.
        """
        import pyarrow as pa

        values = table[self._column]
        place = f"column {quoted(self._column)} of {where}"
        if not is_list(values.type):
            problems.append(
                f"{place} holds {values.type} values, not lists of classes. Choose another with "
                "--label, or leave --task out."
            )
            return None
        rows = values.to_pylist()
        odd = next((i for i, row in enumerate(rows) if row is not None and None in row), None)
        if odd is not None:
            problems.append(f"{place} holds a list with a missing class in row {odd:,}. Mend it.")
            return None
        if not self._width and not self.names:
            self._learn(rows, table.schema.field(self._column), place, problems)
        if problems:
            return None
        numbers = self._flag_numbers if self._is_flags else self._class_numbers
        found = numbers(rows, place, problems)
        return None if found is None else pa.chunked_array([pa.array(found, pa.list_(pa.int32()))])

    def _learn(
        self, rows: list[list[object] | None], field: pa.Field, place: str, problems: list[str]
    ) -> None:
        """Find out whether lists are classes or a 0 or 1 for each, and the classes' names."""
        present = [row for row in rows if row]
        values = {value for row in present for value in row}
        only_bits = values <= {0, 1} and not any(isinstance(v, str) for v in values)
        repeats = any(len(set(row)) < len(row) for row in present)
        self._is_flags = bool(only_bits and repeats)
        if self._is_flags:
            self._width = len(present[0])
            known = column_facts(field).class_names
            self.names = list(known or map(str, range(self._width)))
            return
        texts = {_text(value) for value in values}
        if len(texts) > MAX_CLASSES:
            problems.append(
                f"{place} has {len(texts):,} different values: they look like words or ids, not "
                "classes. Choose another with --label."
            )
            return
        numeric = all(text.removeprefix("-").isdecimal() for text in texts)
        self.names = sorted(texts, key=int) if numeric else sorted(texts)

    def _flag_numbers(
        self, rows: list[list[object] | None], place: str, problems: list[str]
    ) -> list[list[int] | None] | None:
        for i, row in enumerate(rows):
            if row and len(row) != len(self.names):
                problems.append(
                    f"{place} holds {len(row)} values in row {i:,} but {len(self.names)} in the "
                    "first: a 0 or 1 for each class must be as long in every row."
                )
                return None
        return [None if row is None else [n for n, bit in enumerate(row) if bit] for row in rows]

    def _class_numbers(
        self, rows: list[list[object] | None], place: str, problems: list[str]
    ) -> list[list[int] | None] | None:
        numbers = {name: i for i, name in enumerate(self.names)}
        texts = [None if row is None else [_text(value) for value in row] for row in rows]
        unknown = sorted({text for row in texts if row for text in row if text not in numbers})
        if unknown:
            problems.append(unknown_classes(unknown, self.names, place, self._is_learnt))
            return None
        return [None if row is None else sorted({numbers[t] for t in row}) for row in texts]


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
