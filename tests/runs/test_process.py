"""Tests of nbtransfer.runs.process: this process, a dead one, and one that only has its number."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time

import psutil
import pytest

from nbtransfer.runs import process as processes
from nbtransfer.runs.lock import try_lock
from nbtransfer.runs.process import (
    is_alive,
    is_at_work,
    is_here,
    last_sign,
    process_start,
    read_process,
    write_process,
)

HERE = socket.gethostname()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "process.json"


@pytest.fixture
def ended():
    """The id of a process that has ended and was waited for."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_this_process_is_recorded_with_its_start_and_host(path):
    write_process(path, os.getpid())
    record = read_process(path)
    assert abs(record.pop("time") - time.time()) < 60
    assert record == {
        "pid": os.getpid(),
        "process_start": process_start(os.getpid()),
        "boot": processes._boot(),
        "host": HERE,
        "after_seq": -1,
    }
    assert is_alive(record)
    assert is_here(record)


def test_a_process_that_ended_is_not_alive(path, ended):
    write_process(path, ended)
    assert read_process(path)["process_start"] is None
    assert process_start(ended) is None
    assert not is_alive(read_process(path))


@pytest.fixture
def record(path):
    """The record of this process."""
    write_process(path, os.getpid())
    return read_process(path)


def test_a_reused_number_is_another_process(record):
    start = record["process_start"]
    assert is_alive({**record, "process_start": start + 0.01})
    assert not is_alive({**record, "process_start": start - 2})
    assert not is_alive({**record, "process_start": start + 2})


def test_where_the_system_has_no_name_for_its_life_dates_are_compared(path, monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "_BOOT", tmp_path / "none")
    write_process(path, os.getpid())
    record = read_process(path)
    assert record["boot"] is None
    assert record["process_start"] == psutil.Process().create_time()
    assert is_alive(record)
    assert not is_alive({**record, "process_start": record["process_start"] + 2})


def test_a_record_of_the_first_version_is_understood():
    record = {"pid": os.getpid(), "process_start": psutil.Process().create_time(), "host": HERE}
    assert is_alive(record)
    assert not is_alive({**record, "process_start": record["process_start"] - 2})


needs_boot = pytest.mark.skipif(processes._boot() is None, reason="the system has no boot id")


@needs_boot
@pytest.mark.parametrize("hours", [-30, -0.01, 0.01, 30])
def test_a_process_stays_itself_when_the_clock_is_set(record, monkeypatch, hours):
    # Linux tells the date of its start by today's clock, and psutil adds it.
    boot_time = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot_time + hours * 3600)
    assert is_alive(record)


@needs_boot
def test_after_a_restart_of_the_system_it_is_another(record):
    assert not is_alive({**record, "boot": "00000000-0000-0000-0000-000000000000"})


def test_a_process_with_any_name_is_found(tmp_path):
    program = tmp_path / "a) R 1 (b"
    program.symlink_to(shutil.which("sleep"))
    process = subprocess.Popen([program, "60"])
    try:
        assert abs(process_start(process.pid) - process_start(os.getpid())) < 3600
    finally:
        process.kill()
        process.wait()


def test_a_zombie_is_not_alive():
    process = subprocess.Popen(["true"], stdout=subprocess.PIPE)
    process.stdout.read()  # its end closes the pipe
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(process.pid) is None
    process.wait()


ELSEWHERE = {"pid": 1, "process_start": 1.0, "host": "elsewhere"}


def test_a_process_of_this_machine_is_judged_by_itself_alone(record, ended, tmp_path):
    lock = tmp_path / "lock"
    assert is_at_work(record, lock, 0.0)
    with try_lock(lock):
        assert not is_at_work({**record, "pid": ended}, lock, time.time())


def test_a_process_of_another_machine_is_at_work_while_its_lock_is_held(tmp_path):
    assert not is_here(ELSEWHERE)
    lock = tmp_path / "lock"
    with try_lock(lock):
        assert is_at_work(ELSEWHERE, lock, 0.0)
        assert not is_at_work(ELSEWHERE, None, 0.0), "the lock is our own"
    assert not is_at_work(ELSEWHERE, lock, 0.0)


@pytest.mark.parametrize(("ago_s", "is_there"), [(-9.0, True), (100.0, True), (400.0, False)])
def test_where_its_lock_does_not_reach_it_counts_what_it_wrote_last(tmp_path, ago_s, is_there):
    lock, then = tmp_path / "lock", time.time() - ago_s
    assert is_at_work(ELSEWHERE, lock, last_sign(ELSEWHERE, lock, then)) is is_there
    handed_over = {**ELSEWHERE, "time": then}
    assert is_at_work(handed_over, lock, last_sign(handed_over, lock, None)) is is_there
    lock.write_text(f"{then:.3f}")
    assert is_at_work(ELSEWHERE, lock, last_sign(ELSEWHERE, lock, 1.0)) is is_there


@pytest.mark.parametrize("time", ["soon", None, [1]])
def test_a_record_without_a_date_gives_no_sign(tmp_path, time):
    assert last_sign({**ELSEWHERE, "time": time}, tmp_path / "lock", None) == 0.0


def test_a_record_without_a_start_goes_by_the_number(ended):
    assert is_alive({"pid": os.getpid(), "process_start": None, "host": HERE})
    assert not is_alive({"pid": ended, "process_start": None, "host": HERE})


@pytest.mark.parametrize("data", ["", "{", "[]", "3", "{}", "null"])
def test_no_record_is_none(path, data):
    assert read_process(path) is None
    path.write_text(data)
    assert read_process(path) is None


@pytest.mark.parametrize("pid", [0, -1, -4242, True, 1.5, "1", None, [1]])
def test_a_number_that_is_no_process_is_no_record(path, pid):
    # os.kill(-1) reaches every process of the user.
    path.write_text(json.dumps({"pid": pid, "host": HERE}))
    assert read_process(path) is None


@pytest.mark.parametrize("pid", [2**22 + 1, 2**31, 2**64, 10**40])
def test_a_number_beyond_the_systems_is_not_alive(pid):
    assert process_start(pid) is None
    assert not is_alive({"pid": pid, "process_start": None, "host": HERE})
