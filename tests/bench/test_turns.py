from __future__ import annotations

import threading

import pytest

from nbtransfer.bench.turns import Turn, take_turns


def test_contestants_take_one_step_each_in_turn_and_never_at_once():
    order: list[str] = []
    at_work = threading.Lock()

    def contestant(name: str, steps: int):
        def run(turn: Turn) -> None:
            for _ in range(steps):
                assert at_work.acquire(blocking=False)
                order.append(name)
                at_work.release()
                turn.end()

        return run

    seconds = take_turns(
        {"a": contestant("a", 3), "b": contestant("b", 1), "c": contestant("c", 2)}
    )
    assert order == ["a", "b", "c", "a", "c", "a"]
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 1, "c": 2}


def test_an_error_of_one_is_raised_when_all_have_ended():
    ended = []

    def fails(turn: Turn) -> None:
        turn.end()
        raise ValueError("mine")

    def works(turn: Turn) -> None:
        for _ in range(3):
            turn.end()
        ended.append(True)

    with pytest.raises(ValueError, match="mine"):
        take_turns({"fails": fails, "works": works})
    assert ended


def test_preparation_is_not_counted(monkeypatch):
    now = iter([0.0, 100.0, 101.5, 103.0])
    monkeypatch.setattr("nbtransfer.bench.turns.time.perf_counter", lambda: next(now))

    # Once for the turn's begin, which `begin` puts off; then its end, which waits for another turn.
    turn = Turn()
    turn.begin()
    turn.begin()
    turn._next = lambda: turn._mine.release()
    turn.end()
    assert turn.seconds == [1.5]
