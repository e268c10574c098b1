"""Tables in plain text, for the terminal and for whoever reads the notebook as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def text_table(headings: Sequence[str], rows: Sequence[Sequence[object]], limit: int = 40) -> str:
    """Return the rows in aligned columns under their headings.

    Args:
        headings: one for each column.
        rows: the cells; line breaks in them become spaces.
        limit: characters after which a cell is cut.

    Returns:
        Lines without a final line break.
    """
    cells = [[_one_line(cell, limit) for cell in row] for row in [headings, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _one_line(cell: object, limit: int) -> str:
    words = " ".join(str(cell).split())
    return words if len(words) <= limit else words[: limit - 1] + "…"
