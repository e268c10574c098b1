"""Tests of nbtransfer.runs.faults: a planned fault strikes at its point, and there only."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from nbtransfer.runs.faults import plan_faults, reach


@pytest.fixture(autouse=True)
def no_faults_left():
    yield
    plan_faults("")


def _struck(points):
    """Whether each of the points struck, in turn."""
    struck = []
    for point in points:
        try:
            reach(point)
        except OSError:
            struck.append(True)
        else:
            struck.append(False)
    return struck


def test_nothing_planned_is_nothing_struck():
    plan_faults("")
    assert _struck(["event"] * 3) == [False] * 3


def test_a_fault_strikes_once_at_its_count():
    plan_faults("event:2:eio")
    assert _struck(["event", "file.write", "event", "event"]) == [False, False, True, False]


def test_with_a_plus_it_strikes_from_then_on():
    plan_faults("event:2+:eio")
    assert _struck(["event"] * 4) == [False, True, True, True]


def test_a_star_stands_for_all_that_begin_so():
    plan_faults("checkpoint.*:2:eio")
    assert _struck(["checkpoint.model", "event", "checkpoint.sync"]) == [False, False, True]


def test_several_are_counted_apart():
    plan_faults("a:1:eio;b:2:eio")
    assert _struck(["b", "a", "b"]) == [False, True, True]


@pytest.mark.parametrize("kind", ["enospc", "eio", "enotsup", "einval", "exdev", "estale", "erofs"])
def test_a_system_error_has_its_number_and_words(kind):
    plan_faults(f"sync:1:{kind}")
    with pytest.raises(OSError) as caught:
        reach("sync")
    assert caught.value.errno == getattr(errno, kind.upper())
    assert caught.value.strerror


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'explode' is not one of kill, term"):
        plan_faults("event:1:explode")


def test_the_environment_plans_for_a_process_of_its_own():
    script = (
        "from nbtransfer.runs.faults import reach; reach('a'); print(1, flush=True); reach('a')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NBTRANSFER_FAULT": "a:2:kill"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "1\n"
    assert done.returncode == -9
