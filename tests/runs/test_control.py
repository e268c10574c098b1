"""Tests of nbtransfer.runs.control: the wanted state, its revisions, and cheap polling."""

from __future__ import annotations

import multiprocessing
import os
import threading

import pytest

from nbtransfer.runs import control
from nbtransfer.runs.control import Control, ControlReader, change_control, read_control
from nbtransfer.runs.faults import plan_faults


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.json"


def test_nothing_is_wanted_where_there_is_no_file(path):
    assert read_control(path) == Control()
    assert Control().revision == 0


def test_each_change_raises_the_revision_and_keeps_the_rest(path):
    assert change_control(path, learning_rate=5e-5) == 1
    assert change_control(path, paused=True) == 2
    assert change_control(path, num_train_epochs=4.0, paused=False) == 3
    assert read_control(path) == Control(
        revision=3, learning_rate=5e-5, num_train_epochs=4.0, paused=False
    )


def test_a_change_to_the_same_value_is_a_new_revision(path):
    change_control(path, paused=True)
    assert change_control(path, paused=True) == 2


@pytest.mark.parametrize("rate", [0.1 + 0.2, 5e-324, 1e-5 / 3])
def test_floats_come_back_bit_for_bit(path, rate):
    change_control(path, learning_rate=rate)
    assert read_control(path).learning_rate == rate


def test_an_unknown_wish_is_a_bug_and_not_written(path):
    with pytest.raises(TypeError):
        change_control(path, learning_rte=1.0)
    assert not path.exists()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"3", b'"x"', b"null", b"\xff", b"\0" * 99])
def test_an_unreadable_file_wants_nothing_and_can_be_written_over(path, data):
    path.write_bytes(data)
    assert read_control(path) == Control()
    change_control(path, paused=True)
    assert read_control(path).paused


def test_wishes_of_a_newer_version_are_left_out(path):
    path.write_text('{"revision": 4, "paused": true, "temperature": 1}')
    assert read_control(path) == Control(revision=4, paused=True)


def test_polling_returns_the_control_once(path):
    reader = ControlReader(path)
    assert reader.poll() is None
    change_control(path, paused=True)
    assert reader.poll() == Control(revision=1, paused=True)
    assert reader.poll() is None
    change_control(path, paused=False)
    assert reader.poll() == Control(revision=2)


def test_a_file_that_has_not_changed_is_not_read_again(path, monkeypatch):
    reads = []
    monkeypatch.setattr(control, "_parse", lambda data: reads.append(data) or Control())
    path.write_text("{}")
    reader = ControlReader(path)
    for _ in range(5):
        reader.poll()
    assert len(reads) == 1
    os.utime(path, ns=(1, 1))
    reader.poll()
    assert len(reads) == 2


@pytest.mark.parametrize("error", ["eio", "estale", "eacces"])
def test_a_file_that_cannot_be_read_now_is_no_news_and_is_read_later(path, error):
    change_control(path, paused=True)
    reader = ControlReader(path)
    plan_faults(f"control.read:1:{error}")
    try:
        assert reader.poll() is None
    finally:
        plan_faults("")
    assert reader.poll() == Control(revision=1, paused=True)


def test_a_file_replaced_within_the_same_tick_is_seen_by_its_inode(path):
    reader = ControlReader(path)
    change_control(path, paused=True)
    reader.poll()
    stamp = path.stat().st_mtime_ns
    change_control(path, paused=False)
    os.utime(path, ns=(stamp, stamp))
    assert reader.poll() == Control(revision=2)


def test_a_new_reader_sees_what_was_wanted_before_it_came(path):
    change_control(path, stop="interrupt")
    assert ControlReader(path).poll().stop == "interrupt"


def test_a_file_that_vanishes_wants_nothing_new(path):
    change_control(path, paused=True)
    reader = ControlReader(path)
    reader.poll()
    path.unlink()
    assert reader.poll() is None


def _move_sliders(path, ready, rounds):
    for _ in range(rounds):
        ready.wait(10)
        for number in range(5):
            change_control(path, learning_rate=(number + 1) * 1e-5)
        ready.wait(10)


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_stop_and_sliders_at_the_same_time_are_both_heard(path, kind):
    spawn, rounds = multiprocessing.get_context("spawn"), 5
    start, barrier = {
        "thread": (threading.Thread, threading.Barrier),
        "process": (spawn.Process, spawn.Barrier),
    }[kind]
    ready = barrier(2)
    other = start(target=_move_sliders, args=(path, ready, rounds))
    other.start()
    found = []
    for _ in range(rounds):
        ready.wait(10)
        change_control(path, stop="interrupt", evaluate=True)
        ready.wait(10)
        wanted = read_control(path)
        found.append((wanted.revision, wanted.stop, wanted.evaluations, wanted.learning_rate))
        path.unlink()
    other.join()
    assert found == [(6, "interrupt", 1, 5e-5)] * rounds
