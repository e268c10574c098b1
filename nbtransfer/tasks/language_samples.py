"""A few held-out texts that a language model is shown at work on, the same at each evaluation."""

# Shapes: N blocks, B tokens of a block.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.encoding import IGNORED, Ragged
from nbtransfer.data.lengths import spread_rows
from nbtransfer.data.masking import FIXED_DRAW, Masking, hide_tokens
from nbtransfer.data.span_corruption import SpanCorruption
from nbtransfer.tasks.findings import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from nbtransfer.data.encoding import Encoding
    from nbtransfer.tasks.task import Answers, Tokenizer

GAP = "[?]"
OTHER_GAP = "_"
NUM_NEW_TOKENS = 32
_NUM_SAMPLES = 3
_MAX_PROMPT = 16  # tokens
_LEAST_TOKENS, _ENOUGH_TOKENS = 4, 24  # of a document's first block
_CONTEXT = 10  # tokens before a hidden one, and after it


class Prompt(NamedTuple):
    """The beginning of a document and how it goes on, int32 arrays of tokens."""

    tokens: np.ndarray
    rest: np.ndarray


def prompts_of(encoding: Encoding) -> list[Prompt]:
    """Return the beginnings of a few documents, evenly spread over those that are long enough."""
    found = []
    for block in _chosen_blocks(encoding):
        row = encoding.tokens.row(block)
        size = min(_MAX_PROMPT, len(row) // 2)
        found.append(Prompt(row[:size], row[size : size + NUM_NEW_TOKENS]))
    return found


def continued_samples(
    prompts: Sequence[Prompt], written: Sequence[np.ndarray], tokenizer: Tokenizer
) -> tuple[Sample, ...]:
    """Return prompts with the document's own continuation and the one written by the model."""

    def text(tokens: np.ndarray) -> str:
        return str(tokenizer.decode(tokens.tolist(), skip_special_tokens=True)).strip()

    return tuple(
        Sample(text(prompt.tokens), text(prompt.rest), text(more))
        for prompt, more in zip(prompts, written, strict=True)
    )


def guessed_samples(
    answers: Answers, encoding: Encoding, tokenizer: Tokenizer
) -> tuple[Sample, ...]:
    """Return a hidden token of a few documents in its context, with the model's first guess.

    Args:
        answers: `guesses` and `shares`, for each block (hidden tokens, candidates).
        encoding: the N blocks, hidden at an evaluation as `FIXED_DRAW` says.
        tokenizer: the model's own.
    """
    guesses, shares = answers.get("guesses"), answers.get("shares")
    if guesses is None or shares is None or not isinstance(encoding.masking, Masking):
        return ()
    assert isinstance(guesses, Ragged)
    assert isinstance(shares, Ragged)
    found = []
    for block in _chosen_blocks(encoding):
        tokens = encoding.tokens.row(block)
        seen, hidden = _hidden(tokens, block, encoding.masking)
        if not len(hidden):
            continue
        number = _most_telling(tokens, seen, hidden, encoding.masking, tokenizer)
        said = tokenizer.decode([int(guesses.row(block)[number, 0])]).strip()
        share = 100 * float(shares.row(block)[number, 0])
        gold = tokenizer.decode([int(tokens[hidden[number]])]).strip()
        context = _in_context(tokens, hidden, hidden[number : number + 1], tokenizer)
        found.append(Sample(context, gold, f"{said} {share:.0f} %"))
    return tuple(found)


def rewritten_samples(
    answers: Answers, encoding: Encoding, tokenizer: Tokenizer
) -> tuple[Sample, ...]:
    """Return a hidden stretch of a few documents in its context, with what the model has there.

    Args:
        answers: `said`, for each block the likeliest token at each place of its targets.
        encoding: the N blocks, hidden at an evaluation as `FIXED_DRAW` says.
        tokenizer: the model's own.
    """
    said, masking = answers.get("said"), encoding.masking
    if said is None or not isinstance(masking, SpanCorruption):
        return ()
    import numpy as np

    assert isinstance(said, Ragged)
    found = []
    for block in _chosen_blocks(encoding):
        tokens = encoding.tokens.row(block)
        hidden = masking.corrupt(tokens, block, FIXED_DRAW)
        inside = np.flatnonzero(hidden.places >= 0)
        if not len(inside):
            continue
        stretches = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1)
        shown = max(stretches, key=len)
        places = hidden.places[inside]
        context = _in_context(tokens, places, hidden.places[shown], tokenizer)
        right, own = (
            tokenizer.decode(ids.tolist(), skip_special_tokens=True).strip()
            for ids in (hidden.targets[shown], said.row(block)[shown])
        )
        found.append(Sample(context, right, own))
    return tuple(found)


def _chosen_blocks(encoding: Encoding) -> list[int]:
    """Return the first blocks of a few documents: of long ones, where there are enough of them."""
    import numpy as np

    sources = encoding.sources
    firsts = np.flatnonzero(np.diff(sources, prepend=-1) != 0)
    lengths = encoding.tokens.lengths[firsts]
    long_enough = firsts[lengths >= _ENOUGH_TOKENS]
    if len(long_enough) < _NUM_SAMPLES:
        long_enough = firsts[lengths >= _LEAST_TOKENS]
    if not len(long_enough):
        return []
    return [int(long_enough[i]) for i in spread_rows(len(long_enough), _NUM_SAMPLES)]


def _hidden(tokens: np.ndarray, block: int, masking: Masking) -> tuple[np.ndarray, np.ndarray]:
    """Return a block as the model saw it, int64 array (B,), and the places of its hidden tokens."""
    import numpy as np

    ids = tokens[None].astype(np.int64)
    labels = hide_tokens(ids, np.ones_like(ids, bool), np.array([block]), masking, FIXED_DRAW)
    return ids[0], np.flatnonzero(labels[0] != IGNORED)


def _most_telling(
    tokens: np.ndarray,
    seen: np.ndarray,
    hidden: np.ndarray,
    masking: Masking,
    tokenizer: Tokenizer,
) -> int:
    """Return which hidden token to show: a long whole word behind the mask token says most."""

    def worth(number: int) -> tuple[bool, bool, int]:
        place = hidden[number]
        text = tokenizer.decode([int(tokens[place])]).strip()
        return bool(seen[place] == masking.mask_id), text.isalpha(), len(text)

    return max(range(len(hidden)), key=worth)


def _in_context(
    tokens: np.ndarray, hidden: np.ndarray, shown: np.ndarray, tokenizer: Tokenizer
) -> str:
    """Return the text around the places `shown`, a gap there, and where else tokens were hidden."""
    first, last = int(shown[0]), int(shown[-1])
    others = set(hidden.tolist())
    pieces: list[str] = []
    run: list[int] = []

    def close(gap: str = "") -> None:
        text = tokenizer.decode(run, skip_special_tokens=True).strip() if run else ""
        pieces.extend(piece for piece in (text, gap) if piece)
        run.clear()

    for at in range(max(0, first - _CONTEXT), min(len(tokens), last + _CONTEXT + 1)):
        if at not in others:
            run.append(int(tokens[at]))
        elif first <= at <= last:
            close(GAP if at == first else "")
        else:  # neighbours that are hidden too are one gap
            close("" if at - 1 in others and at - 1 != last and pieces else OTHER_GAP)
    close()
    return " ".join(pieces)
