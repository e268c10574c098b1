"""control.json: what the user wants of a running worker.

It holds the wanted state, not a queue: the writer raises `revision` at each change, the worker
polls, acts on what differs from what it last saw, and answers with an event that carries the
revision.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbtransfer.runs.faults import reach
from nbtransfer.runs.files import write_json
from nbtransfer.runs.lock import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

StopReason = Literal["stop", "interrupt"]

# Sliders act in a thread of their own, and another kernel may look on: two changes at a time would
# each write what they read, and the later one undo the other. A wish that waits for ever would be
# worse than that.
_one_at_a_time = threading.Lock()
_PATIENCE_S = 5.0


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


def change_control(path: Path, *, evaluate: bool = False, **changes: object) -> int:
    """Write the wanted state with `changes` made.

    Args:
        path: the control file.
        evaluate: ask for one evaluation more.
        changes: fields of Control and their new values.

    Returns:
        The revision to look for in the run's events.
    """
    with _alone(path):
        control = read_control(path)
        newer: dict[str, Any] = {"revision": control.revision + 1, **changes}
        if evaluate:
            newer["evaluations"] = control.evaluations + 1
        changed = dataclasses.replace(control, **newer)
        write_json(path, dataclasses.asdict(changed))
    return changed.revision


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other threads and processes from changing the file."""
    with _one_at_a_time:
        lock = try_lock(path.with_suffix(".lock"), patience_s=_PATIENCE_S)
        try:
            yield
        finally:
            if lock is not None:
                lock.close()


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
