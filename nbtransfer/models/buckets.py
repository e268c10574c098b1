"""Which few numbers of tokens packed batches are filled up to."""

# Shapes: M micro-batches.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

MOST_BUCKETS = 5  # capturing one costs 0.4 to 0.6 s on an H100, and 3 s are what a start may cost
_MULTIPLE = 64  # tokens; sizes that matrix units like
_MOST_CANDIDATES = 256  # bounds the search, whose cost grows with their square


class Bucket(NamedTuple):
    """A number of tokens, and the sequences that what is missing is split into."""

    total: int
    num_fillers: int


def make_buckets(
    totals: np.ndarray, largest: int, max_length: int, *, most: int = MOST_BUCKETS
) -> tuple[Bucket, ...]:
    """Return the buckets that waste the fewest tokens on the micro-batches given.

    Found by dynamic programming over where to cut the sorted totals (as Fisher's optimal grouping,
    1958, with the tokens processed as what is minimised).

    Args:
        totals: tokens of each of a sample of micro-batches, int array (M,).
        largest: tokens that no micro-batch exceeds.
        max_length: tokens that no sequence exceeds, fillers included.
        most: how many buckets there may be.

    Returns:
        At most `most` buckets, the smallest first. Each has room for at least one token a filler.
    """
    import numpy as np

    cuts = np.unique(-(-totals // _MULTIPLE) * _MULTIPLE)
    if len(cuts) > _MOST_CANDIDATES:
        cuts = cuts[np.linspace(0, len(cuts) - 1, _MOST_CANDIDATES).round().astype(int)]
    cuts = np.append(cuts[cuts < largest], -(-largest // _MULTIPLE) * _MULTIPLE)
    below = np.searchsorted(np.sort(totals), cuts, side="right")  # micro-batches that fit each
    # least[j]: tokens processed by those that fit cuts[j], where it is the last of so many cuts.
    least = (cuts * below).astype(float)
    chosen = []
    for _ in range(most - 1):
        via = least[:, None] + cuts[None, :] * (below[None, :] - below[:, None])
        via[np.tril_indices(len(cuts))] = np.inf
        before = via.argmin(0)
        better = via[before, np.arange(len(cuts))] < least
        chosen.append(np.where(better, before, -1))
        least = np.where(better, via[before, np.arange(len(cuts))], least)
    at, wanted = len(cuts) - 1, []
    for before in reversed(chosen):
        if before[at] >= 0:  # one cut more was worth it
            wanted.append(int(cuts[at]))
            at = int(before[at])
    wanted.append(int(cuts[at]))
    return _with_fillers(wanted[::-1], largest, max_length)


def _with_fillers(totals: list[int], largest: int, max_length: int) -> tuple[Bucket, ...]:
    found: list[Bucket] = []
    below = fillers_below = 0
    for total in totals:
        # The fullest that did not fit the bucket below left it `fillers_below - 1` tokens or fewer.
        fillers = max(1, -(-(total - below + fillers_below) // max_length))
        found.append(Bucket(total, fillers))
        below, fillers_below = total, fillers
    last = found[-1]
    while last.total < largest + last.num_fillers:
        total = last.total + _MULTIPLE
        before = found[-2] if len(found) > 1 else Bucket(0, 0)
        missing = total - before.total + before.num_fillers
        last = Bucket(total, max(1, -(-missing // max_length)))
    return (*found[:-1], last)


def choose_bucket(buckets: tuple[Bucket, ...], num_tokens: int) -> Bucket:
    """Return the smallest bucket that holds so many tokens and one of each filler."""
    return next(b for b in buckets if num_tokens + b.num_fillers <= b.total)
