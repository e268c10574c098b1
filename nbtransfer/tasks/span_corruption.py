"""Span corruption: hidden stretches of text are written anew, to learn a domain's language (T5)."""

# Shapes: R documents, N blocks, S target tokens of a block.
from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from nbtransfer.data.encoding import Encoding, Ragged
from nbtransfer.data.masking import FIXED_DRAW
from nbtransfer.data.span_corruption import SpanCorruption
from nbtransfer.errors import DataError, quoted
from nbtransfer.tasks.blocks import frame_of, framed_blocks
from nbtransfer.tasks.inputs import text_rows
from nbtransfer.tasks.language_guesses import judged
from nbtransfer.tasks.language_modeling import MASK_WORDS, LanguageModeling
from nbtransfer.tasks.language_samples import rewritten_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa

    from nbtransfer.data.card import DataCard
    from nbtransfer.tasks.findings import Sample
    from nbtransfer.tasks.language_samples import Prompt
    from nbtransfer.tasks.task import Answers, Tokenizer

FIRST_SENTINEL = "<extra_id_0>"
NO_SENTINELS = (
    f"the tokenizer has no tokens {FIRST_SENTINEL}, <extra_id_1> and so on, which stand for what "
    "is hidden. Take a model such as t5-small or google/mt5-small."
)
_MAX_SENTINELS = 100
_GAP = re.compile("|".join(map(re.escape, MASK_WORDS)))


class SpanCorruptionTask(LanguageModeling):
    """Hidden stretches are written by the decoder, as T5 was pre-trained."""

    name = "span-corruption"
    title = "span corruption"
    auto_class = "AutoModelForSeq2SeqLM"
    reads_windows = True
    options: ClassVar = ("mlm_probability",)

    def objective(self, card: DataCard) -> str:
        """Return that hidden stretches are to be written."""
        return "hidden spans"

    def encode(
        self,
        tokenizer: Tokenizer,
        table: pa.Table,
        max_length: int,
        card: DataCard,
    ) -> Encoding:
        """Return blocks of which stretches are hidden anew at every step.

        Of texts to be answered (without a row), the gaps are those that the user left.
        """
        import numpy as np

        sentinels = sentinels_of(tokenizer)
        texts = table["text"].to_pylist()
        if "row" not in table.column_names:
            asked = [_with_sentinels(text, tokenizer, sentinels) for text in texts]
            ids = tokenizer(asked, verbose=False)["input_ids"]
            return Encoding(tokens=Ragged.of(ids, "int32"), sources=np.arange(len(ids)))
        before, after = frame_of(tokenizer)
        blocks = framed_blocks(tokenizer, texts, max_length)
        masking = SpanCorruption(
            share=card.settings["mlm_probability"],
            sentinels=sentinels,
            before=len(before),
            after=tuple(after),
        )
        return Encoding(tokens=blocks.tokens, sources=blocks.sources, masking=masking)

    def decode(
        self,
        answers: Answers,
        encoding: Encoding,
        table: pa.Table,
        card: DataCard,
        tokenizer: Tokenizer,
    ) -> pa.Table:
        """Return each document's figures; of texts with gaps, what was written into each gap."""
        import pyarrow as pa

        if "row" in table.column_names:
            return judged(_placed(answers, encoding), encoding, table, tokenizer)
        written = answers.get("written")
        assert written is None or isinstance(written, Ragged)
        sentinels = sentinels_of(tokenizer)
        pieces = [
            _pieces(written.row(i), sentinels, tokenizer) if written is not None else []
            for i in range(table.num_rows)
        ]
        return pa.table({"text": table["text"], "pieces": pa.array(pieces, pa.list_(pa.string()))})

    def prompts(self, encoding: Encoding) -> list[Prompt]:
        """Return none: what was written into hidden stretches is shown."""
        return []

    def samples(
        self,
        answers: Answers,
        encoding: Encoding,
        written: Sequence[np.ndarray],
        tokenizer: Tokenizer,
    ) -> tuple[Sample, ...]:
        """Return a hidden stretch of a few documents beside the model's own."""
        return rewritten_samples(answers, encoding, tokenizer)

    def inputs(self, values: Sequence[object], card: DataCard, first: int = 0) -> pa.Table:
        """Return texts with gaps.

        Raises:
            DataError: if a value is no text, or has no gap.
        """
        table = text_rows(values, card, first)
        for i, text in enumerate(table["text"].to_pylist(), first):
            if not _GAP.search(text):
                raise DataError(
                    f"input {i} is {quoted(text)}, which has no gap to fill. Write [MASK] where "
                    'some words are missing: "the [MASK] is raised".'
                )
        return table

    def results(self, predictions: pa.Table, card: DataCard) -> list[Rewritten]:
        """Return each text with its gaps filled, and what was put into each."""
        rows = predictions.to_pylist()
        return [Rewritten(_filled(row["text"], row["pieces"]), row["pieces"]) for row in rows]


class Rewritten(NamedTuple):
    """A text with its gaps filled, and what was written into each."""

    text: str
    pieces: list[str]

    def cells(self) -> dict[str, str]:
        """Return what a table shows."""
        return {"filled": self.text, "written": "; ".join(self.pieces)}


def sentinels_of(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the numbers of `<extra_id_0>`, `<extra_id_1>` and so on.

    Raises:
        DataError: if the vocabulary has none.
    """
    vocabulary = tokenizer.get_vocab()
    names = (f"<extra_id_{i}>" for i in range(_MAX_SENTINELS))
    found: list[int] = []
    for name in names:
        if name not in vocabulary:
            break
        found.append(vocabulary[name])
    if not found:
        raise DataError(NO_SENTINELS)
    return tuple(found)


def _filled(text: str, pieces: list[str]) -> str:
    """Return the text with a piece in each gap; a gap that none was written for stays open."""
    left = iter(pieces)
    return _GAP.sub(lambda _: next(left, "…"), text)


def _with_sentinels(text: str, tokenizer: Tokenizer, sentinels: tuple[int, ...]) -> str:
    names = iter(tokenizer.convert_ids_to_tokens(list(sentinels)))
    return _GAP.sub(lambda found: next(names, found[0]), text)


def _pieces(tokens: np.ndarray, sentinels: tuple[int, ...], tokenizer: Tokenizer) -> list[str]:
    """Return what stands behind each sentinel, in the sentinels' order."""
    import numpy as np

    places = {sentinel: np.flatnonzero(tokens == sentinel) for sentinel in sentinels}
    starts = sorted(int(found[0]) for found in places.values() if len(found))
    pieces = []
    for sentinel in sentinels:
        if not len(places[sentinel]):
            break
        start = int(places[sentinel][0])
        end = next((other for other in starts if other > start), len(tokens))
        text = tokenizer.decode(tokens[start + 1 : end].tolist(), skip_special_tokens=True)
        pieces.append(text.strip())
    return pieces


def _placed(answers: Answers, encoding: Encoding) -> Answers:
    """Return the answers with the surest wrong guess at its place in the block.

    A sentinel stands nowhere in the block: where one was guessed wrongly, nothing is shown.
    """
    import numpy as np

    masking, targets = encoding.masking, answers.get("wrong_place")
    if targets is None or not isinstance(masking, SpanCorruption):
        return answers
    assert isinstance(targets, np.ndarray)
    shares = np.array(answers["wrong_share"])
    places = np.zeros(len(shares), np.int64)
    for block in np.flatnonzero(shares > 0):
        hidden = masking.corrupt(encoding.tokens.row(int(block)), int(block), FIXED_DRAW)
        places[block] = hidden.places[int(targets[block])]
    shares[places < 0] = 0.0
    return {**answers, "wrong_place": places, "wrong_share": shares}
