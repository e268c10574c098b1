"""Translation: a text in one language into the same text in another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.tasks.sequence_columns import choose_translation, looks_translated, summary_named
from nbtransfer.tasks.sequence_rows import prepare_pairs
from nbtransfer.tasks.sequence_scores import translation_scores
from nbtransfer.tasks.sequence_to_sequence import SequenceToSequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.tables import Tables
    from nbtransfer.spec import TaskName
    from nbtransfer.tasks.task import Prepared


class Translation(SequenceToSequence):
    """A text in another language, or anything else that turns one text into another."""

    name: TaskName = "translation"
    title = "translation"
    metrics = ("chrf", "bleu", "loss")
    scores = staticmethod(translation_scores)

    def recognises(self, tables: Tables, columns: Mapping[str, str | None]) -> bool:
        """Return whether source or target is named, or the columns' names say so."""
        if columns.get("text") or columns.get("label"):
            return False
        if columns.get("source") or columns.get("target"):
            return not summary_named(columns)
        return looks_translated(tables.splits["train"])

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
            lambda read: choose_translation(read, columns.get("source"), columns.get("target")),
            validation=validation,
            split_seed=split_seed,
            learns=trained_on is None,
        )
