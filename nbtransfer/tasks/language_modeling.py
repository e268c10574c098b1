"""Language modelling: guessing hidden tokens, or each next one, to learn a domain's language."""

# Shapes: R documents, N blocks, H hidden tokens of a block, K candidates for each.
from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from nbtransfer.data.encoding import IGNORED, Encoding, Ragged
from nbtransfer.data.masking import Masking
from nbtransfer.errors import DataError, quoted
from nbtransfer.tasks.blocks import framed_blocks, running_blocks
from nbtransfer.tasks.documents import prepare_documents
from nbtransfer.tasks.findings import Findings
from nbtransfer.tasks.inputs import text_rows
from nbtransfer.tasks.language_guesses import judged, surest_mistakes
from nbtransfer.tasks.language_metrics import language_metrics
from nbtransfer.tasks.language_samples import continued_samples, guessed_samples, prompts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.tables import Tables
    from nbtransfer.spec import TaskName
    from nbtransfer.tasks.findings import Sample
    from nbtransfer.tasks.language_samples import Prompt
    from nbtransfer.tasks.task import Answers, Prepared, Tokenizer

MASK_WORDS = ("[MASK]", "<mask>")


class LanguageModeling:
    """What all of them have in common: one column of text, and how it is measured."""

    name: TaskName
    metrics: ClassVar = ("loss", "perplexity", "accuracy")
    roles: ClassVar = ("text",)
    techniques: ClassVar = ("full", "lora")

    def recognises(self, tables: Tables, columns: Mapping[str, str | None]) -> bool:
        """Return False: any text will do, so this task is taken only where it is asked for."""
        return False

    def prepare(
        self,
        tables: Tables,
        columns: Mapping[str, str | None],
        *,
        validation: object = None,
        split_seed: int = 42,
        trained_on: DataCard | None = None,
    ) -> Prepared:
        """Return the documents as text and row."""
        return prepare_documents(
            tables,
            self.name,
            text=columns.get("text"),
            validation=validation,
            split_seed=split_seed,
            learns=trained_on is None,
        )

    def texts(self, table: pa.Table) -> Sequence[pa.ChunkedArray]:
        """Return the text."""
        return (table["text"],)

    def tuned(
        self, answers: Answers, encoding: Encoding, table: pa.Table, card: DataCard
    ) -> DataCard:
        """Return the card as it is: nothing is tuned on the validation documents."""
        return card

    def measure(
        self, answers: Answers, loss: float, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> dict[str, float]:
        """Return loss, perplexity and the share of tokens guessed right."""
        return language_metrics(answers, loss)

    def findings(
        self, answers: Answers, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> Findings:
        """Return the surest wrong guesses, one a document."""
        return Findings(mistakes=surest_mistakes(predictions))


class MaskedLanguageModeling(LanguageModeling):
    """Hidden tokens are guessed from what stands on both sides, as BERT was pre-trained."""

    name = "masked-language-modeling"
    title = "masked language modelling"
    auto_class = "AutoModelForMaskedLM"
    reads_windows = True
    options = ("mlm_probability", "whole_word_mask")

    def objective(self, card: DataCard) -> str:
        """Return that hidden tokens are to be guessed."""
        return "hidden tokens"

    def encode(
        self,
        tokenizer: Tokenizer,
        table: pa.Table,
        max_length: int,
        card: DataCard,
    ) -> Encoding:
        """Return blocks whose tokens are hidden anew at every step.

        Of texts to be answered (without a row), the tokens to guess are those that the user hid.
        """
        if tokenizer.mask_token_id is None:
            raise DataError(
                "the tokenizer has no mask token, so nothing can be hidden. Take "
                "task='causal-language-modeling', or a model of the families bert or roberta."
            )
        texts = table["text"].to_pylist()
        if "row" in table.column_names:
            blocks = framed_blocks(tokenizer, texts, max_length)
            return Encoding(
                tokens=blocks.tokens, sources=blocks.sources, masking=masking_of(tokenizer, card)
            )
        for word in MASK_WORDS:
            texts = [text.replace(word, tokenizer.mask_token) for text in texts]
        blocks = framed_blocks(tokenizer, texts, max_length)
        tokens = blocks.tokens.values
        hidden = tokens == tokenizer.mask_token_id
        import numpy as np

        places = np.where(hidden, tokens, IGNORED).astype(np.int32)
        targets = Ragged(places, blocks.tokens.offsets)
        return Encoding(tokens=blocks.tokens, sources=blocks.sources, targets=targets)

    def decode(
        self,
        answers: Answers,
        encoding: Encoding,
        table: pa.Table,
        card: DataCard,
        tokenizer: Tokenizer,
    ) -> pa.Table:
        """Return each document's figures; of texts to be answered, the candidates for each gap."""
        import pyarrow as pa

        if "row" in table.column_names:
            return judged(answers, encoding, table, tokenizer)
        tokens: list[list[list[str]]] = [[] for _ in range(table.num_rows)]
        words: list[list[list[str]]] = [[] for _ in range(table.num_rows)]
        shares: list[list[list[float]]] = [[] for _ in range(table.num_rows)]
        guesses, probabilities = answers.get("guesses"), answers.get("shares")
        if guesses is not None and probabilities is not None:
            assert isinstance(guesses, Ragged)
            assert isinstance(probabilities, Ragged)
            for block, source in enumerate(encoding.sources):
                gaps = guesses.row(block).tolist()
                tokens[source] += [tokenizer.convert_ids_to_tokens(ids) for ids in gaps]
                words[source] += [[_plain(tokenizer, one) for one in ids] for ids in gaps]
                shares[source] += probabilities.row(block).tolist()
        joined = [[[_is_joined(token) for token in gap] for gap in text] for text in tokens]
        return pa.table(
            {
                "text": table["text"],
                "tokens": pa.array(words, pa.list_(pa.list_(pa.string()))),
                "continues": pa.array(joined, pa.list_(pa.list_(pa.bool_()))),
                "probabilities": pa.array(shares, pa.list_(pa.list_(pa.float64()))),
            }
        )

    def prompts(self, encoding: Encoding) -> list[Prompt]:
        """Return none: what was guessed of hidden tokens is shown."""
        return []

    def samples(
        self,
        answers: Answers,
        encoding: Encoding,
        written: Sequence[np.ndarray],
        tokenizer: Tokenizer,
    ) -> tuple[Sample, ...]:
        """Return a hidden token of a few documents beside the model's guess."""
        return guessed_samples(answers, encoding, tokenizer)

    def inputs(self, values: Sequence[object], card: DataCard, first: int = 0) -> pa.Table:
        """Return texts with gaps.

        Raises:
            DataError: if a value is no text, or has no gap.
        """
        table = text_rows(values, card, first)
        for i, text in enumerate(table["text"].to_pylist(), first):
            if not any(word in text for word in MASK_WORDS):
                raise DataError(
                    f"input {i} is {quoted(text)}, which has no gap to fill. Write [MASK] where a "
                    'word is to be guessed: "the [MASK] is raised".'
                )
        return table

    def results(self, predictions: pa.Table, card: DataCard) -> list[Filled]:
        """Return each text with its gaps filled, and the candidates for each gap."""
        return [
            _filled(row["text"], row["tokens"], row["continues"], row["probabilities"])
            for row in predictions.to_pylist()
        ]


class CausalLanguageModeling(LanguageModeling):
    """Each token is guessed from those before it, as GPT was pre-trained."""

    name = "causal-language-modeling"
    title = "causal language modelling"
    auto_class = "AutoModelForCausalLM"
    reads_windows = True
    options = ()

    def objective(self, card: DataCard) -> str:
        """Return that each next token is to be guessed."""
        return "next tokens"

    def encode(
        self,
        tokenizer: Tokenizer,
        table: pa.Table,
        max_length: int,
        card: DataCard,
    ) -> Encoding:
        """Return blocks; every token but the first of each is a target.

        Texts to be continued (without a row) stay whole and have no targets.
        """
        import numpy as np

        texts = table["text"].to_pylist()
        if "row" not in table.column_names:
            ids = tokenizer(texts, verbose=False)["input_ids"]
            end = tokenizer.eos_token_id
            kept = [row[:-1] if row[-1:] == [end] and len(row) > 1 else row for row in ids]
            # An empty prompt leaves the model to begin: from its end-of-text token.
            kept = [row or [tokenizer.bos_token_id or end] for row in kept]
            return Encoding(tokens=Ragged.of(kept, "int32"), sources=np.arange(len(kept)))
        blocks = running_blocks(tokenizer, texts, max_length)
        targets = blocks.tokens.values.copy()
        targets[blocks.tokens.offsets[:-1]] = IGNORED
        return Encoding(
            tokens=blocks.tokens,
            sources=blocks.sources,
            targets=Ragged(targets, blocks.tokens.offsets),
        )

    def decode(
        self,
        answers: Answers,
        encoding: Encoding,
        table: pa.Table,
        card: DataCard,
        tokenizer: Tokenizer,
    ) -> pa.Table:
        """Return each document's figures; of texts to be continued, what follows."""
        import pyarrow as pa

        if "row" in table.column_names:
            return judged(answers, encoding, table, tokenizer)
        found = answers.get("continuation")
        assert found is None or isinstance(found, Ragged)
        more = [
            tokenizer.decode(found.row(i), skip_special_tokens=True) if found else ""
            for i in range(table.num_rows)
        ]
        return pa.table({"text": table["text"], "continuation": pa.array(more, pa.string())})

    def prompts(self, encoding: Encoding) -> list[Prompt]:
        """Return the beginnings of a few documents."""
        return prompts_of(encoding)

    def samples(
        self,
        answers: Answers,
        encoding: Encoding,
        written: Sequence[np.ndarray],
        tokenizer: Tokenizer,
    ) -> tuple[Sample, ...]:
        """Return how these documents go on, and how the model goes on."""
        return continued_samples(prompts_of(encoding), written, tokenizer)

    def inputs(self, values: Sequence[object], card: DataCard, first: int = 0) -> pa.Table:
        """Return texts to be continued."""
        return text_rows(values, card, first)

    def results(self, predictions: pa.Table, card: DataCard) -> list[Continued]:
        """Return each text with what the model says comes next."""
        pairs = zip(
            predictions["text"].to_pylist(), predictions["continuation"].to_pylist(), strict=True
        )
        return [Continued(text + more, text, more) for text, more in pairs]


class Filled(NamedTuple):
    """A text with its gaps filled.

    Attributes:
        text: with the likeliest token in each gap.
        candidates: of each gap, the likeliest tokens with their probabilities.
    """

    text: str
    candidates: list[list[tuple[str, float]]]

    def cells(self) -> dict[str, str]:
        """Return what a table shows."""
        gaps = (
            ", ".join(f"{token} {100 * share:.0f} %" for token, share in gap)
            for gap in self.candidates
        )
        return {"filled": self.text, "candidates": "; ".join(gaps)}


class Continued(NamedTuple):
    """A text and what follows it: `text` is both together."""

    text: str
    prompt: str
    continuation: str

    def cells(self) -> dict[str, str]:
        """Return what a table shows."""
        return {"continuation": self.continuation}


def masking_of(tokenizer: Tokenizer, card: DataCard) -> Masking:
    """Return how tokens are hidden, as the run's options say."""
    whole_word = card.settings["whole_word_mask"]
    return Masking(
        share=card.settings["mlm_probability"],
        mask_id=tokenizer.mask_token_id,
        vocabulary=len(tokenizer),
        special_ids=tuple(tokenizer.all_special_ids),
        continues=continuing_tokens(tokenizer) if whole_word else None,
    )


def continuing_tokens(tokenizer: Tokenizer) -> np.ndarray:
    """Return which tokens continue a word, bool array (vocabulary,).

    WordPiece marks those that do (##ing), byte-level BPE and SentencePiece those that begin one
    (Ġthe, ▁the).

    Raises:
        DataError: if the vocabulary marks neither.
    """
    import numpy as np

    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    tokens = [token or "" for token in tokens]
    if any(token.startswith("##") for token in tokens):
        return np.array([token.startswith("##") for token in tokens])
    for start in ("Ġ", "▁"):
        if any(token.startswith(start) for token in tokens):
            return np.array([not token.startswith((start, "Ċ")) for token in tokens])
    raise DataError(
        "whole_word_mask needs a tokenizer that marks where words begin, and this one does not. "
        "Leave it out."
    )


def _is_joined(token: str) -> bool:
    return token.startswith("##")


def _plain(tokenizer: Tokenizer, token: int) -> str:
    """Return a token as it is read: vocabularies spell bytes and spaces their own way."""
    return str(tokenizer.decode([token])).removeprefix("##").strip(" ")


def _filled(
    text: str,
    tokens: list[list[str]],
    continues: list[list[bool]],
    probabilities: list[list[float]],
) -> Filled:
    """Put the first candidate of each gap in its place."""
    parts = [text]
    for word in MASK_WORDS:
        parts = [piece for part in parts for piece in part.split(word)]
    whole = parts[0]
    for gap, joined, part in zip(tokens, continues, parts[1:], strict=False):
        whole = (whole.rstrip() if joined[0] else whole) + gap[0] + part
    candidates = [list(zip(*gap, strict=True)) for gap in zip(tokens, probabilities, strict=True)]
    return Filled(whole, candidates)
