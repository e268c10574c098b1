"""The event log: one JSON record a line, appended by one writer, folded by any reader.

A record is `{"v": 1, "seq": n, "time": unix seconds, "clock": seconds, "type": name, ...}`. `clock`
counts from the opening of the log by a clock that nobody sets, for dates jump; the first version
had none. Names are past tense. Readers skip types they do not know and never yield a line that is
not whole yet.

The types, and the fields each carries besides these five:

    worker_started        pid, process_start, warm (bool)
    phase_started         phase: importing | loading | tokenizing | computing frozen layers
                          | training | evaluating | saving
    plan_changed          field, old, new, reason
    model_loaded          num_parameters, num_trainable_parameters, notes[]
    data_encoded          num_train, num_validation, num_tokens, share_texts_cut, share_tokens_cut,
                          cache: hit | miss | off, words: word vectors that learn and all, or null
    frozen_layers_computed  num_rows, num_layers, cache: hit | miss | no room, place: memory | disk,
                          num_bytes
    checkpoints_lost      checkpoints[[name, reason]]: there were some, and none is good any more
    run_resumed           from_step, revision, checkpoint (folder name), skipped[[name, reason]]
    training_started      num_steps, steps_per_epoch, num_train_epochs, learning_rate, device,
                          precision, step_kind
    step_completed        step, epoch, loss, learning_rate, grad_norm, num_examples, num_tokens,
                          elapsed_s
    throughput_measured   step, examples_per_s, tokens_per_s, memory_bytes, memory_total_bytes
    control_applied       revision, step, changes{name: [old, new]}, wanted{name: value}, num_steps;
                          names: learning_rate, num_train_epochs
    run_paused            step
    run_unpaused          step
    evaluation_completed  step, epoch, metrics{eval_*}, train_loss, duration_s, elapsed_s, is_best,
                          cause: schedule | asked | stop, examples[[source, target, output,
                          chrF, row]] where texts are written, samples[[text, right, said]]
                          of language models
    checkpoint_saved      step, name, reason, num_bytes, stall_s (training stood still), duration_s
    warning_raised        code, headline, advice
    model_saved           step, choice: best | last, metric, value
    model_verified        num_rows, difference (largest, between logits)
    report_saved          name (of the evaluation folder)
    run_completed         step, reason: finished | early_stopping, train_runtime_s
    run_stopped           step, reason: stop | interrupt | sigterm | lease, train_runtime_s
    run_failed            step, error_type, message, advice, traceback

An evaluation or prediction job has a log of its own with worker_started, phase_started, rows_read
(done, total) and at its end job_completed or job_failed (error_type, message, advice, traceback).
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import time
from typing import TYPE_CHECKING, Any

from nbtransfer.runs.faults import reach
from nbtransfer.runs.files import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = 1
_LAST_TRIES, _TRY_EVERY_S = 10, 0.3  # the ending is worth a wait for space
_LAST_TIME = 1e12  # unix seconds; neither NaN nor an infinity lies below it

Event = dict[str, Any]


class EventWriter:
    """Append events to a log; the only writer of its file.

    Opening cuts a torn last line (the write a crash interrupted) and goes on with its numbering.
    What a full disk refuses is kept and written with a later event: a log must not end a training.
    """

    def __init__(self, path: Path) -> None:
        events = list(read_events(path)) if path.exists() else []
        self._seq = events[-1]["seq"] + 1 if events else 0
        self._file = path.open("ab", buffering=0)
        self._unwritten = b""
        self._opened = time.monotonic()
        if path.exists():
            self._file.truncate(_whole_size(path))

    @property
    def last_seq(self) -> int:
        """Number of the last event in the log; -1 before the first."""
        return self._seq - 1

    def append(self, type: str, **fields: object) -> None:
        """Write one event and hand it to the system (no fsync: 1 ms each is too dear)."""
        record = {
            "v": VERSION,
            "seq": self._seq,
            "time": round(time.time(), 3),
            "clock": round(time.monotonic() - self._opened, 3),
            "type": type,
            **{name: _finite(value) for name, value in fields.items()},
        }
        line = json.dumps(record, allow_nan=False)
        self._unwritten += line.encode() + b"\n"
        self._seq += 1
        self._write()

    def sync(self) -> bool:
        """Make everything written so far durable, before something that builds on it.

        Returns:
            Whether all of it is in the file, rather than refused by a full disk.
        """
        self._write()
        with _full_disk_forgiven():
            sync(self._file.fileno())
            return not self._unwritten
        return False

    def close(self) -> bool:
        """Make everything written durable and close the file.

        Returns:
            Whether all of it is in the file. What a disk that stays full refuses is lost.
        """
        for _ in range(_LAST_TRIES):
            if is_whole := self.sync():
                break
            time.sleep(_TRY_EVERY_S)
        self._file.close()
        return is_whole

    def _write(self) -> None:
        with _full_disk_forgiven():
            reach("event")
            while self._unwritten:
                self._unwritten = self._unwritten[self._file.write(self._unwritten) :]


@contextlib.contextmanager
def _full_disk_forgiven() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _finite(value: object) -> object:
    """Return `value` with NaN and infinities as strings: JSON has no word for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


def _whole_size(path: Path) -> int:
    """Return the bytes up to and with the last newline."""
    return path.read_bytes().rfind(b"\n") + 1


class EventReader:
    """Read a growing log bit by bit: each `poll` returns the events that are new and whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def poll(self) -> list[Event]:
        """Return the events since the last call; an unfinished last line waits for the next."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read()
        except FileNotFoundError:
            return []
        end = chunk.rfind(b"\n") + 1
        self._offset += end
        return [event for line in chunk[:end].splitlines() if (event := _parse(line)) is not None]


def _parse(line: bytes) -> Event | None:
    """Return the record on `line`, or None where it is damaged or no record at all."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    seq, when, name = (record.get(field) for field in ("seq", "time", "type"))
    is_dated = isinstance(when, (int, float)) and abs(when) < _LAST_TIME
    return record if type(seq) is int and is_dated and isinstance(name, str) else None


def read_events(path: Path) -> Iterator[Event]:
    """Yield the whole records of the log at `path`, oldest first."""
    yield from EventReader(path).poll()
