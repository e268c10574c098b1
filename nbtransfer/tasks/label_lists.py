"""Reading a column of lists of classes: by name, by number, or as a 0 or 1 for each class.

Lists of 0 and 1 are flags, one for each class, where they repeat a value or are all of one length
above 1: as classes, every row would have both. So `[[1, 0], [0, 1]]` is flags, while lists of
different lengths without repetition, as `[[0], [0, 1]]`, are class numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from nbtransfer.data.columns import column_facts
from nbtransfer.errors import quoted
from nbtransfer.tasks.class_labels import MAX_CLASSES
from nbtransfer.tasks.labelled_rows import unknown_classes
from nbtransfer.tasks.text_columns import is_label_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.tables import Tables

    Form = Literal["flags", "classes"]

_FORM = "labels_are"  # where a card's settings keep the form


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
        names: the classes, where they are known beforehand and stand in the lists by name.
        trained_on: the card of a trained model's data, which knows the classes and the form.
    """

    def __init__(
        self,
        column: str,
        *,
        names: Sequence[str] = (),
        trained_on: DataCard | None = None,
    ) -> None:
        self._column = column
        self._is_learnt = trained_on is None
        self._form: Form | None = "classes" if names else None
        self.names: list[str] = list(names)
        if trained_on is not None:
            self.names = list(trained_on.label_names)
            # Cards of 0.1 do not keep it: the rows themselves have to tell.
            self._form = trained_on.settings.get(_FORM)

    @property
    def settings(self) -> dict[str, Any]:
        """What a data card keeps, so that other rows are read as these were."""
        return {_FORM: self._form}

    def read(
        self, table: pa.Table, where: str, problems: list[str], notes: list[str]
    ) -> pa.ChunkedArray | None:
        """Return lists of class numbers, null where a row has none; None, and a problem, or more.

        An empty list stands for a row of no class.
        """
        import pyarrow as pa

        field, values = table.schema.field(self._column), table[self._column]
        place = f"column {quoted(self._column)} of {where}"
        if not is_list(values.type):
            problems.append(
                f"{place} holds {values.type} values, not lists of classes. Choose another with "
                "--label, or leave --task out."
            )
            return None
        inner = values.type.value_type
        if pa.types.is_nested(inner) or pa.types.is_binary(inner):
            problems.append(
                f"{place} holds lists of {inner} values, not of classes. Give each row a list of "
                "its classes by name, or a 0 or 1 for each class."
            )
            return None
        rows = values.to_pylist()
        odd = next((i for i, row in enumerate(rows) if row and any(map(_is_missing, row))), None)
        if odd is not None:
            problems.append(f"{place} holds a list with a missing class in row {odd:,}. Mend it.")
            return None
        class_names = column_facts(field).class_names
        if self._form is None:
            self._learn(rows, class_names, place, problems, notes)
        if problems:
            return None
        if self._form == "flags":
            found = self._flag_numbers(rows, place, problems)
        else:
            found = self._class_numbers(rows, class_names, place, problems)
        return None if found is None else pa.chunked_array([pa.array(found, pa.list_(pa.int32()))])

    def _learn(
        self,
        rows: list[list[Any] | None],
        class_names: tuple[str, ...] | None,
        place: str,
        problems: list[str],
        notes: list[str],
    ) -> None:
        """Find out whether lists are classes or a 0 or 1 for each, and the classes' names."""
        known = self.names or class_names
        width = _width_of_flags(rows)
        if width and (not known or width == len(known)):
            self._form = "flags"
            self.names = list(known or map(str, range(width)))
            notes.append(f"{place} is read as a 0 or 1 for each of {width} classes")
            return
        self._form = "classes"
        if known:
            self.names = list(known)
            return
        texts = {_text(value) for row in rows if row for value in row}
        if len(texts) > MAX_CLASSES:
            problems.append(
                f"{place} has {len(texts):,} different values: they look like words or ids, not "
                "classes. Choose another with --label."
            )
            return
        numeric = all(text.removeprefix("-").isdecimal() for text in texts)
        self.names = sorted(texts, key=int) if numeric else sorted(texts)

    def _flag_numbers(
        self, rows: list[list[Any] | None], place: str, problems: list[str]
    ) -> list[list[int] | None] | None:
        for i, row in enumerate(rows):
            if row and len(row) != len(self.names):
                problems.append(
                    f"{place} holds {len(row)} values in row {i:,}, but there are "
                    f"{len(self.names)} classes: give a 0 or 1 for each class in every row."
                )
                return None
            if row and (odd := [value for value in row if not _is_bit(value)]):
                problems.append(
                    f"{place} holds {quoted(odd[0])} in row {i:,}, where a 0 or 1 for each class "
                    "is expected. Mend or drop the row."
                )
                return None
        return [None if row is None else [n for n, bit in enumerate(row) if bit] for row in rows]

    def _class_numbers(
        self,
        rows: list[list[Any] | None],
        class_names: tuple[str, ...] | None,
        place: str,
        problems: list[str],
    ) -> list[list[int] | None] | None:
        numbers = {name: i for i, name in enumerate(self.names)}
        named = {str(i): name for i, name in enumerate(class_names or ())}
        texts = [
            None if row is None else [named.get(_text(value), _text(value)) for value in row]
            for row in rows
        ]
        unknown = sorted({text for row in texts if row for text in row if text not in numbers})
        if unknown:
            problems.append(unknown_classes(unknown, self.names, place, self._is_learnt))
            return None
        return [None if row is None else sorted({numbers[t] for t in row}) for row in texts]


def _width_of_flags(rows: list[list[Any] | None]) -> int:
    """Return for how many classes the lists hold a 0 or 1; 0 where they are lists of classes."""
    given = [row for row in rows if row is not None]
    filled = [row for row in given if row]
    if not filled or not all(_is_bit(value) for row in filled for value in row):
        return 0
    repeats = any(len(set(row)) < len(row) for row in filled)
    widths = {len(row) for row in given}
    return len(filled[0]) if repeats or (len(widths) == 1 and len(filled[0]) > 1) else 0


def _is_bit(value: object) -> bool:
    return isinstance(value, (int, float)) and value in (0, 1)


def _is_missing(value: object) -> bool:
    return value is None or value != value  # NaN alone is not itself


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
