"""What translation and summarization share: one text in, one text out."""

# Shapes: N rows, S target tokens.
from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.encoding import Encoding, Ragged, encode_texts
from nbtransfer.tasks.findings import Example, Findings
from nbtransfer.tasks.inputs import text_rows
from nbtransfer.tasks.prompts import encode_prompts
from nbtransfer.tasks.sequence_options import decide
from nbtransfer.tasks.sequence_scores import closeness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from nbtransfer.data.card import DataCard
    from nbtransfer.models.card import ModelCard
    from nbtransfer.spec import RunSpec, TaskName
    from nbtransfer.tasks.sequence_scores import TextScores
    from nbtransfer.tasks.task import Answers, Decisions, Prepared, Tokenizer

MAX_EXAMPLES = 12
_MAX_TEXT = 500
_CHUNK = 1_000  # rows a call of the tokenizer


class GeneratedText(NamedTuple):
    """What a model writes for one text."""

    text: str

    def cells(self) -> dict[str, str]:
        """Return what a table shows of it."""
        return {"output": self.text}


class SequenceToSequence:
    """One text in, one text out.

    By an encoder-decoder model, or by one that reads from left to right and is asked in a prompt.
    """

    name: TaskName
    auto_class = "AutoModelForSeq2SeqLM"
    roles = ("source", "target")
    techniques = ("full", "lora")
    reads_windows = False
    options = ("max_target_length", "prefix", "prompt", "num_beams", "eval_generate_rows")
    scores: Callable[[Sequence[str], Sequence[str]], TextScores]

    def decide(self, spec: RunSpec, prepared: Prepared, model: ModelCard) -> Decisions:
        """Return the prefix, the targets' length and how much is generated."""
        return decide(spec, prepared, model)

    def texts(self, table: pa.Table) -> Sequence[pa.ChunkedArray]:
        """Return the source."""
        return (table["source"],)

    def objective(self, card: DataCard) -> str:
        """Return that a sequence is asked for: one of its own, or what follows a prompt."""
        return "continuation" if card.settings.get("prompt") else "sequence"

    def encode(
        self,
        tokenizer: Tokenizer,
        table: pa.Table,
        max_length: int,
        card: DataCard,
    ) -> Encoding:
        """Return the sources, prefix first, as tokens; targets are tokens too, a Ragged.

        Where there is a prompt, source and target are one row, and targets mark the latter.
        """
        import numpy as np

        known = "target" in table.column_names
        if card.settings.get("prompt"):
            prompted = encode_prompts(
                tokenizer,
                table["source"].to_pylist(),
                table["target"].to_pylist() if known else None,
                max_length=max_length,
                settings=card.settings,
            )
            return Encoding(
                tokens=prompted.tokens,
                targets=prompted.targets,
                sources=np.arange(table.num_rows),
            )
        prefix = card.settings["prefix"]
        sources = [prefix + text for text in table["source"].to_pylist()]
        tokens, _ = encode_texts(tokenizer, sources, max_length)
        targets = None
        if known:
            texts = table["target"].to_pylist()
            targets = _target_tokens(tokenizer, texts, card.settings["max_target_length"])
        return Encoding(tokens=tokens, targets=targets, sources=np.arange(table.num_rows))

    def decode(
        self,
        answers: Answers,
        encoding: Encoding,
        table: pa.Table,
        card: DataCard,
        tokenizer: Tokenizer,
    ) -> pa.Table:
        """Return source, target and row (where known), and output; null where none was generated.

        Where the target is known, chrf says how close the output is to it, from 0 to 100.
        """
        import pyarrow as pa

        outputs = _outputs(answers, table.num_rows, tokenizer)
        columns = {"source": table["source"]}
        if "target" not in table.column_names:
            return pa.table({**columns, "output": pa.array(outputs, pa.string())})
        written = [i for i, output in enumerate(outputs) if output is not None]
        targets = table["target"].to_pylist()
        scores: list[float | None] = [None] * table.num_rows
        found = closeness([outputs[i] or "" for i in written], [targets[i] for i in written])
        for i, score in zip(written, found, strict=True):
            scores[i] = score
        return pa.table(
            {
                **columns,
                "target": table["target"],
                "output": pa.array(outputs, pa.string()),
                "chrf": pa.array(scores, pa.float64()),
                "row": table["row"],
            }
        )

    def measure(
        self, answers: Answers, loss: float, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> dict[str, float]:
        """Return how close the outputs are to the targets, and the loss a token."""
        found = self._scores(predictions)
        return {f"eval_{name}": value for name, value in found.metrics.items()} | {
            "eval_loss": loss
        }

    def findings(
        self, answers: Answers, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> Findings:
        """Return examples and the metrics' signatures."""
        return Findings(
            examples=self.examples(predictions, MAX_EXAMPLES),
            signatures=self._scores(predictions).signatures,
        )

    def inputs(self, values: Sequence[object], card: DataCard, first: int = 0) -> pa.Table:
        """Return the texts as sources; a dict gives the one of the source column's name."""
        named = dataclasses.replace(card, roles={"text": card.roles["source"]})
        return text_rows(values, named, first).rename_columns(["source"])

    def results(self, predictions: pa.Table, card: DataCard) -> list[GeneratedText]:
        """Return the text written for each source."""
        return [GeneratedText(output or "") for output in predictions["output"].to_pylist()]

    def examples(self, predictions: pa.Table, count: int) -> tuple[Example, ...]:
        """Return evenly spread rows of those that were generated for, in their own order."""
        from nbtransfer.data.lengths import spread_rows

        written = predictions.filter(predictions["output"].is_valid())
        rows = spread_rows(written.num_rows, count) if written.num_rows else []
        return tuple(
            Example(
                _cut(row["source"]),
                _cut(row["target"]),
                _cut(row["output"]),
                row["chrf"],
                row["row"],
            )
            for row in written.take(rows).to_pylist()
        )

    def tuned(
        self, answers: Answers, encoding: Encoding, table: pa.Table, card: DataCard
    ) -> DataCard:
        """Return the card as it is."""
        return card

    def _scores(self, predictions: pa.Table) -> TextScores:
        written = predictions.filter(predictions["output"].is_valid())
        return type(self).scores(written["output"].to_pylist(), written["target"].to_pylist())


def _target_tokens(tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> Ragged:
    """Return the targets as the decoder is to write them, int32; Marian has a vocabulary apart."""
    rows: list[Sequence[int]] = []
    for start in range(0, len(texts), _CHUNK):
        found = tokenizer(
            text_target=list(texts[start : start + _CHUNK]),
            truncation=True,
            max_length=max_length,
            return_attention_mask=False,
        )
        rows += found["input_ids"]
    return Ragged.of(rows, "int32")


def _outputs(answers: Answers, num_rows: int, tokenizer: Tokenizer) -> list[str | None]:
    import numpy as np

    tokens = answers.get("generated")
    if tokens is None:  # no rows, so no batch ever was
        return [None] * num_rows
    assert isinstance(tokens, Ragged)
    written = answers["is_generated"]
    assert isinstance(written, np.ndarray)
    found = tokenizer.batch_decode(
        [tokens.row(i).tolist() for i in np.flatnonzero(written)],
        skip_special_tokens=True,
        clean_up_tokenization_spaces=False,
    )
    outputs: list[str | None] = [None] * num_rows
    for i, text in zip(np.flatnonzero(written), found, strict=True):
        outputs[i] = text.strip()
    return outputs


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
