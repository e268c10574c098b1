"""Which process works on a run, told apart from a later one with the same number.

A process id alone is not enough: numbers are reused. The id with the start time of the process is.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from nbtransfer.runs.files import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path


def write_process(path: Path, pid: int, *, after_seq: int = -1) -> None:
    """Record that process `pid` of this machine works on the run.

    Args:
        path: the run's process.json.
        pid: the process.
        after_seq: number of the log's last event so far. An ending with that number is the one of
            the run's former life, not of this one.
    """
    record = {
        "pid": pid,
        "process_start": process_start(pid),
        "host": socket.gethostname(),
        "after_seq": after_seq,
    }
    write_json(path, record)


def read_process(path: Path) -> dict[str, Any] | None:
    """Return the record of the worker (pid, process_start, host), or None where there is none."""
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return None
    pid = record.get("pid") if isinstance(record, dict) else None
    # 0 and below name groups of processes to the system: never hand such a number on.
    return record if type(pid) is int and pid > 0 else None


def process_start(pid: int) -> float | None:
    """Return when process `pid` started, in unix seconds, or None if there is no such process."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except (psutil.Error, OverflowError):
        return None


def is_here(record: dict[str, Any]) -> bool:
    """Return whether the recorded process is one of this machine."""
    return bool(record.get("host") == socket.gethostname())


def is_alive(record: dict[str, Any]) -> bool:
    """Return whether the recorded process still runs; one on another host is taken to be alive."""
    if not is_here(record):
        return True
    started = process_start(record["pid"])
    wanted = record.get("process_start")
    # psutil rounds to the clock tick; a second apart is another process.
    return started is not None and (wanted is None or abs(started - wanted) < 1.0)
