"""control.json: what the user wants of a running worker.

It holds the wanted state, not a queue: the writer raises `revision` at each change, the worker
polls, acts on what differs from what it last saw, and answers with an event that carries the
revision.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbtransfer.runs.faults import reach
from nbtransfer.runs.files import write_json

if TYPE_CHECKING:
    from pathlib import Path

StopReason = Literal["stop", "interrupt"]


@dataclass(frozen=True, kw_only=True)
class Control:
    """The wanted state of a run.

    Attributes:
        revision: raised by one at each change.
        learning_rate: peak of the schedule; None leaves it as planned.
        num_train_epochs: None leaves it as planned.
        paused: hold at the next step boundary.
        evaluations: how many evaluations were asked for so far.
        stop: end at the next step boundary, keeping a model, for this reason.
    """

    revision: int = 0
    learning_rate: float | None = None
    num_train_epochs: float | None = None
    paused: bool = False
    evaluations: int = 0
    stop: StopReason | None = None


def read_control(path: Path) -> Control:
    """Return what control.json asks for; nothing, where there is none or it is unreadable."""
    try:
        return _parse(path.read_bytes())
    except OSError:
        return Control()


def _parse(data: bytes) -> Control:
    try:
        record = json.loads(data)
    except ValueError:
        return Control()
    if not isinstance(record, dict):
        return Control()
    names = {f.name for f in dataclasses.fields(Control)}
    return Control(**{k: v for k, v in record.items() if k in names})


def change_control(path: Path, **changes: object) -> int:
    """Write the wanted state with `changes` made.

    Returns:
        The revision to look for in the run's events.
    """
    control = read_control(path)
    newer: dict[str, Any] = {"revision": control.revision + 1, **changes}
    changed = dataclasses.replace(control, **newer)
    write_json(path, dataclasses.asdict(changed))
    return changed.revision


class ControlReader:
    """Poll control.json cheaply: it is read again only when its inode or time changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def poll(self) -> Control | None:
        """Return the control if the file is new since the last call, otherwise None.

        A file that cannot be read now (a network that hiccups) is looked at again the next time.
        """
        try:
            reach("control.read")
            found = os.stat(self._path)  # noqa: PTH116 -- at every step; Path.stat costs double
            signature = (found.st_ino, found.st_mtime_ns)
            if signature == self._seen:
                return None
            control = _parse(self._path.read_bytes())
        except OSError:
            return None
        self._seen = signature
        return control
