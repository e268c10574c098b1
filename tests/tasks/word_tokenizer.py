"""A tokenizer of whole words with the interface that tasks use, for tests without transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class WordTokenizer:
    """Numbers words as they come.

    Args:
        chat: whether it has a chat template.
    """

    def __init__(self, *, chat: bool = False) -> None:
        self._words = ["<end>"]
        self.eos_token_id: int | None = 0
        self.chat_template = "a template" if chat else None

    def __call__(self, texts: str | Sequence[str], **_: object) -> dict[str, list]:
        if isinstance(texts, str):
            return {"input_ids": self._read(texts)}
        return {"input_ids": [self._read(text) for text in texts]}

    def _read(self, text: str) -> list[int]:
        for word in text.split():
            if word not in self._words:
                self._words.append(word)
        return [self._words.index(word) for word in text.split()]

    def apply_chat_template(self, talks: Sequence[Sequence[dict]], **_: object) -> list[str]:
        return [f"<user> {talk[0]['content']} </user> <bot>" for talk in talks]

    def words(self, ids: Iterable[int]) -> str:
        return " ".join(self._words[i] for i in ids)

    def decode(self, ids: Iterable[int], **_: object) -> str:
        return self.words(ids)
