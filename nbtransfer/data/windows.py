"""How long texts are read in overlapping windows: their size, their overlap, and how many."""

# Shapes: R rows.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

MAX_WINDOW = 384  # tokens where nothing is asked for, as in Devlin et al. (2019)


class Windows(NamedTuple):
    """Windows of rows: how many a row has on average, and the tokens of one."""

    per_row: float
    mean_tokens: float


def overlap_of(max_length: int) -> int:
    """Return how many tokens two neighbouring windows share."""
    return max_length // 3


def longest_question(max_length: int) -> int:
    """Return how many tokens a question with all special tokens may take: half of a window."""
    return max_length // 2


def window_for(question: int) -> int:
    """Return the least window that such a question fits, a multiple of 8."""
    return -(-2 * question // 8) * 8


def count_windows(questions: np.ndarray, contexts: np.ndarray, max_length: int) -> Windows:
    """Return what reading contexts in windows makes of rows.

    Args:
        questions: tokens that each window repeats, special ones too, int array (R,).
        contexts: tokens of the contexts alone, int array (R,).
        max_length: tokens of a window.
    """
    import numpy as np

    overlap = overlap_of(max_length)
    room = np.maximum(max_length - questions, overlap + 1)
    count = 1 + np.ceil(np.maximum(contexts - room, 0) / (room - overlap))
    tokens = count * questions + contexts + (count - 1) * overlap
    return Windows(float(count.mean()), float(tokens.sum() / count.sum()))
