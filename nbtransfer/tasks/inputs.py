"""What a user wants answered, checked and turned into rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.errors import DataError, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


def plain_texts(values: Sequence[object]) -> pa.Table:
    """Return texts as a table of one column, `text`; broken Unicode becomes question marks.

    Raises:
        DataError: if a value is not a text.
    """
    import pyarrow as pa

    clean = []
    for i, value in enumerate(values):
        if not isinstance(value, str):
            raise DataError(
                f"input {i} is {quoted(value)}, a {type(value).__name__}. Give texts: "
                'nt.predict(run, ["first text", "second text"]).'
            )
        clean.append(value.encode("utf-8", "replace").decode())
    return pa.table({"text": pa.array(clean, pa.string())})
