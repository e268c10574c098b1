"""Tests of nbtransfer.runs.process: this process, a dead one, and one that only has its number."""

from __future__ import annotations

import json
import os
import socket
import subprocess

import pytest

from nbtransfer.runs.process import (
    is_alive,
    is_here,
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
    assert record == {
        "pid": os.getpid(),
        "process_start": process_start(os.getpid()),
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


def test_a_reused_number_is_another_process():
    start = process_start(os.getpid())
    assert is_alive({"pid": os.getpid(), "process_start": start + 0.01, "host": HERE})
    assert not is_alive({"pid": os.getpid(), "process_start": start - 2, "host": HERE})
    assert not is_alive({"pid": os.getpid(), "process_start": start + 2, "host": HERE})


def test_a_zombie_is_not_alive():
    process = subprocess.Popen(["true"], stdout=subprocess.PIPE)
    process.stdout.read()  # its end closes the pipe
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(process.pid) is None
    process.wait()


def test_a_process_of_another_host_is_taken_to_be_alive(ended):
    record = {"pid": ended, "process_start": 1.0, "host": "elsewhere"}
    assert is_alive(record)
    assert not is_here(record)


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
