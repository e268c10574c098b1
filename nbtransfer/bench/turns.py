"""Letting several trainings take turns, one step each, so that all of them meet the same machine.

What else a machine does changes from second to second. Contestants measured one after the other
would meet different machines; taking a step each in turn, they meet the same one.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Contestant = Callable[["Turn"], None]


class Turn:
    """A contestant's side of the taking of turns.

    Attributes:
        seconds: what each of its turns took.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._mine = threading.Semaphore(0)
        self._next: Callable[[], None] = lambda: None
        self._began = 0.0

    def begin(self) -> None:
        """Start the clock anew: what came before was preparation."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """Note what this turn took, and wait until it is this contestant's turn again."""
        self.seconds.append(time.perf_counter() - self._began)
        self._next()
        self._wait()

    def _wait(self) -> None:
        self._mine.acquire()
        self.begin()


def take_turns(contestants: Mapping[str, Contestant]) -> dict[str, list[float]]:
    """Run every contestant to its end, each in a thread, only one of them at a time.

    Args:
        contestants: each calls `Turn.end` after a step.

    Returns:
        The seconds of each one's turns.

    Raises:
        BaseException: the first that a contestant raised, when all have ended.
    """
    turns = {name: Turn() for name in contestants}
    waiting = list(turns.values())  # in the order of their turns, the one at work left out
    errors: list[BaseException] = []
    over = threading.Event()

    def pass_on(turn: Turn, *, finished: bool) -> None:
        if not finished:
            waiting.append(turn)
        if waiting:
            waiting.pop(0)._mine.release()
        else:
            over.set()

    def work(name: str, turn: Turn) -> None:
        turn._wait()
        try:
            contestants[name](turn)
        except BaseException as error:
            # Raised again by take_turns, in the thread that waits for all of them.
            errors.append(error)
        finally:
            pass_on(turn, finished=True)

    for name, turn in turns.items():
        turn._next = lambda turn=turn: pass_on(turn, finished=False)  # type: ignore[misc]
        threading.Thread(target=work, args=(name, turn), name=name, daemon=True).start()
    waiting.pop(0)._mine.release()
    over.wait()
    if errors:
        raise errors[0]
    return {name: turn.seconds for name, turn in turns.items()}
