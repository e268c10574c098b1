"""Counts interrupts from a run's start to its end: they stop the run, not what is being drawn."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_PATIENCE = 2


class InterruptCounter:
    """A context in which Ctrl-C and the kernel's Interrupt only raise `count`.

    An exception out of nowhere would leave a half-drawn panel, and a second one could break off the
    handling of the first. From the third on it is raised all the same: something hangs.

    A counter within another goes on from the other's count. Outside the main thread, where no
    signal arrives, this does nothing.
    """

    def __init__(self) -> None:
        self.count = 0
        self._former: Any = None
        self._is_set = False

    def __enter__(self) -> InterruptCounter:
        if threading.current_thread() is threading.main_thread():
            self._former = signal.signal(signal.SIGINT, self._interrupted)
            self._is_set = True
            outer = getattr(self._former, "__self__", None)
            if isinstance(outer, InterruptCounter):
                self.count += outer.count
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_set:
            # None stands for a handler that was not set from Python; there is no way back to it.
            signal.signal(signal.SIGINT, self._former or signal.default_int_handler)

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count > _PATIENCE:
            raise KeyboardInterrupt
