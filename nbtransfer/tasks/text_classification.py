"""Text classification: a class for each text."""

# Shapes: N rows, C classes.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.tasks.class_findings import class_findings
from nbtransfer.tasks.inputs import TEXT_COLUMNS, encode_rows, read_texts, text_rows
from nbtransfer.tasks.labelled_data import TASK, prepare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.encoding import Encoding
    from nbtransfer.data.tables import Tables
    from nbtransfer.tasks.findings import Findings
    from nbtransfer.tasks.task import Answers, Prepared, Tokenizer


class TextClassification:
    """One class for each text, or for each pair of texts."""

    name = TASK
    title = "text classification"
    auto_class = "AutoModelForSequenceClassification"
    roles = ("text", "text_pair", "label")
    metrics = ("f1_macro", "accuracy", "precision_macro", "recall_macro", "loss")
    techniques = ("full", "lora", "top:2", "head", "features")
    options = ("class_weights",)
    reads_windows = False

    def recognises(self, tables: Tables, columns: Mapping[str, str | None]) -> bool:
        """Return True: what no other task recognises is read as texts and classes."""
        return True

    def prepare(
        self,
        tables: Tables,
        columns: Mapping[str, str | None],
        *,
        validation: object = None,
        split_seed: int = 42,
        trained_on: DataCard | None = None,
    ) -> Prepared:
        """Return the rows as text, label (int32) and row."""
        return prepare(
            tables,
            text=columns.get("text"),
            label=columns.get("label"),
            text_pair=columns.get("text_pair"),
            validation=validation,
            split_seed=split_seed,
            label_names=None if trained_on is None else trained_on.label_names,
        )

    def texts(self, table: pa.Table) -> Sequence[pa.ChunkedArray]:
        """Return the text, or both of a pair."""
        return read_texts(table)

    def objective(self, card: DataCard) -> str:
        """Return that one class of several is asked for."""
        return "classes"

    def encode(
        self,
        tokenizer: Tokenizer,
        table: pa.Table,
        max_length: int,
        card: DataCard,
    ) -> Encoding:
        """Return the texts as tokens; targets are class numbers, int64 array (N,)."""
        labelled = "label" in table.column_names
        targets = table["label"].to_numpy().astype("int64") if labelled else None
        return encode_rows(tokenizer, table, max_length, targets)

    def decode(
        self,
        answers: Answers,
        encoding: Encoding,
        table: pa.Table,
        card: DataCard,
        tokenizer: Tokenizer,
    ) -> pa.Table:
        """Return text, label (where known), predicted, probability, row and p_<class> by class.

        The last of these not while training, where only the likeliest class is kept.
        """
        import numpy as np
        import pyarrow as pa

        names = pa.array(card.label_names, pa.string())
        predicted, likely = said(answers, len(names))
        known = "label" in table.column_names
        columns = {
            **{name: table[name] for name in TEXT_COLUMNS if name in table.column_names},
            **({"label": names.take(table["label"].combine_chunks())} if known else {}),
            "predicted": names.take(pa.array(predicted)),
            "probability": pa.array(likely),
            **({"row": table["row"]} if known else {}),
        }
        if "predicted" in answers:
            return pa.table(columns)
        each = np.ascontiguousarray(probabilities(answers, len(names)).T)
        columns |= {f"p_{name}": pa.array(each[i]) for i, name in enumerate(card.label_names)}
        return pa.table(columns)

    def measure(
        self, answers: Answers, loss: float, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> dict[str, float]:
        """Return accuracy, macro averages and loss."""
        predicted, _ = said(answers, len(card.label_names))
        return class_metrics(table["label"].to_numpy(), predicted) | {"eval_loss": loss}

    def findings(
        self, answers: Answers, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> Findings:
        """Return each class's figures, the confusions and the surest mistakes."""
        import numpy as np

        counts = card.class_counts["train"]
        return class_findings(
            labels=card.label_names,
            texts=table["text"].to_pylist(),
            actual=table["label"].to_numpy().astype(np.int64),
            probabilities=probabilities(answers, len(card.label_names)),
            rows=table["row"].to_numpy(),
            majority_label=counts.index(max(counts)),
        )

    def tuned(
        self, answers: Answers, encoding: Encoding, table: pa.Table, card: DataCard
    ) -> DataCard:
        """Return the card as it is: the likeliest class is said."""
        return card

    def inputs(self, values: Sequence[object], card: DataCard, first: int = 0) -> pa.Table:
        """Return the texts, or pairs of texts."""
        return text_rows(values, card, first)

    def results(self, predictions: pa.Table, card: DataCard) -> list[Prediction]:
        """Return the likeliest class of each text, its probability, and all of them."""
        columns = [predictions[f"p_{name}"].to_pylist() for name in card.label_names]
        answers = zip(
            predictions["predicted"].to_pylist(),
            predictions["probability"].to_pylist(),
            zip(*columns, strict=True),
            strict=True,
        )
        return [
            Prediction(label, share, dict(zip(card.label_names, shares, strict=True)))
            for label, share, shares in answers
        ]


class Prediction(NamedTuple):
    """What a model says of one text: the likeliest class, its probability, and all of them."""

    label: str
    score: float
    probabilities: dict[str, float]


def said(answers: Answers, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the likeliest class of each row, int array (N,), and its probability, float64 (N,)."""
    import numpy as np

    if "predicted" in answers:
        predicted, likely = answers["predicted"], answers["probability"]
        assert isinstance(predicted, np.ndarray) and isinstance(likely, np.ndarray)
        return predicted, likely
    shares = probabilities(answers, num_classes)
    predicted = shares.argmax(axis=1)
    return predicted, shares[np.arange(len(shares)), predicted]


def probabilities(answers: Answers, num_classes: int) -> np.ndarray:
    """Return the softmax of `logits`, float64 array (N, C)."""
    import numpy as np

    logits = answers.get("logits")
    if logits is None:  # no rows, so no batch ever was
        return np.zeros((0, num_classes))
    assert isinstance(logits, np.ndarray)
    with np.errstate(invalid="ignore"):  # weights that became no numbers are met elsewhere
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
    return shares


def metrics(
    labels: np.ndarray, probabilities: np.ndarray, label_names: Sequence[str]
) -> dict[str, float]:
    """Return `class_metrics` of the likeliest classes.

    Args:
        labels: int array (rows,), the actual classes.
        probabilities: float array (rows, classes).
        label_names: names of the classes, which `probabilities` must have a column for.
    """
    if probabilities.shape != (len(labels), len(label_names)):
        raise ValueError(
            f"probabilities have shape {probabilities.shape}, expected "
            f"{(len(labels), len(label_names))}"
        )
    return class_metrics(labels, probabilities.argmax(axis=1))


def class_metrics(labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return accuracy and the macro averages of precision, recall and F1.

    A class that is neither in `labels` nor predicted does not count in the averages, as in
    scikit-learn; one that is never predicted has precision 0.

    Args:
        labels: int array (rows,), the actual classes.
        predicted: int array (rows,).
    """
    import numpy as np
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, average="macro", zero_division=0
    )
    return {
        "eval_accuracy": float(np.mean(predicted == labels)),
        "eval_f1_macro": float(f1),
        "eval_precision_macro": float(precision),
        "eval_recall_macro": float(recall),
    }
