"""Finding what a run goes on from, before anything is loaded; a run that lost it all is told so."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from nbtransfer.engine.checkpoints import Found, newest_checkpoint
from nbtransfer.errors import NbTransferError

if TYPE_CHECKING:
    from nbtransfer.engine.progress import Progress
    from nbtransfer.runs.events import EventWriter
    from nbtransfer.runs.run import Run
    from nbtransfer.runs.state import RunState

_SHOWN = 3  # damaged checkpoints named in the message; the log names them all


class NoGoodCheckpoint(NbTransferError):
    """A run had checkpoints, and none of them verifies any more."""


def find_checkpoint(run: Run, events: EventWriter, *, restart: bool) -> Found:
    """Return the newest checkpoint that verifies, and the newer ones that do not.

    Args:
        run: the run.
        events: its log; a run that has lost all of its checkpoints is said so there.
        restart: begin at step 0 where no checkpoint is good: somebody has agreed to lose the steps.

    Raises:
        NoGoodCheckpoint: if there were checkpoints and none is good, unless `restart`.
    """
    found = newest_checkpoint(run.paths.checkpoints_dir)
    if found.folder is not None:
        return found
    if restart:
        # Gone before the first step: what dies before its next checkpoint need not ask again.
        shutil.rmtree(run.paths.checkpoints_dir, ignore_errors=True)
        return found
    lost = found.skipped or _told_of(run.state())
    if lost:
        events.append("checkpoints_lost", checkpoints=[list(pair) for pair in lost])
        raise NoGoodCheckpoint(_sentence(run, lost))
    return found


def is_resumed(before: RunState, found: Found) -> bool:
    """Whether a run whose log said `before` has had a life that counts."""
    lost = bool(found.skipped or before.lost_checkpoints)
    return bool(before.steps) or found.folder is not None or lost


def say_resumed(events: EventWriter, progress: Progress, found: Found) -> None:
    """Say in the log from where the run goes on."""
    events.append(
        "run_resumed",
        from_step=progress.step,
        revision=progress.revision,
        checkpoint=found.folder.name if found.folder else None,
        skipped=[list(pair) for pair in found.skipped],
    )


def _told_of(state: RunState) -> tuple[tuple[str, str], ...]:
    """Return the checkpoints that the log speaks of and that lie nowhere."""
    if state.checkpoints:
        return ((state.checkpoints[-1].name, "it is missing"),)
    return tuple(state.lost_checkpoints)


def _sentence(run: Run, lost: tuple[tuple[str, str], ...]) -> str:
    named = "; ".join(f"{name} ({reason})" for name, reason in lost[:_SHOWN])
    more = f"; and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    return (
        f"no checkpoint of run {run.id!r} is good any more: {named}{more}. Nothing was trained. "
        "Put a good copy of its checkpoints folder back, or begin again at step 0: "
        f"%finetune --resume {run.reference} --allow"
    )
