"""Hiding tokens to be guessed: masked language modelling as in BERT, drawn anew at every step.

Which tokens are hidden is a pure function of (seed, step, row), so it depends neither on the batch
nor on how often a run was stopped; how many are hidden depends on the row alone.
"""

# Shapes: B rows, T tokens of the longest.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.encoding import Ragged, count_by_row

if TYPE_CHECKING:
    import numpy as np


FIXED_DRAW = (0, 0)  # the same tokens are hidden at every evaluation


class Masking(NamedTuple):
    """How tokens are hidden (Devlin et al., 2019).

    Attributes:
        share: of a row's tokens that are to be guessed; at least one of them always is.
        mask_id: the number of the mask token.
        vocabulary: how many tokens there are to draw random ones from.
        special_ids: numbers of the tokens that are never to be guessed.
        continues: bool array (vocabulary,), True for tokens that continue a word: then all tokens
            of a word are hidden together; None hides tokens one by one.
    """

    share: float
    mask_id: int
    vocabulary: int
    special_ids: tuple[int, ...]
    continues: np.ndarray | None = None

    def num_hidden(self, tokens: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return how many tokens of each row are to be guessed, int64 array (N,)."""
        import numpy as np

        rows = Ragged(tokens, offsets)
        return self.count(count_by_row(rows, lambda ids: ~np.isin(ids, self.special_ids)))

    def count(self, num_ordinary: np.ndarray) -> np.ndarray:
        """Return how many of so many ordinary tokens are to be guessed."""
        import numpy as np

        wanted = np.maximum(1, np.round(self.share * num_ordinary)).astype(np.int64)
        return np.minimum(wanted, num_ordinary)


def hide_tokens(
    ids: np.ndarray, mask: np.ndarray, rows: np.ndarray, masking: Masking, draw: tuple[int, int]
) -> np.ndarray:
    """Hide tokens in `ids`, in place: 80 % behind the mask token, 10 % random, 10 % as they were.

    Args:
        ids: int64 array (B, T).
        mask: bool array (B, T), False for padding.
        rows: their row numbers, (B,).
        masking: how.
        draw: (seed, step).

    Returns:
        The hidden tokens, int64 array (B, T), -100 where nothing is to be guessed.
    """
    import numpy as np

    labels = np.full(ids.shape, -100, dtype=np.int64)
    ordinary = mask & ~np.isin(ids, masking.special_ids)
    for i, row in enumerate(rows):
        places = np.flatnonzero(ordinary[i])
        count = int(masking.count(np.array(len(places))))
        random = np.random.default_rng([*draw, int(row)])
        chosen = _choose(places, ids[i], count, masking, random)
        labels[i, chosen] = ids[i, chosen]
        fate = random.random(count)
        ids[i, chosen[fate < 0.8]] = masking.mask_id
        swapped = chosen[(fate >= 0.8) & (fate < 0.9)]
        ids[i, swapped] = random.integers(0, masking.vocabulary, len(swapped))
    return labels


def _choose(
    places: np.ndarray,
    ids: np.ndarray,
    count: int,
    masking: Masking,
    random: np.random.Generator,
) -> np.ndarray:
    """Return `count` of `places`, whole words together as far as the count allows."""
    import numpy as np

    if masking.continues is None:
        return np.sort(random.permutation(places)[:count])
    starts = ~masking.continues[ids[places]]
    starts[1:] |= np.diff(places) > 1
    words = np.cumsum(starts)
    order = random.permutation(words.max() + 1) if len(places) else np.zeros(0, np.int64)
    # Words in drawn order, their tokens in the text's; the last word taken may be cut.
    ranked = places[np.lexsort((places, order[words]))]
    return np.sort(ranked[:count])
