"""Training the word vectors that the data uses, and leaving all others as they were pre-trained.

A vocabulary holds tens or hundreds of thousands of words, most of a small model's weights, and a
data set uses a few thousand of them. The others have no gradient, yet filling it with zeros,
measuring it, clipping it and updating by it cost a tenth of a small step, and their moments take
twice the vocabulary's memory, on the device and in every checkpoint.
"""

# Shapes: V words of the vocabulary, U words used, B rows, T tokens, H features.
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn.functional import embedding

from nbtransfer.data.encode import EncodedTexts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbtransfer.data.encode import Encoded

_PART = 1 << 20  # tokens looked at together
_WORTH_IT = 0.8  # with a larger share of the vocabulary in use there is little to gain


class UsedWords(nn.Module):
    """Stands for a model's word embedding while it trains; other words than those used fail.

    Attributes:
        weight: the vectors that learn, float tensor (U, H).
        words: whose they are, ascending, int64 tensor (U,).

    Args:
        model: its input embedding is replaced.
        whole: that embedding, of V words.
        words: as the attribute.
    """

    def __init__(self, model: nn.Module, whole: nn.Embedding, words: torch.Tensor) -> None:
        super().__init__()
        device = whole.weight.device
        places = torch.full((whole.num_embeddings,), -1)
        places[words] = torch.arange(len(words))
        self.weight = nn.Parameter(whole.weight.detach()[words.to(device)].clone())
        # Not persistent: checkpoints hold what learns, and the rest is the pre-trained model's.
        self.register_buffer("_places", places.to(device), persistent=False)
        pad = whole.padding_idx
        self._padding = None if pad is None or places[pad] < 0 else int(places[pad])
        # In a tuple, so that neither moves with the model nor counts as part of it.
        self._outside = (model, whole.cpu())
        self.words = words

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of int64 `ids` (B, T), float tensor (B, T, H)."""
        return embedding(self._places[ids], self.weight, self._padding)

    @property
    def num_words(self) -> tuple[int, int]:
        """How many words learn, and how many there are."""
        return len(self.words), self._outside[1].num_embeddings

    @property
    def pretrained(self) -> torch.Tensor:
        """The vectors of all words as they were before training, float tensor (V, H)."""
        return self._outside[1].weight

    @torch.no_grad()
    def restore(self) -> None:
        """Give the model its whole vocabulary back, with what was learned in it."""
        model, whole = self._outside
        whole.weight[self.words] = self.weight.detach().cpu()
        model.set_input_embeddings(whole.to(self.weight.device))


def train_used_words(model: nn.Module, rows: Iterable[Encoded]) -> UsedWords | None:
    """Let only the word vectors learn that `rows` use; return what restores the others.

    Args:
        model: of transformers, on its device, before its optimizer is made.
        rows: everything it will be asked about until `UsedWords.restore`.

    Returns:
        None where the model stays as it is: its vectors are frozen or serve elsewhere too (as the
        output of a language model), rows are not texts, or use most of the vocabulary.
    """
    texts = list(rows)
    whole = model.get_input_embeddings()
    if type(whole) is not nn.Embedding or not whole.weight.requires_grad:
        return None
    places = [p for _, p in model.named_parameters(remove_duplicate=False) if p is whole.weight]
    if len(places) != 1 or whole.max_norm is not None or whole.sparse:
        return None
    used = np.zeros(whole.num_embeddings, bool)
    used[:2] = True  # packed batches fill up with one of these
    for encoded in texts:
        if not isinstance(encoded, EncodedTexts) or encoded.masking is not None:
            return None
        for start in range(0, len(encoded.tokens), _PART):
            used[encoded.tokens[start : start + _PART]] = True
        used[encoded.pad_token_id] = True
    if used.mean() > _WORTH_IT:
        return None
    words = UsedWords(model, whole, torch.from_numpy(np.flatnonzero(used)))
    model.set_input_embeddings(words)
    return words
