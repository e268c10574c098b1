"""Shows a run where it was started (live panel, updated output, terminal line) and waits for it."""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from typing import TYPE_CHECKING, Literal, Protocol

from nbtransfer.errors import RunError
from nbtransfer.panels.follower import Follower
from nbtransfer.panels.live_controls import is_shutting_down, times_connected
from nbtransfer.panels.record import EMPTY, MAX_OUTPUTS, record_bundles
from nbtransfer.panels.run_view import ENDED, About
from nbtransfer.runs.interrupts import InterruptCounter

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbtransfer.panels.figure_bundle import Bundle
    from nbtransfer.panels.follower import Update
    from nbtransfer.panels.live_controls import Pump
    from nbtransfer.runs.run import Run

STOPPING = "stopping: finishing the step and saving; interrupt again to free the cell"
_WAIT_S = 0.05
_GRACE_S = 0.5
_ASK_AGAIN_S = 5.0
_HEADLESS_INTERVAL_S = 2.0

Place = Literal["widgets", "headless", "terminal"]


def show_run(run: Run, *, wait: bool = True) -> None:
    """Show `run` until it ends, then leave its record.

    Args:
        run: the run; one that has ended is shown as its record.
        wait: block until the run ends. The first interrupt then stops the run and keeps its model,
            a second one frees the cell while the worker finishes. Otherwise return at once; the
            panel goes on.

    Raises:
        RunError: if the run failed or was lost, and `wait` is True; the record is drawn before.
    """
    place = find_place()
    # Colab draws no widget update that comes after its cell has returned.
    wait = wait or "google.colab" in sys.modules
    if place == "terminal":
        if wait:
            _wait_in_terminal(run)
    elif (status := run.status) in ENDED:
        for bundle in record_bundles(run, status):
            _display(bundle)
    else:
        _show_in_notebook(run, place, wait)
    if wait and run.status in ENDED:
        run.raise_if_failed()


def find_place() -> Place:
    """Return how a run can be shown here."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return "terminal"
    if os.environ.get("NBTRANSFER_HEADLESS") == "1":
        return "headless"
    try:
        request = kernel.get_parent("shell")["content"]
    except (AttributeError, KeyError, TypeError):
        return "widgets"
    # nbclient and papermill cannot answer a question, and say so; a person's front end can.
    return "headless" if request.get("allow_stdin") is False else "widgets"


class _Live(Protocol):
    """What stands in the cell while a run goes on."""

    def bundle(self) -> Bundle: ...
    def render(self, update: Update) -> None: ...
    def show_error(self, error: Exception) -> None: ...
    def say_stopping(self, sentence: str) -> None: ...
    def settle(self, html: str) -> None: ...
    def close(self) -> None: ...


class _HeadlessCard:
    """The run's static card in one output that is updated; no widget, so no state is left."""

    def __init__(self, run: Run, about: About, display_id: str) -> None:
        self._run = run
        self._about = about
        self._display_id = display_id
        self._opened = time.time()
        self._drawn = float("-inf")

    def bundle(self) -> Bundle:
        from nbtransfer.panels.run_card import card_bundle

        status = self._run.status
        return card_bundle(self._about, self._run.state(), status, self._run.dir, self._opened)

    def render(self, update: Update) -> None:
        from nbtransfer.panels.run_card import card_bundle

        if time.monotonic() - self._drawn >= _HEADLESS_INTERVAL_S and not update.is_final:
            self._drawn = time.monotonic()
            _update(
                card_bundle(self._about, update.state, update.status, self._run.dir, self._opened),
                self._display_id,
            )

    def show_error(self, error: Exception) -> None:
        """The follower's warning has said it."""

    def say_stopping(self, sentence: str) -> None:
        sys.stderr.write(sentence + "\n")

    def settle(self, html: str) -> None:
        """No page was reloaded: none listens."""

    def close(self) -> None:
        """Nothing is open."""


class _Display:
    """One run on show in a cell: the live part, and the outputs it is replaced by at the end.

    The record is drawn once, by whoever is there at the end: the waiting cell, or the follower's
    thread where the cell has returned.
    """

    def __init__(self, run: Run, place: Place) -> None:
        self._run = run
        self._ids = [f"nbtransfer-{uuid.uuid4().hex}"]
        self._lock = threading.Lock()
        self._is_drawn = False
        self._is_detached = False
        self._connected = 0
        self.live = _make_live(run, place, self._ids[0])
        self.follower = Follower(
            run, self.live.render, on_error=self.live.show_error, on_end=self._thread_ended
        )
        _OPEN[self._ids[0]] = self

    def open(self) -> None:
        """Draw the skeleton and begin to follow."""
        self._connected = times_connected()
        try:
            _display(self.live.bundle(), self._ids[0])
        finally:
            self.follower.start()

    def detach(self) -> None:
        """Let the cell return: outputs that come later need a place that is reserved now."""
        with self._lock:
            if self._is_drawn or self._is_detached:
                return
            for _ in range(MAX_OUTPUTS - len(self._ids)):
                self._ids.append(f"nbtransfer-{uuid.uuid4().hex}")
                _display(EMPTY, self._ids[-1])
            self._is_detached = True
        if self.follower.done.is_set():
            self.finish()

    def _thread_ended(self) -> None:
        if self._is_detached:
            self.finish()

    def finish(self) -> None:
        """Replace the live part by the record; the second call does nothing."""
        with self._lock:
            if self._is_drawn:
                return
            self._is_drawn = True
            _OPEN.pop(self._ids[0], None)
            from nbtransfer.runs.run import Run

            # Outputs first, widgets after: an output whose widget is gone shows an error meanwhile.
            html = ""
            try:
                run = Run(self._run.dir)
                for index, bundle in enumerate(record_bundles(run, run.status)):
                    html = html or str(bundle.data.get("text/html", ""))
                    if index < len(self._ids):
                        _update(bundle, self._ids[index])
                    elif not self._is_detached:
                        _display(bundle)
            finally:
                if html and times_connected() > self._connected:
                    self.live.settle(html)
                else:
                    self.live.close()


# Displays that are open: the kernel must hold the widgets of a cell that has returned, for a page
# that is reloaded.
_OPEN: dict[str, _Display] = {}


def _make_live(run: Run, place: Place, display_id: str) -> _Live:
    about = About.of(run)
    if place == "headless":
        return _HeadlessCard(run, about, display_id)
    from nbtransfer.panels.run_panel import RunPanel

    return RunPanel(run, about)


def _show_in_notebook(run: Run, place: Place, wait: bool) -> None:
    with InterruptCounter() as interrupts:
        display = _Display(run, place)
        pump = _make_live_controls(display) if place == "widgets" else _nothing
        display.open()
        is_over = False
        try:
            is_over = wait and _wait(
                run, display.follower, interrupts, display.live.say_stopping, pump
            )
        finally:  # whatever freed the cell, its panel goes on and becomes the record
            if is_over:
                display.finish()
            else:
                display.detach()


def _wait(
    run: Run,
    follower: Follower,
    interrupts: InterruptCounter,
    say: Callable[[str], None],
    pump: Pump,
) -> bool:
    """Wait for the run's end; False where a second interrupt or a restart freed the cell before."""
    ask_at: float | None = None
    is_asked = False
    while not follower.done.wait(_WAIT_S):
        pump()
        if interrupts.count and ask_at is None:
            ask_at = time.monotonic() + _GRACE_S
            say(STOPPING)
        if is_asked and interrupts.count > 1:
            return False
        if ask_at is None or is_asked:
            continue
        # A front end that restarts the kernel interrupts it first; that must not stop the run.
        if is_shutting_down():
            return False
        if interrupts.count > 1 or time.monotonic() >= ask_at:
            try:
                run.stop(reason="interrupt")
                is_asked = True
            except RunError as error:  # a full disk, or one that went away, may come back
                say(str(error))
                if interrupts.count > 1:
                    return False
                ask_at = time.monotonic() + _ASK_AGAIN_S
    return True


def _nothing() -> None:
    """Pump nothing: no messages wait in this process."""


def _make_live_controls(display: _Display) -> Pump:
    from nbtransfer.panels.run_panel import RunPanel

    if not isinstance(display.live, RunPanel):
        return _nothing
    from nbtransfer.panels.live_controls import make_live

    pump = make_live(display.live.root)
    if pump is None:
        display.live.say_late()
        return _nothing
    return pump


def _display(bundle: Bundle, display_id: str | None = None) -> None:
    from IPython.display import display

    named = {} if display_id is None else {"display_id": display_id}
    display(bundle.data, metadata=bundle.metadata, raw=True, **named)  # type: ignore[no-untyped-call]


def _update(bundle: Bundle, display_id: str) -> None:
    from IPython.display import update_display

    update_display(  # type: ignore[no-untyped-call]
        bundle.data, metadata=bundle.metadata, raw=True, display_id=display_id
    )


def _wait_in_terminal(run: Run) -> None:
    """Show the run as one line that is written anew; in a file or pipe, a line a milestone."""
    from nbtransfer.panels.terminal import TerminalLine

    line = TerminalLine(run, About.of(run), sys.stdout)
    follower = Follower(run, line.render)
    with InterruptCounter() as interrupts:
        line.open()
        follower.start()
        if _wait(run, follower, interrupts, line.say, _nothing):
            line.close(run.state(), run.status)
