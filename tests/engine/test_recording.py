"""What a Recorder asks of torch.cuda, told to a stand-in for it: no GPU is needed."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from nbtransfer.engine import memory, recording
from nbtransfer.engine.memory import is_out_of_memory
from nbtransfer.engine.recording import Recorder

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
BROKEN = RuntimeError("CUDA error: operation failed due to a previous error during capture")


class Stream:
    def __init__(self, cuda, name):
        self.cuda, self.name = cuda, name

    def wait_stream(self, other):
        self.cuda.said.append(f"{self.name} waits for {other.name}")


class Cuda:
    """torch.cuda as far as a Recorder uses it, with what was asked of it in `said`."""

    OutOfMemoryError = torch.OutOfMemoryError

    def __init__(self):
        self.said, self.num_streams, self.num_pools = [], 0, 0
        self.current = Stream(self, "usual")
        self.begin_fails = self.end_fails = None

    def Stream(self):
        self.num_streams += 1
        return Stream(self, f"stream {self.num_streams}")

    def current_stream(self):
        return self.current

    def graph_pool_handle(self):
        self.num_pools += 1
        return self.num_pools

    def CUDAGraph(self):
        return SimpleNamespace(replay=lambda: self.said.append("replay"))

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    def graph(self, graph, *, pool, stream):
        cuda = self

        class Recording:
            """As torch's own, which forgets its stream where it cannot begin or end."""

            def __enter__(self):
                self.before, cuda.current = cuda.current, stream
                if cuda.begin_fails:
                    raise cuda.begin_fails
                cuda.said.append(f"record on {stream.name} in pool {pool}")

            def __exit__(self, *_):
                if cuda.end_fails:
                    raise cuda.end_fails
                cuda.current = self.before

        return Recording()


@pytest.fixture
def cuda(monkeypatch):
    found = Cuda()
    monkeypatch.setattr(recording.torch, "cuda", found)
    return found


def fail(error):
    raise error


def test_warm_ups_and_recordings_share_one_stream_and_one_pool(cuda):
    recorder, on = Recorder(), []
    for _ in range(3):
        with recorder.beside():
            on.append(cuda.current.name)
        recorder.record(lambda: on.append(cuda.current.name))()
    assert on == ["stream 1"] * 6
    assert cuda.num_streams == cuda.num_pools == 1
    assert (
        cuda.said
        == [
            *("stream 1 waits for usual", "usual waits for stream 1"),
            *("record on stream 1 in pool 1", "replay"),
        ]
        * 3
    )


@pytest.mark.parametrize("where", ["work", "begin", "end"])
def test_the_usual_stream_is_the_current_one_however_a_recording_ends(cuda, where):
    recorder = Recorder()
    if where == "begin":
        cuda.begin_fails = FULL
    if where == "end":
        cuda.end_fails = BROKEN
    with pytest.raises(RuntimeError):
        recorder.record(lambda: fail(FULL) if where == "work" else None)
    assert cuda.current.name == "usual"


def test_the_usual_stream_waits_for_a_warm_up_that_failed(cuda):
    recorder = Recorder()
    with pytest.raises(RuntimeError, match="no such"), recorder.beside():
        fail(RuntimeError("no such kernel"))
    assert (cuda.current.name, cuda.said[-1]) == ("usual", "usual waits for stream 1")


def test_memory_that_ran_out_is_told_from_the_error_of_the_recording_it_broke(cuda):
    recorder = Recorder()
    cuda.end_fails = BROKEN
    with pytest.raises(torch.OutOfMemoryError, match="Tried to allocate") as found:
        recorder.record(lambda: fail(FULL))
    assert is_out_of_memory(found.value)
    with pytest.raises(RuntimeError, match="previous error") as found:
        recorder.record(lambda: fail(RuntimeError("device-side assert triggered")))
    assert not is_out_of_memory(found.value)


def test_nothing_of_what_was_recorded_before_is_used_after_forgetting(cuda, monkeypatch):
    recorder, cleared = Recorder(), []
    monkeypatch.setattr(recording, "clear_workspaces", lambda: cleared.append(True))
    recorder.forget()
    recorder.record(lambda: None)
    assert cleared == [True]
    assert cuda.said == ["record on stream 1 in pool 2"]


@pytest.mark.parametrize(
    ("words", "is_memory"),
    [
        ("CUDA error: out of memory\nCUDA kernel errors might be reported later", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("CUDA error: operation not permitted when stream is capturing", False),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_a_graph_that_cannot_be_made_for_want_of_memory_is_known(words, is_memory):
    assert is_out_of_memory(RuntimeError(words)) is is_memory


def test_a_job_that_has_ended_leaves_neither_workspaces_nor_compiled_code(monkeypatch):
    done = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    clear = lambda: done.append("workspaces")  # noqa: E731
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", clear, raising=False)
    monkeypatch.setattr(memory, "release_memory", lambda: done.append("memory"))
    monkeypatch.setattr(gc, "collect", lambda: done.append("graphs"))
    dynamo = SimpleNamespace(reset=lambda: done.append("compiled"))
    monkeypatch.setitem(sys.modules, "torch._dynamo", dynamo)
    memory.forget_job()
    assert done == ["compiled", "graphs", "workspaces", "memory"]


def test_a_process_without_cuda_or_compiler_starts_neither_to_forget_a_job():
    before = "torch._dynamo" in sys.modules
    memory.forget_job()
    assert ("torch._dynamo" in sys.modules) == before
    assert not torch.cuda.is_initialized()
