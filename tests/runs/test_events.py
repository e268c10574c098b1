"""Tests of nbtransfer.runs.events: one writer, readers at any moment, no line lost or halved."""

from __future__ import annotations

import errno
import json
import math
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtransfer.runs import events, state
from nbtransfer.runs.events import EventReader, EventWriter, read_events
from nbtransfer.runs.faults import plan_faults


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def write(path, *types):
    writer = EventWriter(path)
    for name in types:
        writer.append(name)
    writer.close()


def types_in(path):
    return [event["type"] for event in read_events(path)]


def test_a_record_carries_version_number_time_type_and_fields(path, monkeypatch):
    monkeypatch.setattr(events.time, "time", lambda: 1234.56789)
    monkeypatch.setattr(events.time, "monotonic", lambda: 50.0)
    writer = EventWriter(path)
    monkeypatch.setattr(events.time, "monotonic", lambda: 52.00049)
    writer.append("step_completed", step=1, loss=0.5)
    assert json.loads(path.read_text()) == {
        "v": 1,
        "seq": 0,
        "time": 1234.568,
        "clock": 2.0,
        "type": "step_completed",
        "step": 1,
        "loss": 0.5,
    }


def test_an_event_is_on_disk_as_soon_as_it_is_appended(path):
    writer = EventWriter(path)
    writer.append("run_paused", step=1)
    assert types_in(path) == ["run_paused"]
    writer.append("run_unpaused", step=1)
    assert types_in(path) == ["run_paused", "run_unpaused"]


def test_numbering_goes_on_when_a_log_is_opened_again(path):
    write(path, "a", "b")
    write(path, "c")
    assert [event["seq"] for event in read_events(path)] == [0, 1, 2]


@pytest.mark.parametrize("kept", [1, 7, 30])
def test_a_torn_last_line_is_cut_on_reopening(path, kept):
    write(path, "a", "b", "c")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:kept])
    write(path, "d")
    assert types_in(path) == ["a", "b", "d"]
    assert [event["seq"] for event in read_events(path)] == [0, 1, 2]
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_a_last_line_without_its_newline_counts_as_torn(path):
    write(path, "a", "b")
    path.write_bytes(path.read_bytes()[:-1])
    assert types_in(path) == ["a"]
    write(path, "c")
    assert types_in(path) == ["a", "c"]


def test_a_log_that_is_one_torn_line_starts_anew(path):
    path.write_bytes(b'{"v": 1, "seq": 0, "ty')
    write(path, "a")
    assert types_in(path) == ["a"]
    assert next(read_events(path))["seq"] == 0


def test_reopening_a_whole_log_changes_none_of_its_bytes(path):
    write(path, "a", "b")
    before = path.read_bytes()
    write(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_word_for_survives_as_a_string(path, value):
    writer = EventWriter(path)
    writer.append("x", loss=value, deep={"a": [1.0, (value,)]})
    record = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert str(float(record["loss"])) == str(value)
    assert str(float(record["deep"]["a"][1][0])) == str(value)


def test_nan_comes_out_of_the_fold_as_nan(path):
    writer = EventWriter(path)
    writer.append(
        "step_completed",
        step=1,
        epoch=0.5,
        loss=math.nan,
        learning_rate=1e-4,
        grad_norm=math.inf,
        num_examples=2,
        num_tokens=9,
        elapsed_s=0.1,
    )
    (row,) = state.fold(read_events(path)).steps
    assert math.isnan(row.loss)
    assert row.grad_norm == math.inf


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb\u2028c\x85d", "\ud800", "naïve 😀", "\0", '"\\'])
def test_any_text_stays_on_one_line_and_comes_back(path, text):
    writer = EventWriter(path)
    writer.append("warning_raised", headline=text)
    writer.append("b")
    first, second = read_events(path)
    assert first["headline"] == text
    assert second["type"] == "b"


def test_a_reader_returns_each_event_once(path):
    reader = EventReader(path)
    assert reader.poll() == []  # no file yet
    writer = EventWriter(path)
    writer.append("a")
    assert [event["type"] for event in reader.poll()] == ["a"]
    assert reader.poll() == []
    writer.append("b")
    writer.append("c")
    assert [event["type"] for event in reader.poll()] == ["b", "c"]


def test_half_written_last_line_is_not_yielded_until_it_is_whole(path):
    write(path, "a", "b")
    whole = path.read_bytes()
    first_end = whole.index(b"\n") + 1
    for cut in [*range(0, len(whole), 9), first_end - 1, first_end, len(whole) - 1]:
        reader = EventReader(path)
        path.write_bytes(whole[:cut])
        first = reader.poll()
        path.write_bytes(whole)
        assert [event["type"] for event in first + reader.poll()] == ["a", "b"]
        assert len(first) == whole[:cut].count(b"\n")


DAMAGED = [
    b"",
    b"not json",
    b"{",
    b"[1, 2]",
    b'"text"',
    b"null",
    b"{}",
    b'{"type": "x", "time": 0}',
    b'{"seq": 1, "time": 0}',
    b'{"seq": 1, "type": "x"}',
    b'{"seq": "1", "type": "x", "time": 0}',
    b'{"seq": true, "type": "x", "time": 0}',
    b"\xff\xfe\x00",
    b"\x00" * 40,
]


@pytest.mark.parametrize("line", DAMAGED)
def test_a_damaged_line_is_skipped_and_the_rest_is_read(path, line):
    write(path, "a")
    with path.open("ab") as file:
        file.write(line + b"\n")
    write(path, "b")
    assert types_in(path) == ["a", "b"]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.binary(max_size=30), max_size=4))
def test_no_bytes_make_a_reader_or_a_writer_fail(tmp_path, lines):
    path = tmp_path / "any.jsonl"
    path.write_bytes(b"\n".join(lines))
    state.fold(read_events(path))
    EventWriter(path).append("a")
    assert types_in(path)[-1] == "a"


def test_closing_makes_the_log_durable(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    writer = EventWriter(path)
    writer.append("a")
    assert synced == []  # not at each event: a step would wait for the disk
    writer.close()
    assert synced == [path.stat().st_ino]


@pytest.fixture
def faults():
    yield plan_faults
    plan_faults("")


def test_lines_a_full_disk_refused_are_written_with_the_next_in_their_order(path, faults):
    writer = EventWriter(path)
    writer.append("a")
    faults("event:1:enospc;event:2:enospc")
    writer.append("b")
    writer.append("c")
    assert types_in(path) == ["a"]
    assert writer.last_seq == 2
    writer.append("d")
    assert types_in(path) == ["a", "b", "c", "d"]
    assert [event["seq"] for event in read_events(path)] == [0, 1, 2, 3]


def test_a_line_of_which_a_part_found_space_is_completed(path):
    class NearlyFull:
        def __init__(self, file):
            self.file, self.room = file, 20

        def write(self, data):
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = self.file.write(data[: self.room])
            self.room -= written
            return written

        def __getattr__(self, name):
            return getattr(self.file, name)

    writer = EventWriter(path)
    writer._file = disk = NearlyFull(writer._file)
    writer.append("a")
    assert types_in(path) == [] and len(path.read_bytes()) == 20
    disk.room = 10_000
    writer.append("b")
    assert types_in(path) == ["a", "b"]


@pytest.mark.parametrize("refusals", [1, 2, 9])
def test_closing_tries_again_for_a_while(path, faults, monkeypatch, refusals):
    monkeypatch.setattr(events, "_TRY_EVERY_S", 0.0)
    writer = EventWriter(path)
    faults(";".join(f"event:{n}:enospc" for n in range(1, refusals + 1)))
    writer.append("a")
    assert writer.close()
    assert types_in(path) == ["a"]


def test_closing_says_that_a_disk_stayed_full(path, faults, monkeypatch):
    monkeypatch.setattr(events, "_TRY_EVERY_S", 0.0)
    writer = EventWriter(path)
    writer.append("a")
    faults("event:1+:enospc")
    writer.append("b")
    assert not writer.close()
    assert types_in(path) == ["a"]


def test_a_log_that_cannot_be_written_for_another_reason_is_an_error(path, faults):
    writer = EventWriter(path)
    faults("event:1:eio")
    with pytest.raises(OSError, match="Input/output error"):
        writer.append("a")


def test_every_event_the_fold_knows_is_documented():
    listed = set(re.findall(r"^    (\w+) {2,}", events.__doc__, re.MULTILINE))
    handled = {n.removeprefix("_on_") for n in dir(state.RunState) if n.startswith("_on_")}
    assert handled == listed
