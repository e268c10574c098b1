"""Owns the private kernel interfaces that keep widget callbacks live while a cell blocks.

A blocked cell holds the kernel's main thread, where a slider's message would wait for the cell to
end. How to get it through depends on ipykernel, and all of it is private, so everything here may
fail and then means one thing: controls act after the cell. Nothing in this module raises.

    7.4 and later   a comm is heard where its last message was sent from, the blocked main thread:
                    ours are pinned to one subshell (a thread of the kernel) of our own
    7.0 to 7.3      the front end sends comm messages to a subshell by itself: nothing to do
    7.0 and later   a page that is reloaded first asks the main thread who it is: `kernel_questions`
    6.x (Colab)     no subshells: the waiting loop reads the shell socket, handles comm messages at
                    once and puts everything else back in its order
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from IPython import get_ipython

from nbtransfer.panels.kernel_questions import answer_while_pumped, num_connections

Pump = Callable[[], None]

_COMM_MESSAGES = frozenset({"comm_msg", "comm_close", "comm_open", "comm_info_request"})
_SUBSHELL_WAIT_S = 5.0

_log = logging.getLogger("nbtransfer")
_own_subshell: dict[int, str] = {}


def make_live(widget: object) -> Pump | None:
    """Let `widget` and its children answer while a cell blocks.

    Args:
        widget: the root of the widgets concerned, already displayed or not.

    Returns:
        A function to call again and again while the cell blocks; None where controls act after it.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return None
    try:
        if getattr(kernel, "_supports_kernel_subshells", False):
            _pin_comms(kernel, widget)
            return _question_pump(kernel)
        if hasattr(kernel, "schedule_dispatch") and getattr(kernel, "shell_stream", None):
            return _socket_pump(kernel)
    except Exception:  # private interfaces: any change in them costs liveness, never the run
        _log.debug("live controls are off", exc_info=True)
    return None


def _question_pump(kernel: Any) -> Pump:  # noqa: ANN401 -- a private interface
    """Return a pump under which a reloaded page is answered; where it is not, the controls are."""
    try:
        return answer_while_pumped(kernel)
    except Exception:  # private interfaces, as above
        _log.debug("a reloaded page waits for the cell", exc_info=True)
        return lambda: None


def is_shutting_down() -> bool:
    """Return whether the kernel was asked to end or restart: the front end interrupts it first."""
    kernel = getattr(get_ipython(), "kernel", None)
    return getattr(kernel, "_shutdown_message", None) is not None


def times_connected() -> int:
    """Return a number that rises when a page connects to the kernel again; 0 where none is told."""
    return num_connections(getattr(get_ipython(), "kernel", None))


def walk(widget: object) -> Iterator[Any]:
    """Yield `widget` and all below it, each once, also layouts and styles: they have comms too."""
    seen: set[int] = set()
    waiting = [widget]
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting.extend(getattr(found, "children", None) or ())
        waiting.extend((getattr(found, "layout", None), getattr(found, "style", None)))


def _pin_comms(kernel: Any, widget: object) -> None:  # noqa: ANN401 -- a private interface
    """Send the messages of `widget`'s comms to our own subshell, where a comm may choose."""
    comms: list[Any] = [getattr(part, "comm", None) for part in walk(widget)]
    comms = [comm for comm in comms if hasattr(type(comm), "_reply_subshell_for")]
    if not comms:
        return
    subshell = _open_subshell(kernel)
    for comm in comms:
        comm._reply_subshell_for = lambda _data, default: subshell or default


def _open_subshell(kernel: Any) -> str | None:  # noqa: ANN401 -- a private interface
    """Return our subshell's id; it is kept for the kernel's life and costs one idle thread."""
    if id(kernel) not in _own_subshell:
        thread = kernel.shell_channel_thread
        made = threading.Event()

        def create() -> None:
            # The manager may be touched in the shell channel's thread only.
            _own_subshell[id(kernel)] = thread.manager._create_subshell()
            made.set()

        thread.io_loop.add_callback(create)
        made.wait(_SUBSHELL_WAIT_S)
    return _own_subshell.get(id(kernel))


def _socket_pump(kernel: Any) -> Pump:  # noqa: ANN401 -- a private interface
    """Return a pump for kernels without subshells; it turns itself off at the first failure."""
    works = True

    def pump() -> None:
        nonlocal works
        if not works:
            return
        try:
            _drain(kernel)
        except Exception:  # private interfaces, as above
            works = False
            _log.debug("live controls are off", exc_info=True)

    return pump


def _drain(kernel: Any, limit: int = 50) -> None:  # noqa: ANN401 -- a private interface
    """Handle the comm messages that wait on the shell socket; queue the others in their order."""
    import zmq

    stream, session = kernel.shell_stream, kernel.session
    parent = kernel.get_parent("shell")
    ident = getattr(kernel, "_parent_ident", {})
    ident = ident.get("shell") if isinstance(ident, dict) else ident
    for _ in range(limit):
        if not stream.socket.poll(0, zmq.POLLIN):
            return
        raw = stream.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        idents, frames = session.feed_identities(raw, copy=False)
        # Read the kind from the raw header: a message deserialised twice raises "Duplicate
        # Signature".
        kind = json.loads(bytes(frames[1].buffer))["msg_type"]
        if kind not in _COMM_MESSAGES:
            kernel.schedule_dispatch(kernel.dispatch_shell, raw)
            continue
        message = session.deserialize(frames, content=True, copy=False)
        kernel.set_parent(idents, message, channel="shell")
        kernel._publish_status("busy", "shell")
        try:
            kernel.shell_handlers[kind](stream, idents, message)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            kernel._publish_status("idle", "shell")
            kernel.set_parent(ident, parent, channel="shell")
