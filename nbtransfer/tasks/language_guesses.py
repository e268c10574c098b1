"""The wrong guesses a language model was surest of, in their context: what a report shows."""

# Shapes: R documents, N blocks.
from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.tasks.class_findings import MAX_MISTAKES
from nbtransfer.tasks.findings import Mistake
from nbtransfer.tasks.language_metrics import document_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from nbtransfer.data.encoding import Encoding
    from nbtransfer.tasks.task import Answers, Tokenizer

_CONTEXT = 12  # tokens before the guess, and after it
_GAP = " [?] "


def wrong_guesses(
    answers: Answers, encoding: Encoding, num_documents: int, tokenizer: Tokenizer
) -> dict[str, pa.Array]:
    """Return the columns wrong_context, wrong_token, right_token and wrong_probability (R,).

    Args:
        answers: `wrong_place`, `wrong_token` and `wrong_share`, arrays (N,).
        encoding: the N blocks.
        num_documents: R.
        tokenizer: the model's own.

    Returns:
        Arrays that are null for a document without a wrong guess.
    """
    import numpy as np
    import pyarrow as pa

    best: dict[int, int] = {}
    shares = answers.get("wrong_share", np.zeros(0))
    assert isinstance(shares, np.ndarray)
    for block in np.flatnonzero(shares > 0):
        document = int(encoding.sources[block])
        if document not in best or shares[block] > shares[best[document]]:
            best[document] = int(block)
    places, tokens = answers.get("wrong_place"), answers.get("wrong_token")
    rows: list[tuple[str, str, str, float] | tuple[None, None, None, None]] = []
    for document in range(num_documents):
        if document not in best or places is None or tokens is None:
            rows.append((None, None, None, None))
            continue
        block = best[document]
        place, ids = int(places[block]), encoding.tokens.row(block).tolist()
        before = ids[max(0, place - _CONTEXT) : place]
        after = ids[place + 1 : place + 1 + _CONTEXT] if encoding.masking is not None else []
        context = _GAP.join(tokenizer.decode(x, skip_special_tokens=True) for x in (before, after))
        said, right = (tokenizer.decode([x]).strip() for x in (int(tokens[block]), ids[place]))
        rows.append((context.strip(), said, right, float(shares[block])))
    return {
        "wrong_context": pa.array([row[0] for row in rows], pa.string()),
        "wrong_token": pa.array([row[1] for row in rows], pa.string()),
        "right_token": pa.array([row[2] for row in rows], pa.string()),
        "wrong_probability": pa.array([row[3] for row in rows], pa.float64()),
    }


def judged(answers: Answers, encoding: Encoding, table: pa.Table, tokenizer: Tokenizer) -> pa.Table:
    """Return each document's figures, and its surest wrong guess."""
    found = document_columns(answers, encoding.sources, table)
    wrong = wrong_guesses(answers, encoding, table.num_rows, tokenizer)
    for name, values in wrong.items():
        found = found.append_column(name, values)
    return found


def surest_mistakes(predictions: pa.Table) -> tuple[Mistake, ...]:
    """Return the documents' wrong guesses, the surest first."""
    import pyarrow.compute as pc

    wrong = predictions.filter(pc.is_valid(predictions["wrong_probability"]))
    order = pc.sort_indices(wrong, [("wrong_probability", "descending")])[:MAX_MISTAKES]
    return tuple(
        Mistake(
            row["wrong_context"],
            row["right_token"],
            row["wrong_token"],
            row["wrong_probability"],
            row["row"],
        )
        for row in wrong.take(order).to_pylist()
    )
