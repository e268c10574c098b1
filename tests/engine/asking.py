"""Scoring jobs done at once: in this process, or in a fresh one that is forked for each."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

from nbtransfer.runs import scoring
from tests.engine.forks import preload

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    import pytest


def _score(folder: str, faults: str = "") -> None:
    from nbtransfer.engine.worker import StopSignal, run_job
    from nbtransfer.runs.faults import plan_faults

    plan_faults(faults)
    run_job({"job": "score", "dir": folder}, StopSignal(), warm=True)


class _Forked:
    """As launch.Worker, to the one who waits."""

    is_idle = False  # it takes no second job

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self.kill = process.kill

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()


class _Done:
    """A worker that has answered already."""

    is_alive = is_idle = True


def answer_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scoring jobs be done in this process."""
    monkeypatch.setattr(scoring, "submit_scoring", lambda folder, _: (_score(folder), _Done())[1])


def answer_afresh(monkeypatch: pytest.MonkeyPatch, faults: str = "") -> None:
    """Let each scoring job be done by a process that knows nothing of the ones before.

    Args:
        monkeypatch: pytest's.
        faults: what goes wrong in each; see `nbtransfer.runs.faults`.
    """
    preload()

    def submit(folder: Path, log: Path) -> _Forked:
        context = multiprocessing.get_context("forkserver")
        process = context.Process(target=_score, args=(str(folder), faults))
        process.start()
        return _Forked(process)

    monkeypatch.setattr(scoring, "submit_scoring", submit)
