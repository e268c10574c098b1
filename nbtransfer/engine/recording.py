"""Recording work as CUDA graphs: the one stream, the one pool of memory, and giving both back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from nbtransfer.engine.memory import clear_workspaces, is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Recorder:
    """Makes CUDA graphs, all on one stream and in one pool of memory.

    cuBLAS has a workspace for each pair of a thread and a stream it is used on, 32 MiB each on an
    H100. A stream of its own for each warm-up would cost that twice (the backward pass has a
    thread of its own) for each graph; a workspace made while recording would lie in the graphs'
    pool, and hold it when they are gone. So warm-ups use the stream of the recordings.

    Graphs share their memory, for one is replayed at a time and none leaves a result in it.
    """

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Work on the recordings' stream, between what was asked for before and what comes next."""
        before = torch.cuda.current_stream()
        self._stream.wait_stream(before)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            before.wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record `work` without running it and return what runs it."""
        graph = torch.cuda.CUDAGraph()
        try:
            # `torch.cuda.graph` leaves its stream the current one where it cannot begin or end.
            with (
                torch.cuda.stream(self._stream),
                torch.cuda.graph(graph, pool=self._pool, stream=self._stream),
            ):
                work()
        except RuntimeError as error:
            # What broke a recording off may keep it from ending, and is hidden by that error.
            hidden = error.__context__
            if isinstance(hidden, Exception) and is_out_of_memory(hidden):
                raise torch.OutOfMemoryError(str(hidden)) from error
            raise
        replay: Callable[[], None] = graph.replay
        return replay

    def forget(self) -> None:
        """Give back what graphs have held; there must be none left, for they use the workspaces."""
        self._pool = torch.cuda.graph_pool_handle()
        clear_workspaces()
