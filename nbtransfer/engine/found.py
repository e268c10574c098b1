"""What a model says of a batch, left on its device until enough has come together to fetch.

Reading a tensor waits for the device: an evaluation that read every batch would leave it idle while
the next one is made.
"""

# Shapes: B rows of a batch, T places of its longest row, K values of all its rows.
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch


class Lists(NamedTuple):
    """Several values a row, as many as each row has.

    Attributes:
        values: tensor (B, T) or (B, T, ...) with each row's values at its beginning; or (K, ...),
            those of all rows end to end.
        counts: how many each row has, int tensor (B,).
        padded: whether it is the former.
    """

    values: torch.Tensor
    counts: torch.Tensor
    padded: bool = True

    def fetch(self) -> list[np.ndarray]:
        """Return B arrays."""
        values, counts = self.values.cpu(), self.counts.cpu()
        if self.padded:
            values = values[torch.arange(values.shape[1]) < counts[:, None]]
        return np.split(values.numpy(), counts.cumsum(0)[:-1].tolist())


Found = dict[str, torch.Tensor | Lists | list[np.ndarray]]


def fetch(found: Found) -> dict[str, np.ndarray | list[np.ndarray]]:
    """Return the same as arrays (B, ...) and lists of B arrays; a sync point."""
    fetched: dict[str, np.ndarray | list[np.ndarray]] = {}
    for name, value in found.items():
        if isinstance(value, torch.Tensor):
            fetched[name] = value.cpu().numpy()
        else:
            fetched[name] = value.fetch() if isinstance(value, Lists) else value
    return fetched


def device_bytes(found: Found) -> int:
    """Return how much memory it takes where it is."""
    tensors = [v.values if isinstance(v, Lists) else v for v in found.values()]
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor))


def exact(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor as float64; from an Apple GPU, which has none, on the CPU."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()
