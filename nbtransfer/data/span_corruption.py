"""Hiding stretches of tokens to be written anew, as T5 was pre-trained, drawn anew at every step.

Which stretches are hidden is a pure function of (seed, step, row); how many tokens and stretches
they are depends on the row's length alone, so that a step's divisor is known before its first pass.
"""

# Shapes: N rows, B tokens of a row's body (without the special tokens around it).
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.encoding import Ragged

if TYPE_CHECKING:
    import numpy as np

MEAN_SPAN = 3.0
_NO_PLACE = -1


class Corrupted(NamedTuple):
    """A row with stretches hidden, int64 arrays.

    Attributes:
        inputs: what is left, a sentinel where a stretch was; special tokens as they were.
        targets: each sentinel with the stretch it stands for, then what ends a text.
        places: where in the row each target token stood; -1 for a sentinel and for the end.
    """

    inputs: np.ndarray
    targets: np.ndarray
    places: np.ndarray


class SpanCorruption(NamedTuple):
    """How stretches are hidden (Raffel et al., 2020, section 3.1.4 and appendix B's figures).

    The lengths of hidden and kept stretches are random compositions of their totals; a row begins
    with a kept stretch and ends with a hidden one, as in the published code.

    Attributes:
        share: of a row's tokens that are hidden.
        sentinels: numbers of the tokens that stand for a stretch, in their order.
        before: how many special tokens stand before a row's body.
        after: the special tokens behind it: they end the targets too.
    """

    share: float
    sentinels: tuple[int, ...]
    before: int
    after: tuple[int, ...]

    def counts(self, num_tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many tokens, in how many stretches, are hidden of rows of so many tokens.

        Args:
            num_tokens: int array (N,), special tokens included.

        Returns:
            Two int64 arrays (N,). Of a body of one token nothing is hidden: nothing would be left.
        """
        import numpy as np

        body = np.maximum(0, np.asarray(num_tokens) - self.before - len(self.after))
        hidden = np.clip(np.round(self.share * body), 1, np.maximum(1, body - 1)).astype(np.int64)
        hidden = np.where(body < 2, 0, hidden)
        spans = np.maximum(1, np.round(hidden / MEAN_SPAN)).astype(np.int64)
        spans = np.minimum(
            np.minimum(spans, len(self.sentinels)), np.minimum(hidden, body - hidden)
        )
        return hidden, spans

    def num_hidden(self, tokens: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return how many target tokens each row has, int64 array (N,)."""
        hidden, spans = self.counts(offsets[1:] - offsets[:-1])
        return hidden + spans + len(self.after)

    def corrupt(self, tokens: np.ndarray, row: int, draw: tuple[int, int]) -> Corrupted:
        """Hide stretches of one row.

        Args:
            tokens: int array, special tokens included.
            row: its number.
            draw: (seed, step).
        """
        import numpy as np

        hidden, spans = (int(count[0]) for count in self.counts(np.array([len(tokens)])))
        last = len(tokens) - len(self.after)
        random = np.random.default_rng([*draw, int(row)])
        kept = composition(last - self.before - hidden, spans, random)
        gone = composition(hidden, spans, random)
        inputs: list[int] = list(tokens[: self.before])
        targets: list[int] = []
        places: list[int] = []
        at = self.before
        for sentinel, stay, go in zip(self.sentinels, kept, gone, strict=False):
            inputs += [*tokens[at : at + stay], sentinel]
            at += stay
            targets += [sentinel, *tokens[at : at + go]]
            places += [_NO_PLACE, *range(at, at + go)]
            at += go
        inputs += list(tokens[at:])
        targets += self.after
        places += [_NO_PLACE] * len(self.after)
        return Corrupted(*(np.array(values, np.int64) for values in (inputs, targets, places)))

    def corrupt_rows(
        self, rows: list[np.ndarray], numbers: np.ndarray, draw: tuple[int, int]
    ) -> tuple[Ragged, Ragged]:
        """Return inputs and targets of several rows, int64; see `corrupt`."""
        found = [self.corrupt(row, number, draw) for row, number in zip(rows, numbers, strict=True)]
        inputs, targets = ([c.inputs for c in found], [c.targets for c in found])
        return Ragged.of(inputs, "int64"), Ragged.of(targets, "int64")


def composition(total: int, parts: int, random: np.random.Generator) -> list[int]:
    """Return `parts` whole numbers above 0 that add up to `total`, each way equally likely."""
    import numpy as np

    if parts == 0:
        return []
    cuts = np.sort(random.permutation(total - 1)[: parts - 1]) + 1
    return np.diff([0, *cuts, total]).tolist()  # type: ignore[no-any-return]
