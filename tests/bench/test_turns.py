from __future__ import annotations

import sys
import textwrap

import pytest

from nbtransfer.bench.turns import ContestantFailed, take_turns


def contestant(body: str) -> list[str]:
    """Return a command that makes a Turn of its standard streams and runs `body`."""
    start = "import sys, time; from nbtransfer.bench.turns import Turn; "
    start += "turn = Turn(sys.stdout, sys.stdin)\n"
    return [sys.executable, "-c", start + textwrap.dedent(body)]


def writes(path, name: str, steps: int) -> list[str]:
    return contestant(f"""
        for _ in range({steps}):
            with open({str(path)!r}, "a") as file:
                file.write("{name}(")
                file.flush()
                time.sleep(0.01)
                file.write(")")
            turn.end()
        turn.over({{"steps": {steps}}})
    """)


def test_contestants_take_one_step_each_in_turn_and_never_at_once(tmp_path):
    path = tmp_path / "order"
    courses = take_turns({name: writes(path, name, n) for name, n in [("a", 3), ("b", 1)]})
    assert path.read_text() == "a()b()a()a()"
    assert {name: len(course.seconds) for name, course in courses.items()} == {"a": 3, "b": 1}
    assert all(0.01 <= s < 5 for course in courses.values() for s in course.seconds)
    assert courses["a"].result == {"steps": 3}


def test_preparation_is_not_counted():
    body = "time.sleep(0.3); turn.begin(); turn.end(); turn.over({})"
    assert take_turns({"a": contestant(body)})["a"].seconds[0] < 0.2


def test_waiting_for_others_is_not_counted():
    slow = contestant("time.sleep(0.3); turn.end(); turn.over({})")
    quick = contestant("turn.end(); turn.end(); turn.over({})")
    assert max(take_turns({"quick": quick, "slow": slow})["quick"].seconds) < 0.2


def test_one_that_fails_is_named_with_its_last_words_and_ends_all(tmp_path):
    path = tmp_path / "order"
    commands = {
        "works": writes(path, "works", 5),
        "fails": contestant("turn.end(); raise ValueError('no such thing')"),
    }
    with pytest.raises(ContestantFailed, match="fails: ValueError: no such thing"):
        take_turns(commands)
    assert path.read_text() == "works()works()"


def test_one_that_cannot_start_is_named():
    with pytest.raises(ContestantFailed, match="a: "):
        take_turns({"a": [sys.executable, "-c", "raise SystemExit('not installed')"]})
