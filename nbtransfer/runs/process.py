"""Which process works on a run, told apart from a later one with the same number.

A process id alone is not enough: numbers are reused. The id with the start time of the process is,
where that is counted from the system's own start: a date would move whenever the clock is set.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from nbtransfer.runs.files import read_json, write_json
from nbtransfer.runs.lock import is_locked, last_pulse

# A worker on another machine that no lock shows is taken for gone after this; its pulse, which
# beats twenty times as often, may reach us a minute late.
_SILENCE_S = 300.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


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
        "boot": _boot(),
        "host": socket.gethostname(),
        "after_seq": after_seq,
        "time": round(time.time(), 3),
    }
    write_json(path, record)


def read_process(path: Path) -> dict[str, Any] | None:
    """Return the worker's record (pid, process_start, boot, host, time), or None without one.

    Raises:
        OSError: if it cannot be read now, which says nothing of the worker.
    """
    try:
        record = read_json(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    pid = record.get("pid") if isinstance(record, dict) else None
    # 0 and below name groups of processes to the system: never hand such a number on.
    return record if type(pid) is int and pid > 0 else None


def process_start(pid: int) -> float | None:
    """Return when process `pid` started, or None if there is no such process.

    Returns:
        Seconds since the system started where it says so (Linux), elsewhere unix seconds.
    """
    if _boot() is None:
        return _date_of_start(pid)
    try:
        # The name in parentheses may hold anything; what follows the last one is fixed.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    state, started = fields[0], fields[19]
    return None if state in b"ZX" else int(started) / os.sysconf("SC_CLK_TCK")


def _boot() -> str | None:
    """Return what names this life of the system, or None where nothing does."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return None


def _date_of_start(pid: int) -> float | None:
    """Return when process `pid` started, in unix seconds by today's clock."""
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
    """Return whether the recorded process, one of this machine, still runs."""
    boot, wanted = record.get("boot"), record.get("process_start")
    if boot is not None and boot != _boot():
        return False
    # Version 0.1 wrote a date everywhere.
    started = process_start(record["pid"]) if boot is not None else _date_of_start(record["pid"])
    # It is rounded to the clock tick; a second apart is another process.
    return started is not None and (wanted is None or abs(started - wanted) < 1.0)


def last_sign(record: dict[str, Any], lock: Path, last_time: float | None) -> float:
    """Return when the recorded process last showed that it lives, in unix seconds.

    Args:
        record: the process.
        lock: the run's lock.
        last_time: of the run's last event, if there is one.
    """
    began = record.get("time")
    began_s = float(began) if isinstance(began, (int, float)) else 0.0
    return max(began_s, last_time or 0.0, last_pulse(lock))


def is_at_work(record: dict[str, Any], lock: Path | None, last: float) -> bool:
    """Return whether the recorded process works on its run, as far as can be told from here.

    Args:
        record: the process.
        lock: the run's lock; None where we hold it ourselves.
        last: its `last_sign`.
    """
    if is_here(record):
        return is_alive(record)
    # From here its number says nothing. The lock does, but does not reach all other machines.
    is_held = lock is not None and is_locked(lock)
    return is_held or time.time() - last < _SILENCE_S


def kill(record: dict[str, Any]) -> bool:
    """End the recorded process at once; return False where it is not ours to end."""
    if not is_here(record):  # its number belongs to some other process of this machine
        return False
    try:
        os.kill(record["pid"], signal.SIGKILL)
    except PermissionError:
        return False
    except ProcessLookupError:
        return True  # it has just ended by itself
    return True
