"""Questions with long contexts as rows of bounded length: overlapping windows of the context.

Only the context is cut. Each window repeats the question; neighbours overlap by a third of the
maximum length (128 of 384 in Devlin et al., 2019), so that an answer at one window's edge stands
whole in the next.
"""

# Shapes: R questions, N windows, T tokens of all windows together.
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtransfer.data.encoding import Encoding, Lost, Ragged, first_row
from nbtransfer.data.windows import longest_question, overlap_of
from nbtransfer.errors import DataError, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa

_CHUNK = 1_000  # questions a tokenizer call: bounds the memory of its Python lists
OUTSIDE = -1  # the place of a token that is not of the context


def encode_windows(
    tokenizer: Any,  # noqa: ANN401 -- of transformers, which cold modules do not import
    table: pa.Table,
    max_length: int,
) -> Encoding:
    """Return questions and contexts as windows of at most `max_length` tokens.

    Args:
        tokenizer: the model's own; it must know the characters of its tokens.
        table: question and context, and where they are known answers and starts.
        max_length: tokens of a window.

    Returns:
        An encoding with `details`: `starts` and `ends`, int32 arrays (T,), each token's characters
        in its context, -1 for those of the question and special ones; `null`, int64 array (N,),
        the token of each window that stands for "no answer here". Targets are the first and the
        last token of the first right answer, int64 array (N, 2), `null` twice where it is not in
        the window.

    Raises:
        DataError: if a question leaves no room for its context, or the tokenizer does not know
            its tokens' characters.
    """
    import numpy as np

    if not getattr(tokenizer, "is_fast", False):
        raise DataError(
            f"the tokenizer {type(tokenizer).__name__} does not say which characters its tokens "
            "stand for. Take a model with a tokenizer.json."
        )
    questions, contexts = table["question"].to_pylist(), table["context"].to_pylist()
    _check_questions(tokenizer, questions, max_length)
    typed = "token_type_ids" in tokenizer.model_input_names
    parts: dict[str, list[Any]] = {"ids": [], "types": [], "starts": [], "ends": []}
    sources: list[int] = []
    lengths: list[int] = []
    for begin in range(0, len(questions), _CHUNK):
        found = tokenizer(
            questions[begin : begin + _CHUNK],
            contexts[begin : begin + _CHUNK],
            truncation="only_second",
            max_length=max_length,
            stride=overlap_of(max_length),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        sources += [begin + row for row in found["overflow_to_sample_mapping"]]
        for window in found.encodings:
            of_context = np.array([part == 1 for part in window.sequence_ids])
            places = np.array(window.offsets, dtype=np.int32).reshape(-1, 2)
            places[~of_context] = OUTSIDE
            lengths.append(len(window.ids))
            parts["ids"].append(np.array(window.ids, dtype=np.int32))
            parts["starts"].append(places[:, 0])
            parts["ends"].append(places[:, 1])
            if typed:
                parts["types"].append(np.array(window.type_ids, dtype=np.uint8))
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])

    def joined(name: str, dtype: str) -> np.ndarray:
        return np.concatenate(parts[name]) if parts[name] else np.zeros(0, dtype)

    tokens = Ragged(joined("ids", "int32"), offsets)
    rows = np.array(sources, dtype=np.int64)
    details = {
        "starts": joined("starts", "int32"),
        "ends": joined("ends", "int32"),
        "null": _null_tokens(tokens, getattr(tokenizer, "cls_token_id", None)),
    }
    targets: np.ndarray | None = None
    lost: Lost | None = None
    if "answers" in table.column_names:
        targets = _targets(table, offsets, rows, details)
        lost = _lost_answers(table, rows, targets, details["null"])
    return Encoding(
        tokens=tokens,
        segments=joined("types", "uint8") if typed else None,
        targets=targets,
        sources=rows,
        details=details,
        lost=lost,
    )


def _check_questions(tokenizer: Any, questions: Sequence[str], max_length: int) -> None:  # noqa: ANN401 -- as above
    special = tokenizer.num_special_tokens_to_add(pair=True)
    limit = longest_question(max_length) - special
    for begin in range(0, len(questions), _CHUNK):
        part = list(questions[begin : begin + _CHUNK])
        found = tokenizer(part, add_special_tokens=False, return_attention_mask=False)
        for row, ids in enumerate(found["input_ids"], start=begin):
            if len(ids) > limit:
                raise DataError(
                    f"the question {quoted(questions[row])} has {len(ids):,} tokens, and at most "
                    f"{max(limit, 0):,} leave its context half of max_length={max_length:,}. Take "
                    "a longer max_length, or shorten the question."
                )


def _null_tokens(tokens: Ragged, cls_token_id: int | None) -> np.ndarray:
    """Return where each window's first special token stands; its first token without one."""
    import numpy as np

    found = np.zeros(tokens.num_rows, dtype=np.int64)
    if cls_token_id is None:
        return found
    places = np.flatnonzero(tokens.values == cls_token_id)
    windows = np.searchsorted(tokens.offsets, places, side="right") - 1
    # The first of several counts, so it is written last.
    found[windows[::-1]] = (places - tokens.offsets[windows])[::-1]
    return found


def _targets(
    table: pa.Table, offsets: np.ndarray, rows: np.ndarray, details: dict[str, np.ndarray]
) -> np.ndarray:
    """Return the first and last token of each window's answer, int64 array (N, 2)."""
    import numpy as np

    targets = np.repeat(details["null"][:, None], 2, axis=1)
    answers, starts = table["answers"].to_pylist(), table["starts"].to_pylist()
    for window, row in enumerate(rows):
        if not answers[row]:
            continue
        first = starts[row][0]
        last = first + len(answers[row][0])
        here = slice(offsets[window], offsets[window + 1])
        begins, ends = details["starts"][here], details["ends"][here]
        inside = np.flatnonzero(begins != OUTSIDE)
        if not len(inside) or begins[inside[0]] > first or ends[inside[-1]] < last:
            continue
        # Some tokenizers count the space before a word to it, and some have empty tokens.
        token = inside[np.argmax(ends[inside] > first)]
        final = inside[np.flatnonzero(begins[inside] < last)[-1]]
        if token <= final:
            targets[window] = token, final
    return targets


def _lost_answers(table: pa.Table, rows: np.ndarray, targets: np.ndarray, null: np.ndarray) -> Lost:
    """Return how many answers no window holds whole."""
    import numpy as np
    import pyarrow.compute as pc

    has_answer = pc.greater(pc.list_value_length(table["answers"]), 0).to_numpy()
    kept = np.zeros(table.num_rows, dtype=bool)
    kept[rows[targets[:, 0] != null]] = True
    lost = np.flatnonzero(has_answer & ~kept)
    return Lost(
        len(lost),
        int(has_answer.sum()),
        first_row(table, lost),
        "answer",
        "no window holds {} whole",
        "They are taught as if the context held none. A longer max_length keeps them.",
    )
