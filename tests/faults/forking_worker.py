"""A worker that gives each job a process of its own, forked with everything loaded.

A file beside a run's folder, `<run>.faults`, plans faults for it and may say after a space how many
seconds a hang takes; `nan` makes its third loss NaN.
What becomes of a job costs no other one its imports, so one kernel can see many of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nbtransfer.engine import export, worker
from nbtransfer.engine.step import EagerStep
from nbtransfer.runs.faults import plan_faults
from tests.engine.jobs import VerificationHere
from tests.faults.poison import answers_changed, scaled

_run_job = worker.run_job


def _fork_for(job: dict[str, Any], stop_signal: worker.StopSignal, *, warm: bool) -> bool:
    child = os.fork()
    if child == 0:
        _plan(Path(job["dir"]).with_suffix(".faults"))
        os._exit(0 if _run_job(job, stop_signal, warm=warm) else 1)
    os.waitpid(child, 0)
    return True


def _plan(path: Path) -> None:
    text = path.read_text() if path.exists() else ""
    if text == "nan":
        _poison_third_loss()
    else:
        faults, _, hang_s = text.partition(" ")
        os.environ["NBTRANSFER_FAULT_HANG_S"] = hang_s or "30"
        plan_faults(faults)


def _poison_third_loss() -> None:
    take = EagerStep.__call__

    def taken(self: EagerStep, rows: Any, step: int) -> Any:
        if step != 2:
            return take(self, rows, step)
        with answers_changed(self, lambda _batch, output: scaled(output, float("nan"))):
            return take(self, rows, step)

    EagerStep.__call__ = taken  # type: ignore[method-assign]


if __name__ == "__main__":
    import nbtransfer.engine.jobs
    import nbtransfer.engine.train  # noqa: F401 -- loaded once, for all that are forked

    export.Verification = VerificationHere  # type: ignore[assignment,misc]
    worker.run_job = _fork_for
    worker.main()
