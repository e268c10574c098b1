"""Summarization: a long text into a short one that says the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.tasks.sequence_columns import choose_summarised, looks_summarised, summary_named
from nbtransfer.tasks.sequence_rows import prepare_pairs
from nbtransfer.tasks.sequence_scores import summary_scores
from nbtransfer.tasks.sequence_to_sequence import SequenceToSequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.tables import Tables
    from nbtransfer.spec import TaskName
    from nbtransfer.tasks.task import Prepared


class Summarization(SequenceToSequence):
    """A short text that says what a long one says."""

    name: TaskName = "summarization"
    title = "summarization"
    metrics = ("rougeL", "rouge1", "rouge2", "loss")
    scores = staticmethod(summary_scores)

    def recognises(self, tables: Tables, columns: Mapping[str, str | None]) -> bool:
        """Return whether the columns named, or found, are a text and its summary."""
        if columns.get("text") or columns.get("label"):
            return False
        if columns.get("source") or columns.get("target"):
            return summary_named(columns)
        return looks_summarised(tables.splits["train"])

    def prepare(
        self,
        tables: Tables,
        columns: Mapping[str, str | None],
        *,
        validation: object = None,
        split_seed: int = 42,
        trained_on: DataCard | None = None,
    ) -> Prepared:
        """Return the rows as source, target and row."""
        return prepare_pairs(
            self.name,
            tables,
            lambda read: choose_summarised(read, columns.get("source"), columns.get("target")),
            validation=validation,
            split_seed=split_seed,
            learns=trained_on is None,
        )
