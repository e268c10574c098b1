"""The seam through which tests make things go wrong in a real run.

NBTRANSFER_FAULT plans faults as `point:count:kind`, several separated by `;`. A point is where the
program calls `reach`; `checkpoint.*` stands for all that begin so. The fault strikes when the point
is reached for the count-th time; with a `+` after the count, from then on. Without the variable a
call costs one comparison.

Kinds: kill (SIGKILL), term (SIGTERM), a system error's name in small letters (enospc, eio, enotsup,
...; OSError), oom (torch's out-of-memory error), cuda (as when a CUDA kernel fails), raise
(RuntimeError), hang (half a minute of sleep, or NBTRANSFER_FAULT_HANG_S).
"""

from __future__ import annotations

import errno
import os
import signal
import time
from dataclasses import dataclass

_ERRNOS = {name.lower(): number for number, name in errno.errorcode.items()}
_ERRNOS["enotsup"] = errno.ENOTSUP  # the same number has another name in that table
KINDS = ("kill", "term", "oom", "cuda", "raise", "hang", *_ERRNOS)


@dataclass
class _Fault:
    point: str
    left: int
    kind: str
    lasts: bool = False

    def meets(self, point: str) -> bool:
        prefix, star, _ = self.point.partition("*")
        return point.startswith(prefix) if star else point == self.point


def _parse(text: str) -> list[_Fault]:
    faults = []
    for part in filter(None, text.split(";")):
        point, count, kind = part.split(":")
        if kind not in KINDS:
            raise ValueError(f"NBTRANSFER_FAULT: {kind!r} is not one of {', '.join(KINDS)}")
        faults.append(_Fault(point, int(count.removesuffix("+")), kind, count.endswith("+")))
    return faults


_faults = _parse(os.environ.get("NBTRANSFER_FAULT", ""))


def plan_faults(text: str) -> None:
    """Plan faults for this process, in place of those of the environment."""
    _faults[:] = _parse(text)


def reach(point: str) -> None:
    """Say that `point` is reached; a fault planned for it strikes now."""
    if not _faults:
        return
    met = [fault for fault in _faults if fault.meets(point)]
    for fault in met:  # all are counted before one of them strikes
        fault.left -= 1
    for fault in met:
        if fault.left == 0 or (fault.lasts and fault.left < 0):
            _strike(fault.kind, point)


def _strike(kind: str, point: str) -> None:
    if kind in ("kill", "term"):
        os.kill(os.getpid(), signal.SIGKILL if kind == "kill" else signal.SIGTERM)
    elif kind in _ERRNOS:
        raise OSError(_ERRNOS[kind], os.strerror(_ERRNOS[kind]), point)
    elif kind == "oom":
        import importlib

        raise importlib.import_module("torch").OutOfMemoryError(f"planned at {point}")
    elif kind == "cuda":
        raise RuntimeError("CUDA error: device-side assert triggered")
    elif kind == "raise":
        raise RuntimeError(f"planned at {point}")
    else:
        time.sleep(float(os.environ.get("NBTRANSFER_FAULT_HANG_S", "30")))
