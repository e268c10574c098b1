"""Tests of nbtransfer.runs.lock: who has it, who waits for it, and what is left of it."""

from __future__ import annotations

import os
import time

import pytest

from nbtransfer.runs import lock as locks
from nbtransfer.runs.lock import Pulse, is_locked, last_pulse, try_lock

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def at_the_first_look(monkeypatch):
    """What happens while somebody waits for a lock."""

    def do(act):
        monkeypatch.setattr(locks.time, "sleep", lambda s: act())

    return do


def test_one_holds_it_until_its_file_is_closed(path):
    assert not is_locked(path)
    with try_lock(path):
        assert is_locked(path)
        assert try_lock(path) is None
    assert not is_locked(path)
    with try_lock(path):
        pass


def test_who_looks_takes_nothing_away(path):
    with try_lock(path):
        assert is_locked(path)
        assert is_locked(path)
    with try_lock(path):
        pass


def test_who_has_patience_gets_it_when_it_is_free(path, at_the_first_look):
    held = try_lock(path)
    at_the_first_look(held.close)
    with try_lock(path, patience_s=60):
        assert is_locked(path)


def test_the_lock_of_a_file_that_is_deleted_meanwhile_is_none(path, at_the_first_look):
    """What is removed while a worker waits for it must not be trained in."""
    held = try_lock(path)

    def remove():
        path.unlink()
        held.close()

    at_the_first_look(remove)
    with try_lock(path, patience_s=60):
        assert try_lock(path) is None, "it is not the file of that name"
    held = try_lock(path)

    def remove_folder():
        remove()
        path.parent.rmdir()

    at_the_first_look(remove_folder)
    with pytest.raises(FileNotFoundError):
        try_lock(path, patience_s=60)


def test_where_the_system_has_no_locks_everybody_gets_one(path, monkeypatch):
    def refuse(file, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with try_lock(path), try_lock(path):
        assert not is_locked(path)


def test_its_holder_shows_that_it_lives(path):
    assert last_pulse(path) == 0.0
    with try_lock(path) as lock:
        assert last_pulse(path) == 0.0
        began = time.time()
        with Pulse(lock):
            pass
        assert abs(last_pulse(path) - began) < 60
    assert abs(last_pulse(path) - began) < 60, "the next holder has not begun"


@pytest.mark.parametrize("data", [b"", b"soon", b"\xff", b"9" * 999])
def test_a_damaged_pulse_is_none(path, data):
    path.write_bytes(data)
    assert last_pulse(path) in (0.0, float("9" * 32))
