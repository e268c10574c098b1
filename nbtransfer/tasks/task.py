"""What every NLP task answers for: its columns, its encoding, its decoding, its metrics.

A task is one cold file. What a model computes is named by `objective`, one of the kinds in
`engine.objectives`; everything before that (columns to numbers) and after it (numbers to answers
that a person reads) is the task's own.
"""

# Shapes: N encoded rows, R rows of a table.
from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.encoding import Encoding, Ragged
    from nbtransfer.data.tables import Tables
    from nbtransfer.models.card import ModelCard
    from nbtransfer.spec import RunSpec
    from nbtransfer.tasks.findings import Example, Findings, Sample
    from nbtransfer.tasks.language_samples import Prompt

Answers = dict[str, "np.ndarray | Ragged"]
Tokenizer = Any  # of transformers, which cold modules do not import


class Prepared(NamedTuple):
    """Rows ready to be encoded.

    Attributes:
        splits: the task's own columns and row (int64, where the row stood in the data as given),
            by split.
        card: what is known about them.
    """

    splits: dict[str, pa.Table]
    card: DataCard


class Decisions(NamedTuple):
    """What a task decides of its own options once data and model are known.

    Attributes:
        card: the data's, with `settings`.
        texts: what is read together, to measure its length.
        target_tokens: the most tokens of a target.
        mean_target_tokens: the mean of them.
        max_positions: the most tokens that are left for `texts`; None leaves all.
        in_one_sequence: target and source are read together, by the same blocks.
        problems: what makes data, model and options unfit for each other.
        notes: choices made, in words.
    """

    card: DataCard
    texts: Sequence[pa.ChunkedArray]
    target_tokens: int = 0
    mean_target_tokens: float = 0.0
    max_positions: int | None = None
    in_one_sequence: bool = False
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@runtime_checkable
class Decides(Protocol):
    """A task with options of its own that depend on data and model together."""

    def decide(self, spec: RunSpec, prepared: Prepared, model: ModelCard) -> Decisions:
        """Return what is decided; the values of `spec` are sound, one by one."""


@runtime_checkable
class WritesTexts(Protocol):
    """A task whose answers are texts, of which some are shown at each evaluation."""

    def examples(self, predictions: pa.Table, count: int) -> tuple[Example, ...]:
        """Return `count` rows, evenly spread over those that a text was written for."""


@runtime_checkable
class ShowsSamples(Protocol):
    """A task whose model is shown at work on a few held-out texts at each evaluation."""

    def prompts(self, encoding: Encoding) -> list[Prompt]:
        """Return what the model is to go on with; nothing where the answers tell all."""

    def samples(
        self,
        answers: Answers,
        encoding: Encoding,
        written: Sequence[np.ndarray],
        tokenizer: Tokenizer,
    ) -> tuple[Sample, ...]:
        """Return what the model says of these texts.

        Args:
            answers: of all rows.
            encoding: these rows.
            written: what the model goes on with after each prompt, int32 arrays.
            tokenizer: the model's own.
        """


class Task(Protocol):
    """One NLP task.

    Attributes:
        name: as transformers' hub spells it, `text-classification`.
        title: as a sentence spells it.
        auto_class: the class of transformers that loads a model with the task's head.
        roles: options that name its columns, the main text's first.
        metrics: names of what is measured, without `eval_`, `loss` among them; the first one
            chooses the best model unless the user says otherwise.
        techniques: which of them the task has.
        options: fields of RunSpec that only some tasks read, and this one does.
        reads_windows: texts longer than the maximum length are read in several windows, not cut.
    """

    name: str
    title: str
    auto_class: str
    roles: tuple[str, ...]
    metrics: tuple[str, ...]
    techniques: tuple[str, ...]
    options: tuple[str, ...]
    reads_windows: bool

    def recognises(self, tables: Tables, columns: Mapping[str, str | None]) -> bool:
        """Return whether the data looks like this task's."""

    def prepare(
        self,
        tables: Tables,
        columns: Mapping[str, str | None],
        *,
        validation: object = None,
        split_seed: int = 42,
        trained_on: DataCard | None = None,
    ) -> Prepared:
        """Return the rows as the task's own columns, split, checked and described.

        Args:
            tables: the data as read.
            columns: the column of each role; None recognises it.
            validation: a split's name, a fraction, a file, a table, or False.
            split_seed: decides which rows are held out.
            trained_on: the card of a trained model's data, to evaluate on this data: nothing is
                learnt from it then.

        Raises:
            DataError: naming every problem found.
        """

    def texts(self, table: pa.Table) -> Sequence[pa.ChunkedArray]:
        """Return the texts that are read together, to measure their lengths."""

    def objective(self, card: DataCard) -> str:
        """Return the kind of answer asked of the model, a name in `engine.objectives`."""

    def encode(
        self,
        tokenizer: Tokenizer,
        table: pa.Table,
        max_length: int,
        card: DataCard,
    ) -> Encoding:
        """Return prepared rows as numbers; without the answers' columns, without targets."""

    def decode(
        self,
        answers: Answers,
        encoding: Encoding,
        table: pa.Table,
        card: DataCard,
        tokenizer: Tokenizer,
    ) -> pa.Table:
        """Return what the model says of each row, in columns of the task's own (R rows)."""

    def measure(
        self, answers: Answers, loss: float, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> dict[str, float]:
        """Return every metric by name, with `eval_`, `eval_loss` among them."""

    def findings(
        self, answers: Answers, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> Findings:
        """Return what a report shows besides the metrics."""

    def tuned(
        self, answers: Answers, encoding: Encoding, table: pa.Table, card: DataCard
    ) -> DataCard:
        """Return the card with what is decided on the validation rows' answers, if anything is."""

    def inputs(self, values: Sequence[object], card: DataCard, first: int = 0) -> pa.Table:
        """Return what a user wants answered as prepared rows.

        Args:
            values: texts; of several roles, dicts by role.
            card: of the data that the model was trained on.
            first: the number of the first of them among all that are given.

        Raises:
            DataError: if a value is of no use.
        """

    def results(self, predictions: pa.Table, card: DataCard) -> list[Any]:
        """Return decoded predictions as objects a user reads."""
