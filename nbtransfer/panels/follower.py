"""Follows a run: a generator of its states, and the kernel's one thread that drains it."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.panels.run_view import ENDED
from nbtransfer.runs.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbtransfer.runs.state import RunState

RENDER_INTERVAL_S = 0.25
_LONGEST_S = 3.0
_TICK_S = 1.0  # where nothing happened a panel is drawn anew this often, for its clock

_log = logging.getLogger("nbtransfer")


class Update(NamedTuple):
    """One look at a run: `is_new` says that events came since the one before."""

    state: RunState
    status: str
    is_new: bool

    @property
    def is_final(self) -> bool:
        """Whether the run is over."""
        return self.status in ENDED


def follow(run: Run) -> Iterator[Update]:
    """Yield an update each time the caller asks for one, the last when the run is over.

    Args:
        run: a handle that no other thread reads: its folded state belongs to this generator.
    """
    update: Update | None = None
    seen: int | None = None
    while True:
        try:
            # The status first: what it was judged from is then part of the state.
            status = run.status
            state = run.state()
        except OSError:  # a network's disk that does not answer for a moment has no news
            if update is None:
                raise
            update = update._replace(is_new=False)
        else:
            update = Update(state, status, state.last_seq != seen)
            seen = state.last_seq
        yield update
        if update.is_final:
            return


class Follower:
    """Calls `render` with the newest state, at most four times a second and always once at the end.

    A `render` that raises is reported once, to `on_error` and to the log, and training goes on: a
    display that is broken must neither disturb the run nor flood the notebook.

    Attributes:
        done: set when the run is over and drawn; `on_end` is called in the thread right after.
        last: the newest update, or None before the first.
    """

    def __init__(
        self,
        run: Run,
        render: Callable[[Update], None],
        *,
        on_error: Callable[[Exception], None] | None = None,
        on_end: Callable[[], None] | None = None,
        interval_s: float = RENDER_INTERVAL_S,
    ) -> None:
        self.done = threading.Event()
        self.last: Update | None = None
        # A handle of our own: the user's is read in the main thread at the same time.
        self._run = Run(run.dir)
        self._render = render
        self._on_error = on_error
        self._on_end = on_end
        self._interval_s = interval_s
        self._is_reported = False
        # In a copy of the cell's context, so that what the kernel sends from here counts as that
        # cell's.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._drain,),
            name=f"nbtransfer-{run.id}",
            daemon=True,
        )

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def _drain(self) -> None:
        drawn = float("-inf")
        try:
            for update in follow(self._run):
                self.last = update
                begun = time.monotonic()
                if update.is_new or update.is_final or begun - drawn >= _TICK_S:
                    self._draw(update)
                    drawn = time.monotonic()
                if not update.is_final:
                    # A slow display is called less often: it may take a tenth of the kernel at
                    # most. One that hung once must not keep the cell for long after the run's end.
                    slow_s = 9 * (time.monotonic() - begun)
                    time.sleep(max(self._interval_s, min(slow_s, _LONGEST_S)))
        except Exception as error:  # the follower's thread: shown where the user looks
            self._report(error)
        finally:
            self.done.set()
            if self._on_end is not None:
                try:
                    self._on_end()
                except Exception as error:  # the follower's thread, as above
                    self._report(error)

    def _draw(self, update: Update) -> None:
        try:
            self._render(update)
        except Exception as error:  # the follower's thread, as above
            self._report(error)

    def _report(self, error: Exception) -> None:
        if self._is_reported:
            return
        self._is_reported = True
        _log.warning(
            "The panel of run %s cannot be drawn (%s: %s). Training goes on. "
            "Look at it with: %%runs show %s",
            self._run.id,
            type(error).__name__,
            error,
            self._run.id,
        )
        if self._on_error is not None:
            try:
                self._on_error(error)
            except Exception:  # the panel that failed to draw may fail to show that too
                _log.debug("the panel cannot show its error", exc_info=True)
