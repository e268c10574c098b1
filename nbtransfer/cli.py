"""The command line: `nbtransfer demo`, `runs`, `worker`, `lab` and `bench`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from nbtransfer import __version__
from nbtransfer.bench.arguments import add_arguments
from nbtransfer.errors import MissingPackageError, NbTransferError, RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130  # what a shell expects of a program ended by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what was typed after `nbtransfer`; None takes it from the process.

    Returns:
        The exit status: 0 done, 1 failed, 2 asked wrongly, 130 interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.call(options))
    except NbTransferError as error:
        print(f"nbtransfer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nnbtransfer: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nbtransfer",
        description="Transfer learning for NLP inside the notebook.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nbtransfer {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo", help="run the quickstart, show its progress and print its table"
    )
    demo.add_argument(
        "--no-browser", action="store_true", help="do not open the finished page in a browser"
    )
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="where the executed notebook, its page and its runs go (default: %(default)s)",
    )
    demo.set_defaults(call=_demo)

    runs = commands.add_parser("runs", help="list the runs, newest first")
    runs.add_argument("--runs-dir", metavar="DIR", help="where runs are kept (default: ./runs)")
    runs.set_defaults(call=_runs)

    worker = commands.add_parser("worker", help="train the run in a folder, and wait for its end")
    worker.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the run's folder")
    worker.set_defaults(call=_worker)

    bench = commands.add_parser(
        "bench", help="measure nbtransfer and transformers' Trainer side by side on this machine"
    )
    add_arguments(bench)
    bench.set_defaults(call=_bench)

    lab = commands.add_parser("lab", help="open the quickstart in JupyterLab")
    lab.add_argument(
        "--output",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="where the copy of the notebook goes (default: here)",
    )
    lab.add_argument("--no-browser", action="store_true", help="start the server only")
    lab.set_defaults(call=_lab)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from nbtransfer import headless
    from nbtransfer.panels.quantities import duration_text

    headless.check_packages()
    source = headless.find_notebook()
    print(f"Running {source.name} on this machine. Ctrl-C stops it.")
    executed = headless.execute(source, options.output, sys.stdout)
    print(f"\n{executed.table}\n")
    print(f"Total time {duration_text(executed.duration_s)}. Written:")
    print(f"  {executed.notebook}\n  {executed.page}")
    if not options.no_browser:
        webbrowser.open(executed.page.absolute().as_uri())
    return 0


def _runs(options: argparse.Namespace) -> int:
    from nbtransfer.panels.runs_panel import run_row, runs_text
    from nbtransfer.runs.store import list_runs
    from nbtransfer.settings import resolve_runs_dir

    print(runs_text([run_row(run) for run in list_runs(resolve_runs_dir(options.runs_dir))]))
    return 0


def _worker(options: argparse.Namespace) -> int:
    """Hand the folder to a worker process, as the notebook does; this process only watches."""
    from nbtransfer.panels.show import show_run
    from nbtransfer.runs.launch import submit_run
    from nbtransfer.runs.store import open_run

    run = open_run(options.run_dir, options.run_dir.absolute().parent)
    status = run.status
    if status in ("running", "paused"):
        raise RunError(f"run {run.id!r} is {status} already, in another process.", run)
    if status == "completed":
        raise RunError(f"run {run.id!r} is finished.", run)
    submit_run(run)
    show_run(run, wait=True)
    return 0


def _bench(options: argparse.Namespace) -> int:
    from nbtransfer.bench.command import run

    run(options)
    return 0


def _lab(options: argparse.Namespace) -> int:
    """Open a copy: the installed notebook may lie where nobody may write."""
    from importlib.util import find_spec

    from nbtransfer.headless import find_notebook

    if find_spec("jupyterlab") is None:
        raise MissingPackageError("jupyterlab", "nbtransfer lab", '"nbtransfer[demo]"')
    source = find_notebook()
    copy = options.output.absolute() / source.name
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    command = [sys.executable, "-m", "jupyterlab", str(copy)]
    return subprocess.call(command + ["--no-browser"] * options.no_browser)


if __name__ == "__main__":
    sys.exit(main())
