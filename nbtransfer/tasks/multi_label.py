"""Multi-label classification: any number of classes for each text."""

# Shapes: N rows, C classes.
from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.card import DataCard, fingerprint_of_rows
from nbtransfer.errors import DataError, count_of, quoted
from nbtransfer.tasks.answered_rows import read_rows
from nbtransfer.tasks.class_findings import MAX_MISTAKES, cut_text
from nbtransfer.tasks.findings import ClassRow, Findings, Mistake
from nbtransfer.tasks.inputs import TEXT_COLUMNS, encode_rows, read_texts, text_rows
from nbtransfer.tasks.label_columns import label_columns, with_label_lists
from nbtransfer.tasks.label_lists import LabelLists, list_column
from nbtransfer.tasks.task import Prepared
from nbtransfer.tasks.text_columns import choose_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from nbtransfer.data.encoding import Encoding
    from nbtransfer.data.tables import Tables
    from nbtransfer.tasks.task import Answers, Tokenizer

_SHOWN_THRESHOLDS = 8


class MultiLabelClassification:
    """Any number of classes for each text, or for each pair of texts."""

    name = "multi-label-classification"
    title = "multi-label classification"
    auto_class = "AutoModelForSequenceClassification"
    roles = ("text", "text_pair", "label")
    metrics = ("f1_micro", "f1_macro", "accuracy", "loss")
    techniques = ("full", "lora", "top:2", "head", "features")
    options = ()
    reads_windows = False

    def recognises(self, tables: Tables, columns: Mapping[str, str | None]) -> bool:
        """Return whether the label column, named or by its name, holds lists, or several do."""
        label = columns.get("label")
        names = tables.splits["train"].column_names
        return list_column(tables, label) is not None or bool(label_columns(names, label))

    def prepare(
        self,
        tables: Tables,
        columns: Mapping[str, str | None],
        *,
        validation: object = None,
        split_seed: int = 42,
        trained_on: DataCard | None = None,
    ) -> Prepared:
        """Return the rows as text (and text_pair), label (list of int32 class numbers) and row."""
        asked, first = columns.get("label"), tables.splits["train"]
        names = label_columns(first.column_names, asked)
        with_lists = with_label_lists(first, asked, tables.name)
        read = tables._replace(splits={**tables.splits, "train": with_lists})
        label = list_column(read, asked) or asked
        chosen = choose_columns(
            read, text=columns.get("text"), label=label, text_pair=columns.get("text_pair")
        )
        lists = LabelLists(chosen.label, names=names, trained_on=trained_on)
        found = read_rows(tables, chosen, lists.read, validation=validation, split_seed=split_seed)
        counts = {split: _counts(table, len(lists.names)) for split, table in found.splits.items()}
        classes = f"{len(lists.names)} classes, any number of them a row"
        notes = (*found.notes, f"label column: {quoted(chosen.label)} ({classes})")
        warnings = list(found.warnings)
        if trained_on is None:
            if not any(counts["train"]):
                raise DataError(
                    f"no row of {tables.name} has a class in column {quoted(chosen.label)}. Choose "
                    "another with --label."
                )
            absent = [n for n, count in zip(lists.names, counts["train"], strict=True) if not count]
            if absent:
                listed = ", ".join(map(quoted, absent[:5]))
                warnings.append(f"no training row has {listed}: such classes cannot be learned.")
        empty = sum(not row for row in found.splits["train"]["label"].to_pylist())
        if empty:
            notes = (*notes, f"{count_of(empty, 'training row')} with an empty list: no class")
        fields = found.card_fields() | {"notes": notes, "warnings": tuple(warnings)}
        card = DataCard(
            name=tables.name,
            origin=tables.origin,
            task="multi-label-classification",
            text_column=chosen.text,
            label_column=chosen.label,
            label_names=tuple(lists.names),
            class_counts=counts,
            fingerprint=fingerprint_of_rows(found.splits),
            roles=chosen.roles,
            settings=lists.settings,
            **fields,
        )
        return Prepared(found.splits, card)

    def texts(self, table: pa.Table) -> Sequence[pa.ChunkedArray]:
        """Return the text, or both of a pair."""
        return read_texts(table)

    def objective(self, card: DataCard) -> str:
        """Return that a yes or no for each class is asked for."""
        return "several classes"

    def encode(
        self, tokenizer: Tokenizer, table: pa.Table, max_length: int, card: DataCard
    ) -> Encoding:
        """Return the texts as tokens; targets are 0 or 1 a class, float32 array (N, C)."""
        targets = None
        if "label" in table.column_names:
            targets = _flags(table, len(card.label_names)).astype("float32")
        return encode_rows(tokenizer, table, max_length, targets)

    def decode(
        self,
        answers: Answers,
        encoding: Encoding,
        table: pa.Table,
        card: DataCard,
        tokenizer: Tokenizer,
    ) -> pa.Table:
        """Return text, label (where known), predicted, row and p_<class> by class.

        `label` and `predicted` are lists of class names.
        """
        import numpy as np
        import pyarrow as pa

        shares = _probabilities(answers, len(card.label_names))
        known = [name for name in (*TEXT_COLUMNS, "row") if name in table.column_names]
        columns = {name: table[name] for name in known}
        if "label" in table.column_names:
            columns["label"] = _names(_flags(table, len(card.label_names)), card)
        columns["predicted"] = _names(shares >= _thresholds(card), card)
        each = np.ascontiguousarray(shares.T)
        columns |= {f"p_{name}": pa.array(each[i]) for i, name in enumerate(card.label_names)}
        return pa.table(columns)

    def measure(
        self, answers: Answers, loss: float, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> dict[str, float]:
        """Return F1 over all classes at once and by class, and the share of rows wholly right."""
        import numpy as np
        from sklearn.metrics import f1_score

        actual = _flags(table, len(card.label_names))
        said = _probabilities(answers, len(card.label_names)) >= _thresholds(card)
        return {
            "eval_f1_micro": float(f1_score(actual, said, average="micro", zero_division=0)),
            "eval_f1_macro": float(f1_score(actual, said, average="macro", zero_division=0)),
            "eval_accuracy": float(np.mean((actual == said).all(axis=1))),
            "eval_loss": loss,
        }

    def findings(
        self, answers: Answers, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> Findings:
        """Return each class's figures, and the rows with the surest wrong class."""
        import numpy as np
        from sklearn.metrics import precision_recall_fscore_support

        actual = _flags(table, len(card.label_names))
        shares = _probabilities(answers, len(card.label_names))
        said = shares >= _thresholds(card)
        figures = precision_recall_fscore_support(actual, said, average=None, zero_division=0)
        sureness = np.where(said != actual, np.abs(shares - _thresholds(card)), 0).max(axis=1)
        worst = np.argsort(-sureness, kind="stable")[:MAX_MISTAKES]
        texts, rows = table["text"].to_pylist(), table["row"].to_pylist()
        right, wrong = _names(actual, card).to_pylist(), _names(said, card).to_pylist()
        return Findings(
            labels=card.label_names,
            signatures={"f1_micro": _threshold_words(card)} if card.thresholds else {},
            per_class=tuple(
                ClassRow(name, float(p), float(r), float(f), int(n))
                for name, p, r, f, n in zip(card.label_names, *figures, strict=True)
            ),
            mistakes=tuple(
                Mistake(
                    cut_text(texts[i]),
                    ", ".join(right[i]) or "no class",
                    ", ".join(wrong[i]) or "no class",
                    None,
                    rows[i],
                )
                for i in worst
                if sureness[i] > 0
            ),
        )

    def tuned(
        self, answers: Answers, encoding: Encoding, table: pa.Table, card: DataCard
    ) -> DataCard:
        """Return the card with the thresholds that give each class its best F1 on these rows."""
        actual = _flags(table, len(card.label_names))
        shares = _probabilities(answers, len(card.label_names))
        best = tuple(best_threshold(actual[:, i], shares[:, i]) for i in range(actual.shape[1]))
        return dataclasses.replace(card, thresholds=best)

    def inputs(self, values: Sequence[object], card: DataCard, first: int = 0) -> pa.Table:
        """Return the texts, or pairs of texts."""
        return text_rows(values, card, first)

    def results(self, predictions: pa.Table, card: DataCard) -> list[LabelsPrediction]:
        """Return the classes said of each text, the likeliest first, and all probabilities."""
        columns = [predictions[f"p_{name}"].to_pylist() for name in card.label_names]
        found = []
        for said, *shares in zip(predictions["predicted"].to_pylist(), *columns, strict=True):
            each = dict(zip(card.label_names, shares, strict=True))
            likeliest = max(each, key=each.__getitem__)
            labels = tuple(sorted(said, key=each.__getitem__, reverse=True))
            found.append(LabelsPrediction(labels, likeliest, each[likeliest], each))
        return found


class LabelsPrediction(NamedTuple):
    """The classes said of a text.

    `label` is the likeliest class, said or not, and `score` its probability.
    """

    labels: tuple[str, ...]
    label: str
    score: float
    probabilities: dict[str, float]

    def cells(self) -> dict[str, str]:
        """Return what a table of predictions says of it."""
        said = [f"{name} ({100 * self.probabilities[name]:.0f} %)" for name in self.labels]
        return {"classes": ", ".join(said) or f"none (next: {self.label})"}


def best_threshold(actual: np.ndarray, shares: np.ndarray) -> float:
    """Return the probability from which a class is said so that its F1 is highest.

    All cuts between two neighbouring probabilities are tried, as there are no others (Lipton,
    Elkan and Naryanaswamy, 2014); of equal ones the nearest to 0.5 is taken.

    Args:
        actual: bool array (N,), whether a row has the class.
        shares: float array (N,), the class's probability in each row.

    Returns:
        0.5 for a class that no row has.
    """
    import numpy as np

    if not actual.any():
        return 0.5
    order = np.argsort(-shares, kind="stable")
    sorted_shares, hits = shares[order], np.cumsum(actual[order])
    f1 = 2 * hits / (np.arange(1, len(shares) + 1) + actual.sum())
    below = np.append(sorted_shares[1:], -1.0)
    is_cut = sorted_shares > below  # rows of one probability stay together
    cuts = (sorted_shares + below) / 2
    # Between the two neighbours any threshold says the same: the one nearest to 0.5 is kept.
    nearest = np.clip(0.5, np.nextafter(below, 1.0), sorted_shares)
    cuts = np.where((below < 0.5) & (sorted_shares >= 0.5), nearest, cuts)
    ranked = np.lexsort((np.abs(cuts - 0.5), -np.round(f1, 12), ~is_cut))
    return max(0.0, float(cuts[ranked[0]]))


def _threshold_words(card: DataCard) -> str:
    """Return from which probability on each class is said, and what that means for figures."""
    pairs = list(zip(card.label_names, card.thresholds, strict=True))
    shown = ", ".join(f"{name} {least:.2f}" for name, least in pairs[:_SHOWN_THRESHOLDS])
    more = f" and {len(pairs) - _SHOWN_THRESHOLDS} more" if len(pairs) > _SHOWN_THRESHOLDS else ""
    return (
        f"classes are said from a probability of {shown}{more} on. These were chosen on the "
        "validation rows, whose own figures are better than those of other rows therefore."
    )


def _thresholds(card: DataCard) -> np.ndarray:
    import numpy as np

    return np.array(card.thresholds or [0.5] * len(card.label_names))


def _probabilities(answers: Answers, num_classes: int) -> np.ndarray:
    """Return the sigmoid of `logits`, float64 array (N, C)."""
    import numpy as np

    logits = answers.get("logits")
    if logits is None:
        return np.zeros((0, num_classes))
    assert isinstance(logits, np.ndarray)
    return 0.5 * (1 + np.tanh(logits / 2))  # without overflow at either end


def _flags(table: pa.Table, num_classes: int) -> np.ndarray:
    """Return whether each row has each class, bool array (N, C)."""
    import numpy as np

    flags = np.zeros((table.num_rows, num_classes), dtype=bool)
    for row, numbers in enumerate(table["label"].to_pylist()):
        flags[row, numbers] = True
    return flags


def _names(flags: np.ndarray, card: DataCard) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    rows = [[card.label_names[i] for i in np.flatnonzero(row)] for row in flags]
    return pa.array(rows, pa.list_(pa.string()))


def _counts(table: pa.Table, num_classes: int) -> tuple[int, ...]:
    return tuple(_flags(table, num_classes).sum(axis=0).tolist())
