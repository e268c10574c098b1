"""Text regression: a number for each text, as in similarity, ratings and prices."""

# Shapes: N rows.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.card import DataCard, fingerprint_of_rows
from nbtransfer.errors import DataError, quoted
from nbtransfer.tasks.answered_rows import read_rows
from nbtransfer.tasks.class_findings import MAX_MISTAKES, cut_text
from nbtransfer.tasks.findings import Findings, Mistake
from nbtransfer.tasks.inputs import TEXT_COLUMNS, encode_rows, read_texts, text_rows
from nbtransfer.tasks.task import Prepared
from nbtransfer.tasks.text_columns import choose_columns, is_label_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from nbtransfer.data.encoding import Encoding
    from nbtransfer.data.tables import Tables
    from nbtransfer.tasks.task import Answers, Tokenizer


class TextRegression:
    """One number for each text, or for each pair of texts.

    The model learns the numbers with mean 0 and deviation 1, so that prices need no other learning
    rate than grades; `loss` is the squared error on that scale, everything else on the data's own.
    """

    name = "text-regression"
    title = "text regression"
    auto_class = "AutoModelForSequenceClassification"
    roles = ("text", "text_pair", "label")
    metrics = ("pearson", "spearman", "rmse", "loss")
    techniques = ("full", "lora", "top:2", "head", "features")
    options = ()
    reads_windows = False

    def recognises(self, tables: Tables, columns: Mapping[str, str | None]) -> bool:
        """Return whether the label column, named or by its name, holds numbers with decimals."""
        table, wanted = tables.splits["train"], columns.get("label")
        names = [wanted] if wanted else [n for n in table.column_names if is_label_name(n)]
        return any(name in table.column_names and _has_decimals(table[name]) for name in names)

    def prepare(
        self,
        tables: Tables,
        columns: Mapping[str, str | None],
        *,
        validation: object = None,
        split_seed: int = 42,
        trained_on: DataCard | None = None,
    ) -> Prepared:
        """Return the rows as text (and text_pair), label (float64) and row."""
        import numpy as np

        asked = {role: columns.get(role) for role in ("text", "text_pair")}
        label = columns.get("label") or _decimal_column(tables)
        if label is None:  # whole numbers, which are recognised as classes are
            label = choose_columns(tables, **asked).label
        chosen = choose_columns(tables, label=label, **asked)
        found = read_rows(
            tables,
            chosen,
            lambda table, where, problems, notes: _numbers(table, chosen.label, where, problems),
            validation=validation,
            split_seed=split_seed,
        )
        values = found.splits["train"]["label"].to_numpy()
        if trained_on is None and not values.std() > 0:
            advice = "choose another column with --label" if len(values) > 1 else "add rows"
            raise DataError(
                f"every value of column {quoted(chosen.label)} of {tables.name} that is left for "
                f"training is {values[0]:g}. There is nothing to learn: {advice}."
            )
        notes = () if columns.get("label") else (f"label column: {quoted(label)} (numbers)",)
        fields = found.card_fields() | {"notes": (*found.notes, *notes)}
        card = DataCard(
            name=tables.name,
            origin=tables.origin,
            task="text-regression",
            text_column=chosen.text,
            label_column=chosen.label,
            label_names=("score",),
            class_counts={},
            fingerprint=fingerprint_of_rows(found.splits),
            roles=chosen.roles,
            scale=(float(np.mean(values)), float(np.std(values))),
            **fields,
        )
        return Prepared(found.splits, card)

    def texts(self, table: pa.Table) -> Sequence[pa.ChunkedArray]:
        """Return the text, or both of a pair."""
        return read_texts(table)

    def objective(self, card: DataCard) -> str:
        """Return that a number is asked for."""
        return "score"

    def encode(
        self, tokenizer: Tokenizer, table: pa.Table, max_length: int, card: DataCard
    ) -> Encoding:
        """Return the texts as tokens; targets are scaled numbers, float32 array (N,)."""
        mean, deviation = card.scale
        targets = None
        if "label" in table.column_names:
            targets = ((table["label"].to_numpy() - mean) / deviation).astype("float32")
        return encode_rows(tokenizer, table, max_length, targets)

    def decode(
        self,
        answers: Answers,
        encoding: Encoding,
        table: pa.Table,
        card: DataCard,
        tokenizer: Tokenizer,
    ) -> pa.Table:
        """Return text, label (where known), predicted and row."""
        import pyarrow as pa

        known = [name for name in (*TEXT_COLUMNS, "label", "row") if name in table.column_names]
        found = pa.table({name: table[name] for name in known})
        return found.append_column("predicted", pa.array(_predicted(answers, card)))

    def measure(
        self, answers: Answers, loss: float, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> dict[str, float]:
        """Return the correlations of Pearson and Spearman, and the root of the squared error."""
        import numpy as np
        import pandas as pd

        actual, predicted = table["label"].to_numpy(), predictions["predicted"].to_numpy()
        return {
            "eval_pearson": _correlation(actual, predicted),
            "eval_spearman": _correlation(
                pd.Series(actual).rank().to_numpy(), pd.Series(predicted).rank().to_numpy()
            ),
            "eval_rmse": float(np.sqrt(np.mean((actual - predicted) ** 2))),
            "eval_loss": loss,
        }

    def findings(
        self, answers: Answers, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> Findings:
        """Return the predictions that are farthest off."""
        import numpy as np

        actual, predicted = table["label"].to_numpy(), predictions["predicted"].to_numpy()
        worst = np.argsort(-np.abs(actual - predicted), kind="stable")[:MAX_MISTAKES]
        texts, rows = table["text"].to_pylist(), table["row"].to_pylist()
        return Findings(
            mistakes=tuple(
                Mistake(
                    cut_text(texts[i]), f"{actual[i]:.3g}", f"{predicted[i]:.3g}", None, rows[i]
                )
                for i in worst
            )
        )

    def tuned(
        self, answers: Answers, encoding: Encoding, table: pa.Table, card: DataCard
    ) -> DataCard:
        """Return the card as it is."""
        return card

    def inputs(self, values: Sequence[object], card: DataCard, first: int = 0) -> pa.Table:
        """Return the texts, or pairs of texts."""
        return text_rows(values, card, first)

    def results(self, predictions: pa.Table, card: DataCard) -> list[ScorePrediction]:
        """Return the number the model gives to each text."""
        return [ScorePrediction(value) for value in predictions["predicted"].to_pylist()]


class ScorePrediction(NamedTuple):
    """The number that a model gives to a text."""

    score: float

    def cells(self) -> dict[str, str]:
        """Return what a table of predictions says of it."""
        return {"score": f"{self.score:.3f}"}


def _predicted(answers: Answers, card: DataCard) -> np.ndarray:
    import numpy as np

    mean, deviation = card.scale
    scores = answers.get("score", np.zeros(0))
    assert isinstance(scores, np.ndarray)
    return scores * deviation + mean


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation; 0 where one side is always the same."""
    import numpy as np

    if len(a) < 2 or not a.std() or not b.std():
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _has_decimals(column: pa.ChunkedArray) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return False
    finite = column.filter(pc.is_finite(column))
    return bool(pc.any(pc.not_equal(pc.floor(finite), finite)).as_py())


def _decimal_column(tables: Tables) -> str | None:
    table = tables.splits["train"]
    named = [n for n in table.column_names if is_label_name(n) and _has_decimals(table[n])]
    return named[0] if len(named) == 1 else None


def _numbers(
    table: pa.Table, column: str, where: str, problems: list[str]
) -> pa.ChunkedArray | None:
    """Return the numbers as float64, null where there is none or it is not finite."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = table[column]
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        problems.append(
            f"column {quoted(column)} of {where} holds {values.type} values, not numbers. Choose "
            "a column of numbers with --label."
        )
        return None
    values = values.cast(pa.float64())
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
