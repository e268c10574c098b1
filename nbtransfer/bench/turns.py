"""Letting several contestants take turns, one step each, so that all of them meet the same machine.

What else a machine does changes from second to second. Contestants measured one after the other
would meet different machines; taking a step each in turn, they meet the same one. Each has a
process of its own, as it has at a user's: memory that one keeps, or threads that one leaves
spinning, are no business of the others.

A process waits for a line before each of its turns, and answers it with a line of JSON: the
seconds it took, or in the end what came of it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Turn:
    """A contestant's side of the taking of turns.

    Args:
        says: where the answers go.
        hears: where the lines come from that it waits for.
    """

    def __init__(self, says: IO[str], hears: IO[str]) -> None:
        self._says, self._hears = says, hears
        self._wait()

    def begin(self) -> None:
        """Start the clock anew: what came before was preparation."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """Say what this turn took, and wait until it is this contestant's turn again."""
        self._say({"seconds": time.perf_counter() - self._began})
        self._wait()

    def over(self, result: Mapping[str, Any]) -> None:
        """Say what came of it all; there are no more turns."""
        self._say({"result": dict(result)})

    def _wait(self) -> None:
        if not self._hears.readline():
            raise EOFError("nobody waits for this contestant any more")
        self.begin()

    def _say(self, record: Mapping[str, Any]) -> None:
        self._says.write(json.dumps(record) + "\n")
        self._says.flush()


@dataclass
class Course:
    """What a contestant said: the seconds of each of its turns, and what came of them."""

    seconds: list[float] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)


class ContestantFailed(Exception):
    """A contestant's process ended before its time; the message ends with its last words."""


def take_turns(
    commands: Mapping[str, Sequence[str]], env: Mapping[str, str] | None = None
) -> dict[str, Course]:
    """Run every contestant to its end, each in a process, only one of them at a time.

    Args:
        commands: what starts each; it makes a `Turn` of its standard output and input.
        env: of the processes; None leaves it as it is here.

    Raises:
        ContestantFailed: if one ends without a result. The others are ended too.
    """
    courses = {name: Course() for name in commands}
    with tempfile.TemporaryFile("w+") as words:
        processes = {
            name: subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
                env=None if env is None else dict(env),
            )
            for name, command in commands.items()
        }
        try:
            waiting = list(processes)
            while waiting:
                name = waiting.pop(0)
                said = _answer(processes[name])
                if "seconds" in said:
                    courses[name].seconds.append(said["seconds"])
                    waiting.append(name)
                elif "result" in said:
                    courses[name].result = said["result"]
                else:
                    words.seek(0)
                    last = words.read().strip().splitlines()[-1:] or ["no message"]
                    raise ContestantFailed(f"{name}: {last[0]}")
        finally:
            for process in processes.values():
                process.kill()
                process.communicate()
    return courses


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Give a process its turn and return what it says of it; nothing if it is gone."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write("your turn\n")
        process.stdin.flush()
    except BrokenPipeError:
        return {}
    line = process.stdout.readline()
    return json.loads(line) if line else {}
