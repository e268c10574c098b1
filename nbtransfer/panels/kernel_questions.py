"""Answers a reloaded page's first questions for a kernel whose main thread waits (ipykernel 7).

A front end that connects asks for the kernel's info, and sends nothing else, widgets' messages
included, until it is answered. The main thread would answer; while it waits for a run it cannot,
and a page reloaded meanwhile shows no panel. The thread that hands messages to it answers then.

Private interfaces, as in `live_controls`, which guards the call: where they differ, nothing
changes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_QUESTIONS = frozenset({"kernel_info_request", "comm_info_request"})
_FRESH_S = 1.0  # a pump that was called this recently means a main thread that waits

_log = logging.getLogger("nbtransfer")


class _Relay:
    """Stands in for the socket to the main thread: takes the questions out, hands the rest over."""

    def __init__(self, kernel: Any, socket: Any) -> None:  # noqa: ANN401 -- private interfaces
        self._kernel = kernel
        self._socket = socket
        self.pumped = float("-inf")
        self.num_connections = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the socket has
        return getattr(self._socket, name)

    def send_multipart(self, frames: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Hand `frames` to the main thread or answer them; runs in the shell channel's thread."""
        if self._take(frames):
            return None
        return self._socket.send_multipart(frames, *args, **kwargs)

    def _take(self, frames: Any) -> bool:  # noqa: ANN401
        """Return whether `frames` were a question, and have been answered."""
        kernel = self._kernel
        try:
            idents, rest = kernel.session.feed_identities(frames, copy=False)
            # Signature, header, parent header, metadata, content. It was checked on arrival.
            header = json.loads(bytes(rest[1].buffer))
            kind = header["msg_type"]
        except (ValueError, IndexError, KeyError, TypeError, AttributeError):
            return False  # not for us to judge: ipykernel sends itself messages of its own form
        if kind not in _QUESTIONS:
            return False
        self.num_connections += kind == "kernel_info_request"
        if time.monotonic() - self.pumped >= _FRESH_S:
            return False
        try:
            self._answer(kind, idents, header, json.loads(bytes(rest[4].buffer)))
        except Exception:  # private interfaces: the main thread answers later
            _log.debug("a reloaded page waits for the cell", exc_info=True)
            return False
        return True

    def _answer(self, kind: str, idents: Any, header: Any, content: Any) -> None:  # noqa: ANN401
        kernel, question = self._kernel, {"header": header, "content": content}
        kernel._publish_status("busy", "shell", parent=question)
        answering = kernel.shell_handlers[kind](kernel.shell_stream, idents, question)
        with contextlib.suppress(StopIteration):
            answering.send(None)  # these handlers wait for nothing
        kernel._publish_status("idle", "shell", parent=question)


def answer_while_pumped(kernel: Any) -> Callable[[], None]:  # noqa: ANN401 -- a private interface
    """Put a relay before the main thread's socket, once a kernel.

    Returns:
        A function to call again and again while the main thread waits; the relay answers only then.
    """
    pair = kernel.shell_channel_thread.manager._shell_channel_to_main
    if not isinstance(pair.from_socket, _Relay):
        pair.from_socket = _Relay(kernel, pair.from_socket)
    relay = pair.from_socket

    def pump() -> None:
        relay.pumped = time.monotonic()

    return pump


def num_connections(kernel: Any) -> int:  # noqa: ANN401 -- a private interface
    """Return how many times a page has connected since the relay stands."""
    channel = getattr(kernel, "shell_channel_thread", None)
    pair = getattr(getattr(channel, "manager", None), "_shell_channel_to_main", None)
    relay = getattr(pair, "from_socket", None)
    return relay.num_connections if isinstance(relay, _Relay) else 0
