"""Classes in the order of a model's own head, so that the head goes on with what it knows."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from nbtransfer.data.card import fingerprint_of_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from nbtransfer.tasks.task import Prepared


def in_head_order(prepared: Prepared, head_labels: Sequence[str]) -> Prepared:
    """Return the rows with their classes numbered as in `head_labels`.

    Where these are not the same classes the rows stay as they are: the plan refuses them.
    """
    card = prepared.card
    if card.label_names == tuple(head_labels) or set(card.label_names) != set(head_labels):
        return prepared
    number_of = [head_labels.index(name) for name in card.label_names]
    old_of = [card.label_names.index(name) for name in head_labels]
    splits = {s: _renumbered(table, number_of) for s, table in prepared.splits.items()}
    counts = {s: tuple(count[old] for old in old_of) for s, count in card.class_counts.items()}
    changed = dataclasses.replace(
        card,
        label_names=tuple(head_labels),
        class_counts=counts,
        fingerprint=fingerprint_of_rows(splits),
    )
    return prepared._replace(splits=splits, card=changed)


def _renumbered(table: pa.Table, number_of: Sequence[int]) -> pa.Table:
    """Return the table with other class numbers, one a row or lists of them."""
    import pyarrow as pa

    name = "tags" if "tags" in table.column_names else "label"
    column = table[name].combine_chunks()
    numbers = pa.array(number_of, pa.int32())
    if pa.types.is_list(column.type):
        offsets = column.offsets.to_numpy()
        flat = numbers.take(column.flatten())
        column = pa.ListArray.from_arrays(pa.array(offsets - offsets[0]), flat)
    else:
        column = numbers.take(column)
    return table.set_column(table.schema.get_field_index(name), name, column)
