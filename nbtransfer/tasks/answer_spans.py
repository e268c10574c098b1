"""From start and end scores of tokens to the best answers of each question, over its windows.

Every span of at most `max_tokens` tokens is scored, not only those between the likeliest starts and
ends: a pass over the tokens for each length does it, and nothing can be missed.
"""

# Shapes: R questions, N windows, B windows of a chunk, T tokens of its longest, L lengths of spans,
# K spans in all.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from nbtransfer.data.encoding import Encoding, Ragged

NUM_BEST = 20
MAX_TOKENS = 30
_CHUNK_SCORES = 4_000_000  # spans scored at once: 32 MB


class Spans(NamedTuple):
    """The best spans, those of a question side by side, its best first.

    Attributes:
        rows: the question of each span, int64 array (K,).
        starts: its first character in the context, int64 array (K,).
        ends: the character after its last, int64 array (K,).
        scores: the sum of its start and end scores, float64 array (K,).
        null: each question's score of "no answer", float64 array (R,): the least that one of its
            windows gives, since one that holds the answer is enough.
    """

    rows: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    null: np.ndarray


def best_spans(
    start: Ragged,
    end: Ragged,
    encoding: Encoding,
    num_rows: int,
    *,
    num_best: int = NUM_BEST,
    max_tokens: int = MAX_TOKENS,
) -> Spans:
    """Return at most `num_best` different spans of each question's context.

    Args:
        start: a score for each token of each window as the answer's first.
        end: the same, as its last.
        encoding: the windows, as `answer_windows` made them.
        num_rows: how many questions there are.
        num_best: spans kept of each question.
        max_tokens: tokens of the longest span.
    """
    import numpy as np

    offsets, details = encoding.tokens.offsets, encoding.details
    null = np.full(num_rows, np.inf)
    first = offsets[:-1] + details["null"]
    np.minimum.at(
        null, encoding.sources, start.values[first].astype(float) + end.values[first].astype(float)
    )
    found = [np.zeros((0, 4))]
    lengths = np.diff(offsets)
    chunk = max(1, _CHUNK_SCORES // (max_tokens * max(1, int(lengths.max(initial=1)))))
    for begin in range(0, len(lengths), chunk):
        windows = np.arange(begin, min(begin + chunk, len(lengths)))
        found.append(_of_windows(windows, start, end, encoding, num_best, max_tokens))
    rows, starts, ends, scores = np.concatenate(found).T
    # Neighbouring windows both hold what they share: of equal spans the better one stays.
    order = np.lexsort((-scores, ends, starts, rows))
    again = np.zeros(len(order), dtype=bool)
    same = [values[order][1:] == values[order][:-1] for values in (rows, starts, ends)]
    again[1:] = same[0] & same[1] & same[2]
    kept = order[~again]
    kept = kept[np.lexsort((ends[kept], starts[kept], -scores[kept], rows[kept]))]
    place = np.arange(len(kept)) - np.searchsorted(rows[kept], rows[kept])
    kept = kept[place < num_best]
    return Spans(
        rows[kept].astype(np.int64),
        starts[kept].astype(np.int64),
        ends[kept].astype(np.int64),
        scores[kept],
        null,
    )


def _of_windows(
    windows: np.ndarray,
    start: Ragged,
    end: Ragged,
    encoding: Encoding,
    num_best: int,
    max_tokens: int,
) -> np.ndarray:
    """Return question, first and last character and score of each window's best, (K, 4)."""
    import numpy as np

    begins = encoding.tokens.offsets[windows]
    lengths = encoding.tokens.offsets[windows + 1] - begins
    width = int(lengths.max())
    inside = np.arange(width)[None, :] < lengths[:, None]
    places = (begins[:, None] + np.arange(width)[None, :])[inside]
    of_context = np.zeros(inside.shape, dtype=bool)
    of_context[inside] = encoding.details["starts"][places] >= 0
    context = places[of_context[inside]]
    starts, ends = np.full(inside.shape, -np.inf), np.full(inside.shape, -np.inf)
    starts[of_context], ends[of_context] = start.values[context], end.values[context]
    # Of one start and all lengths side by side, so that equal scores come in the text's order.
    sums = np.full((*inside.shape, min(max_tokens, width)), -np.inf)  # (B, T, L)
    for longer in range(sums.shape[2]):
        sums[:, : width - longer, longer] = starts[:, : width - longer] + ends[:, longer:]
    flat = sums.reshape(len(windows), -1)
    count = min(num_best, flat.shape[1])
    best = np.argpartition(-flat, count - 1, axis=1)[:, :count]
    scores = np.take_along_axis(flat, best, axis=1)
    window, _ = real = np.nonzero(np.isfinite(scores))
    token, longer = np.divmod(best[real], sums.shape[2])
    at = begins[window]
    return np.stack(
        [
            encoding.sources[windows[window]].astype(float),
            encoding.details["starts"][at + token].astype(float),
            encoding.details["ends"][at + token + longer].astype(float),
            scores[real],
        ],
        axis=1,
    )
