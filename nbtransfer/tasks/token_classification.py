"""Token classification: entities in texts, each a run of words with a type."""

# Shapes: N windows, R rows of a table, W words of all rows together.
from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.data.encoding import Ragged
from nbtransfer.errors import DataError, quoted
from nbtransfer.tasks.entity_metrics import entity_findings, metrics
from nbtransfer.tasks.tag_columns import looks_tagged
from nbtransfer.tasks.tag_encoding import encode_words, word_tokens
from nbtransfer.tasks.tag_schemes import OUTSIDE, entities_of
from nbtransfer.tasks.tagged_data import TASK, prepare
from nbtransfer.tasks.tagged_rows import joined
from nbtransfer.tasks.words import split_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.encoding import Encoding
    from nbtransfer.data.tables import Tables
    from nbtransfer.tasks.findings import Findings
    from nbtransfer.tasks.task import Answers, Prepared, Tokenizer


class Entity(NamedTuple):
    """A stretch of a text: `text[start:end]`, its type, and the mean probability of its words."""

    label: str
    text: str
    start: int
    end: int
    score: float


class Entities(NamedTuple):
    """What a model found in a text."""

    text: str
    entities: tuple[Entity, ...]

    def cells(self) -> dict[str, str]:
        """Return what a table shows of it."""
        listed = ", ".join(f"{e.text} ({e.label})" for e in self.entities)
        return {"entities": listed or "none"}


class TokenClassification:
    """Entities: a tag for each word."""

    name = TASK
    title = "token classification"
    auto_class = "AutoModelForTokenClassification"
    roles = ("tokens", "tags", "text", "spans")
    metrics = ("f1", "precision", "recall", "accuracy", "loss")
    techniques = ("full", "lora", "top:2", "head")
    options = ()
    reads_windows = True

    def recognises(self, tables: Tables, columns: Mapping[str, str | None]) -> bool:
        """Return whether there are words with tags, or texts with spans."""
        if any(columns.get(role) for role in ("tokens", "tags", "spans")):
            return True
        return not columns.get("label") and looks_tagged(tables.splits["train"])

    def prepare(
        self,
        tables: Tables,
        columns: Mapping[str, str | None],
        *,
        validation: object = None,
        split_seed: int = 42,
        trained_on: DataCard | None = None,
    ) -> Prepared:
        """Return the rows as text, tokens, starts, tags (IOB2, as numbers) and row."""
        return prepare(
            tables,
            columns,
            validation=validation,
            split_seed=split_seed,
            label_names=None if trained_on is None else trained_on.label_names,
        )

    def texts(self, table: pa.Table) -> Sequence[pa.ChunkedArray]:
        """Return the text."""
        return (table["text"],)

    def objective(self, card: DataCard) -> str:
        """Return that a class is asked for at each token."""
        return "tokens"

    def encode(
        self,
        tokenizer: Tokenizer,
        table: pa.Table,
        max_length: int,
        card: DataCard,
    ) -> Encoding:
        """Return the texts in windows of tokens; targets stand on words' first tokens."""
        return encode_words(tokenizer, table, max_length)

    def decode(
        self,
        answers: Answers,
        encoding: Encoding,
        table: pa.Table,
        card: DataCard,
        tokenizer: Tokenizer,
    ) -> pa.Table:
        """Return text, tokens, starts, tags (where known), predicted, probabilities and row.

        Tags are names here. A word without a token of its own goes on with the entity of the word
        that has it; one that the tokenizer makes nothing of is outside.
        """
        import numpy as np
        import pyarrow as pa

        names = np.array(card.label_names, dtype=object)
        offsets = table["starts"].combine_chunks().offsets.to_numpy()
        token = word_tokens(encoding, np.diff(offsets))
        is_first = encoding.details["is_first"]
        predicted = np.full(len(token), OUTSIDE, dtype=object)
        shares = np.zeros(len(token))
        if found := answers.get("tags"):
            likely = answers["probabilities"]
            assert isinstance(found, Ragged) and isinstance(likely, Ragged)
            has_token = token >= 0
            predicted[has_token] = names[found.values[token[has_token]]]
            shares[has_token] = likely.values[token[has_token]]
            for word in np.flatnonzero(has_token & ~is_first):
                if predicted[word] != OUTSIDE:
                    predicted[word] = f"I-{predicted[word][2:]}"
        offsets = pa.array(offsets - offsets[0], pa.int32())
        known = "tags" in table.column_names
        columns = {"text": table["text"], "tokens": table["tokens"], "starts": table["starts"]}
        if known:
            tags = np.fromiter((t for row in table["tags"].to_pylist() for t in row), np.int64)
            gold = pa.array(names[tags], pa.string())
            columns["tags"] = pa.ListArray.from_arrays(offsets, gold)
        columns["predicted"] = pa.ListArray.from_arrays(offsets, pa.array(predicted, pa.string()))
        columns["probabilities"] = pa.ListArray.from_arrays(offsets, pa.array(shares))
        return pa.table({**columns, **({"row": table["row"]} if known else {})})

    def measure(
        self, answers: Answers, loss: float, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> dict[str, float]:
        """Return entities' micro averages, the share of words with the right tag, and the loss."""
        gold, predicted = predictions["tags"].to_pylist(), predictions["predicted"].to_pylist()
        return metrics(gold, predicted) | {"eval_loss": loss}

    def findings(
        self, answers: Answers, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> Findings:
        """Return each type's figures, words' confusions, and sentences marked both ways."""
        return entity_findings(predictions, card.label_names)

    def tuned(
        self, answers: Answers, encoding: Encoding, table: pa.Table, card: DataCard
    ) -> DataCard:
        """Return the card as it is: nothing is decided on answers."""
        return card

    def inputs(self, values: Sequence[object], card: DataCard, first: int = 0) -> pa.Table:
        """Return texts, split into words, or lists of words, as text, tokens and starts."""
        import pyarrow as pa

        texts, words, starts = [], [], []
        for number, value in enumerate(values, first):
            if hasattr(value, "tolist"):  # an array, as pandas has lists in parquet files
                value = value.tolist()
            if isinstance(value, str):
                text = value.encode("utf-8", "replace").decode()
                places = split_words(text)
                tokens, begins = [text[a:b] for a, b in places], [a for a, _ in places]
            elif isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
                tokens = [v.encode("utf-8", "replace").decode() for v in value if v.strip()]
                text, begins = joined(tokens)
            else:
                raise DataError(
                    f"input {number} is {quoted(value)}, a {type(value).__name__}. Give texts, or "
                    'lists of words: nt.predict(run, ["Ada met Alan in Leeds."]).'
                )
            texts.append(text)
            words.append(tokens)
            starts.append(begins)
        return pa.table(
            {
                "text": pa.array(texts, pa.string()),
                "tokens": pa.array(words, pa.list_(pa.string())),
                "starts": pa.array(starts, pa.list_(pa.int32())),
            }
        )

    def results(self, predictions: pa.Table, card: DataCard) -> list[Entities]:
        """Return the entities of each text, with the characters they stand at."""
        return [found_entities(row) for row in predictions.to_pylist()]


def found_entities(row: Mapping[str, Any]) -> Entities:
    """Return the predicted entities of a row as `decode` gives it."""
    text, starts, tokens = row["text"], row["starts"], row["tokens"]
    found = []
    for kind, first, after in entities_of(row["predicted"]):
        start, end = starts[first], starts[after - 1] + len(tokens[after - 1])
        shares = row["probabilities"][first:after]
        found.append(Entity(kind, text[start:end], start, end, sum(shares) / len(shares)))
    return Entities(text, tuple(found))
