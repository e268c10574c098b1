"""Asking a model that reads from left to right: a prompt around a source, the target after it."""

# Shapes: N rows, T tokens of all rows together.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.encoding import IGNORED, Ragged
from nbtransfer.errors import DataError, quoted
from nbtransfer.tasks.blocks import frame_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbtransfer.tasks.task import Tokenizer

PLACE = "{source}"
_CHUNK = 1_000  # rows a call of the tokenizer
_TRIES = 4


class Prompted(NamedTuple):
    """Prompts as tokens, each with its target where there is one.

    Attributes:
        tokens: int32.
        targets: the same tokens, -100 where the prompt is; None without targets.
    """

    tokens: Ragged
    targets: Ragged | None


def usual_prompt(task: str, languages: Sequence[str] | None) -> str:
    """Return a prompt for a task; what stands for the source is `{source}`."""
    if task == "summarization":
        return f"Summarize the text.\nText: {PLACE}\nSummary:"
    if languages:
        source, target = languages
        return f"Translate from {source} to {target}.\n{source}: {PLACE}\n{target}:"
    return f"Rewrite the text.\nText: {PLACE}\nResult:"


def encode_prompts(
    tokenizer: Tokenizer,
    sources: Sequence[str],
    targets: Sequence[str] | None,
    *,
    max_length: int,
    settings: Mapping[str, object],
) -> Prompted:
    """Return sources in their prompts, and the targets to be written after them.

    A model that has a chat template is asked in it. A source too long for its prompt is cut at its
    end; the prompt stays whole. A target ends with the end-of-text token, and so does what the
    model learns to write.

    Args:
        tokenizer: the model's own.
        sources: one a row.
        targets: one a row; None where they are to be written.
        max_length: tokens of a prompt with its source, a chat template's own not counted.
        settings: the data card's: `prompt`, `max_target_length` and `max_positions`.

    Raises:
        DataError: if the prompt alone is too long, or nothing can end a text.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise DataError(
            "the tokenizer has no end-of-text token (eos_token), so a model cannot learn where a "
            "text ends. Set one and save the tokenizer again, or take another model."
        )
    longest_target = int(settings["max_target_length"])  # type: ignore[call-overload]
    room = int(settings["max_positions"]) - longest_target  # type: ignore[call-overload]
    prompts = _Prompts(tokenizer, str(settings["prompt"]), max_length, room)
    rows, labels = [], []
    for start in range(0, len(sources), _CHUNK):
        asked = prompts.tokens(list(sources[start : start + _CHUNK]))
        if targets is None:
            rows += asked
            continue
        # A word of its own after the prompt: byte-level vocabularies tell by the space before it.
        space = "" if prompts.is_chat or prompts.text[-1:].isspace() else " "
        texts = [space + text for text in targets[start : start + _CHUNK]]
        found = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        written = [[*ids[: longest_target - 1], end] for ids in found]
        rows += [[*a, *b] for a, b in zip(asked, written, strict=True)]
        labels += [[IGNORED] * len(a) + b for a, b in zip(asked, written, strict=True)]
    tokens = Ragged.of(rows, "int32")
    return Prompted(tokens, None if targets is None else Ragged.of(labels, "int32"))


class _Prompts:
    """Sources in a prompt as tokens: at most `max_length` and a chat's frame, or `room`."""

    def __init__(self, tokenizer: Tokenizer, text: str, max_length: int, room: int) -> None:
        self._tokenizer = tokenizer
        self._before = [] if self.is_chat else frame_of(tokenizer)[0]
        self.text = text
        frame = 0
        if self.is_chat:  # the kernel, which chose the length, knows no templates
            plain = tokenizer(text.replace(PLACE, ""), add_special_tokens=False)["input_ids"]
            frame = len(self._read([""])[0]) - len(plain)
        self._room = min(max_length + frame, room)

    @property
    def is_chat(self) -> bool:
        """Whether the model was trained to answer in a frame of its own."""
        return bool(getattr(self._tokenizer, "chat_template", None))

    def tokens(self, sources: list[str]) -> list[list[int]]:
        """Return prompts as tokens; the sources of those too long are cut until they fit."""
        found = self._read(sources)
        for _ in range(_TRIES):
            long = [i for i, ids in enumerate(found) if len(ids) > self._room]
            if not long:
                return found
            for i in long:
                sources[i] = self._cut(sources[i], len(found[i]) - self._room)
            for i, ids in zip(long, self._read([sources[i] for i in long]), strict=True):
                found[i] = ids
        least = len(self._read([""])[0])
        raise DataError(
            f"the prompt {quoted(self.text)} takes {least} tokens without a source, and "
            f"{self._room} fit before the target. Take a shorter --prompt or --max-target-length, "
            "or a longer --max-length."
        )

    def _read(self, sources: list[str]) -> list[list[int]]:
        texts = [self.text.replace(PLACE, source) for source in sources]
        if self.is_chat:
            talks = [[{"role": "user", "content": text}] for text in texts]
            texts = self._tokenizer.apply_chat_template(
                talks, tokenize=False, add_generation_prompt=True
            )
        found = self._tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return [[*self._before, *ids] for ids in found]

    def _cut(self, source: str, too_many: int) -> str:
        """Return a source without its last `too_many` tokens."""
        ids = self._tokenizer(source, add_special_tokens=False, verbose=False)["input_ids"]
        kept = ids[: max(0, len(ids) - too_many)]
        text: str = self._tokenizer.decode(kept, clean_up_tokenization_spaces=False)
        # A vocabulary that rewrites texts gives back others than it was given.
        return text if source.startswith(text) else source[: len(source) * len(kept) // len(ids)]
