"""How much memory a run uses, knowing when it has run out, and giving it back."""

from __future__ import annotations

import ctypes
import gc
import sys

import psutil
import torch

from nbtransfer.errors import NbTransferError
from nbtransfer.runs.state import WarningRow

# What a CPU, an Apple GPU, CUDA outside of torch's allocator (where it makes a graph ready to run)
# and cuBLAS say; the allocator has an error class of its own.
_FULL = (
    "DefaultCPUAllocator: can't allocate memory",
    "MPS backend out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


class MemoryFull(NbTransferError):
    """The memory does not even hold one row at a time."""

    def __init__(self, doing: str) -> None:
        super().__init__(
            f"the device's memory is full while {doing}, even with one row at a time. Take a "
            "smaller --max-length or model, train the --technique head or features, or end what "
            "else uses that memory."
        )


def memory_in_use(device: torch.device) -> tuple[int, int]:
    """Return (bytes in use, bytes in all) of `device`; on the CPU, resident memory."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free, total
    return psutil.Process().memory_info().rss, psutil.virtual_memory().total


def keep_freed_memory() -> None:
    """Let freed memory be used again by this process, rather than given back at every step.

    glibc maps a large tensor's memory anew each time, and the kernel then clears it page by page:
    9 % of a small step. `release_memory` gives it back where a job has ended.
    """
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 2**30)
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def release_memory() -> None:
    """Return accelerator memory that no living tensor holds."""
    gc.collect()
    # glibc keeps freed memory for itself: after a training that is most of a gigabyte. Other C
    # libraries have no such call, and no such habit.
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def clear_workspaces() -> None:
    """Forget the workspaces that cuBLAS keeps for each stream; recorded graphs must be gone."""
    if torch.cuda.is_initialized():
        torch._C._cuda_clearCublasWorkspaces()


def forget_job() -> None:
    """Let nothing of a job stay in a process that lives on: compiled code, workspaces, memory."""
    dynamo = sys.modules.get("torch._dynamo")
    if dynamo is not None:
        dynamo.reset()
    gc.collect()  # first: graphs that wait for it use the workspaces
    clear_workspaces()
    release_memory()


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed and nothing else: what was going on can be tried again."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _FULL)


def smaller_batch_warning(step: int, old: int, new: int, effective: int) -> WarningRow:
    """Return what to say once a micro-batch was made smaller.

    Args:
        step: the optimizer step it happened in.
        old: rows a forward pass before.
        new: rows a forward pass from now on.
        effective: rows of an optimizer step, which stay.
    """
    return WarningRow(
        "out_of_memory",
        f"Memory ran out at step {step}: micro-batch {old} -> {new} rows, "
        f"the effective batch stays {effective}.",
        f"Each step is a little slower and learns the same. Begin the next run with "
        f"--batch-size {new} and as many more accumulation steps, or a smaller --max-length.",
    )


def recomputing_warning(step: int) -> WarningRow:
    """Return what to say once layers are computed again in the backward pass."""
    return WarningRow(
        "out_of_memory_recomputing",
        f"Memory ran out at step {step} with one row at a time: layers are now computed twice "
        "instead of being kept.",
        "Each step takes about a third longer and learns the same. A smaller --max-length avoids "
        "it.",
    )


def smaller_evaluation_warning(when: str, old: int, new: int) -> WarningRow:
    """Return what to say once fewer rows a pass are evaluated; `when` says at which step."""
    return WarningRow(
        "out_of_memory_evaluating",
        f"Memory ran out while evaluating {when}: {old} -> {new} rows a pass.",
        "The figures are the same, whatever the rows a pass.",
    )
