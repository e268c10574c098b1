"""User configuration: one object, `nbtransfer.options`, also reachable as `%config NbTransfer`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Options:
    """Settings that hold for the whole session.

    Attributes:
        runs_dir: where runs are kept; None means the environment variable NBTRANSFER_RUNS_DIR,
            then ./runs.
        show_traceback: print full tracebacks for users' errors too.
        worker_idle_s: seconds a warm worker stays alive without a job.
        worker_lease_s: seconds a worker may go on with its job after its kernel has ended; it then
            stops as on an interrupt, keeping a model. None lets it finish.
    """

    runs_dir: str | None = None
    show_traceback: bool = False
    worker_idle_s: float = 600.0
    worker_lease_s: float | None = None


options = Options()


def resolve_runs_dir(runs_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the absolute runs folder.

    The argument decides, then the option, then NBTRANSFER_RUNS_DIR, then ./runs.
    """
    chosen = runs_dir or options.runs_dir or os.environ.get("NBTRANSFER_RUNS_DIR") or "runs"
    return Path(chosen).expanduser().absolute()
