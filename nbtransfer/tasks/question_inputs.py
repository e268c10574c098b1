"""Questions a user wants answered, checked and turned into rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbtransfer.data.columns import valid_text, with_article
from nbtransfer.errors import DataError, nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

_FORM = '{"question": "...", "context": "..."}'


def question_inputs(values: Sequence[object], first: int = 0) -> pa.Table:
    """Return questions and contexts as a table of these columns; broken Unicode is replaced.

    Args:
        values: dicts of a question and its context.
        first: the number of the first of them among all that are given.

    Raises:
        DataError: if a value is no question with its context.
    """
    import pyarrow as pa

    found: dict[str, list[str]] = {"question": [], "context": []}
    for i, value in enumerate(values, first):
        if not isinstance(value, Mapping):
            raise DataError(
                f"input {i} is {quoted(value)}, {with_article(type(value).__name__)}. Give each "
                f"question with its context: nt.predict(run, {_FORM})."
            )
        for role, texts in found.items():
            if role not in value:
                close = nearest(role, [str(key) for key in value])
                hint = f" Is it {close!r}?" if close else ""
                raise DataError(f"input {i} has no {role!r}.{hint} Give {_FORM}.")
            text = value[role]
            if not isinstance(text, str) or not text.strip():
                raise DataError(
                    f"the {role} of input {i} is {quoted(text)}. Give a text that is not empty."
                )
            texts.append(valid_text(text))
    return pa.table({role: pa.array(texts, pa.string()) for role, texts in found.items()})
