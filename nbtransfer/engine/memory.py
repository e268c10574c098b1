"""How much memory a run uses, and giving it back between jobs."""

from __future__ import annotations

import gc

import psutil
import torch


def memory_in_use(device: torch.device) -> tuple[int, int]:
    """Return (bytes in use, bytes in all) of `device`; on the CPU, resident memory."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free, total
    return psutil.Process().memory_info().rss, psutil.virtual_memory().total


def release_memory() -> None:
    """Return accelerator memory that no living tensor holds."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
