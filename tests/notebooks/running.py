"""A notebook run whole, and the time of the processors that it takes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import nbformat

from nbtransfer.headless import Executed, execute

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

# Two minutes on two cores. Seconds by the clock would depend on who else uses the machine.
MOST_PROCESSOR_S = 240

# Asked of the kernel at its end, while it and its workers live. A process that is gone counts with
# the one that waited for it.
_ASK = """
import psutil

_kernel = psutil.Process()
print(sum(sum(p.cpu_times()[:4]) for p in (_kernel, *_kernel.children(recursive=True))))
"""

# What each took, until a test's report carries it to the summary (conftest.py).
taken: list[str] = []


class Ran(NamedTuple):
    """A notebook that was run: its files, and its cells with their outputs."""

    executed: Executed
    book: nbformat.NotebookNode


def run_whole(name: str, folder: Path) -> Ran:
    """Run one of our notebooks as `nbtransfer demo` does.

    Raises:
        CellFailedError: if a cell raised.
        AssertionError: if it took more of the processors than a notebook may.
    """
    book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    book.cells.append(nbformat.v4.new_code_cell(_ASK))
    asking = folder / f"{name}.ipynb"
    nbformat.write(book, asking)
    executed = execute(asking, folder / "executed", io.StringIO())
    book = nbformat.read(executed.notebook, as_version=4)
    processor_s = float(book.cells.pop().outputs[0].text)
    taken.append(f"{name}: {executed.duration_s:.0f} s, {processor_s:.0f} processor seconds")
    assert processor_s < MOST_PROCESSOR_S, taken[-1]
    return Ran(executed, book)
