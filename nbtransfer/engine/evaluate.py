"""Running a model over rows: sorted by length, one batch in memory at a time."""

# Shapes: N rows, B rows of a batch.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from accelerate.utils import extract_model_from_parallel
from torch import nn

from nbtransfer.data.encoding import Ragged
from nbtransfer.data.lengths import spread_rows
from nbtransfer.engine.batching import by_length
from nbtransfer.engine.found import device_bytes, fetch
from nbtransfer.engine.memory import MemoryFull, is_out_of_memory, release_memory
from nbtransfer.engine.objectives import Classes, Sequence
from nbtransfer.models.first_token import only_first_token
from nbtransfer.runs.faults import reach

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelerate import Accelerator

    from nbtransfer.data.encode import Encoded
    from nbtransfer.engine.found import Found
    from nbtransfer.engine.objectives import Objective


# Measured on two cores: 500 to 1,000 tokens a pass are fastest; 4,000 take 1.2 times as long.
_CPU_TOKENS = 768
_ACCELERATOR_TOKENS = 32_768  # 64 rows of 512: more at once would only take memory
_FETCH_BYTES = 16_000_000  # of answers that lie on the device
_ANY_TOKENS = 2**62  # not infinity: divided by a numpy integer it gives NaN


class Scores(NamedTuple):
    """What a model said of rows, in the rows' own order.

    Attributes:
        answers: by name, arrays (N, ...), or ragged; see the task's objective.
        loss: the mean over all targets, in nats; NaN where there are none.
        batch_size: how many rows a pass the memory held in the end.
    """

    answers: dict[str, np.ndarray | Ragged]
    loss: float
    batch_size: int


@torch.inference_mode()
def score_rows(
    accelerator: Accelerator,
    model: nn.Module,
    encoded: Encoded,
    objective: Objective,
    batch_size: int,
    generate_rows: int | None = None,
    *,
    brief: bool = False,
    told: Callable[[int], None] | None = None,
) -> Scores:
    """Ask the model about every row. It is left in evaluation mode.

    Args:
        accelerator: places tensors and chooses the arithmetic.
        model: maps a batch to what the objective reads.
        encoded: the rows; their targets, where there are any, give the loss.
        objective: says what is kept of a batch.
        batch_size: rows a forward pass.
        generate_rows: for how many rows texts are generated, evenly spread; None takes all.
        brief: keep what metrics need; of classes, the likeliest one of each row.
        told: called with the number of rows after each pass, those of generation too.

    Returns:
        Scores in the rows' own order, whatever the batches.
    """
    model.eval()
    plain = extract_model_from_parallel(model)
    num_rows = len(encoded.lengths)
    answers = _Answers(num_rows)

    def forward(rows: np.ndarray) -> None:
        found = _ask(accelerator, model, encoded, objective, rows)
        if brief and isinstance(objective, Classes):
            found = objective.brief(found)
        answers.add(rows, found)
        if told is not None:
            told(len(rows))

    batch_size = in_batches(encoded.lengths, batch_size, forward, most_tokens(accelerator))
    if isinstance(objective, Sequence) and num_rows:
        wanted = spread_rows(num_rows, num_rows if generate_rows is None else generate_rows)
        rows = np.asarray(wanted, np.int64)
        answers.arrays["is_generated"] = np.isin(np.arange(num_rows), rows)
        answers.lists["generated"] = [np.zeros(0, np.int32)] * num_rows

        def write(places: np.ndarray) -> None:
            batch = {k: v.to(accelerator.device) for k, v in encoded.batch(rows[places]).items()}
            labels = batch.pop("labels", None)
            reach("evaluate.generate")
            with accelerator.autocast():
                found = objective.generate(plain, batch, labels)
            answers.add(rows[places], {"generated": found})
            if told is not None:
                told(len(places))

        batch_size = in_batches(encoded.lengths[rows], batch_size, write)
    whole, loss = answers.whole(), float("nan")
    if "loss" in whole:
        losses = whole["loss"]
        assert isinstance(losses, np.ndarray)
        loss = float(losses.sum() / max(1, encoded.num_targets.sum()))
    return Scores(whole, loss, batch_size)


def _ask(
    accelerator: Accelerator,
    model: nn.Module,
    encoded: Encoded,
    objective: Objective,
    rows: np.ndarray,
) -> Found:
    """Return what the model says of a batch, without waiting for it."""
    batch = {k: v.to(accelerator.device) for k, v in encoded.batch(rows).items()}
    labels = batch.pop("labels", None)
    reach("evaluate.batch")
    with accelerator.autocast(), only_first_token(extract_model_from_parallel(model)):
        return objective.answers(model, batch, labels)


@torch.inference_mode()
def rows_held(
    accelerator: Accelerator,
    model: nn.Module,
    encoded: Encoded,
    objective: Objective,
    batch_size: int,
) -> int:
    """Return how many rows a pass the memory holds, tried with the longest; see `score_rows`.

    At most `batch_size`. The model is left in evaluation mode.
    """
    model.eval()
    most = most_tokens(accelerator)
    rows = by_length(encoded.lengths)[:batch_size]
    rows = rows[: max(1, most // max(1, int(encoded.lengths[rows[0]])))]

    def forward(places: np.ndarray) -> None:
        _ask(accelerator, model, encoded, objective, rows[places])

    held = in_batches(encoded.lengths[rows], batch_size, forward, most)
    release_memory()
    return held


class _Answers:
    """Answers of batches, in the rows' own order; fetched once so many bytes have come together.

    Args:
        num_rows: of all batches.
    """

    def __init__(self, num_rows: int) -> None:
        self._num_rows = num_rows
        self._on_device: list[tuple[np.ndarray, Found]] = []
        self._num_bytes = 0
        self.arrays: dict[str, np.ndarray] = {}
        self.lists: dict[str, list[np.ndarray]] = {}

    def add(self, rows: np.ndarray, found: Found) -> None:
        """Take what was found of `rows`."""
        self._on_device.append((rows, found))
        self._num_bytes += device_bytes(found)
        if self._num_bytes > _FETCH_BYTES:
            self._fetch()

    def _fetch(self) -> None:
        for rows, found in self._on_device:
            for name, values in fetch(found).items():
                if isinstance(values, list):
                    kept = self.lists.setdefault(name, [np.zeros(0)] * self._num_rows)
                    for row, value in zip(rows, values, strict=True):
                        kept[row] = value
                else:
                    shape = (self._num_rows, *values.shape[1:])
                    self.arrays.setdefault(name, np.empty(shape, values.dtype))[rows] = values
        self._on_device, self._num_bytes = [], 0

    def whole(self) -> dict[str, np.ndarray | Ragged]:
        """Return all answers."""
        self._fetch()
        ragged = {name: Ragged.of(rows, rows[0].dtype.str) for name, rows in self.lists.items()}
        return {**self.arrays, **ragged}


def most_tokens(accelerator: Accelerator) -> int:
    """Return how many tokens a pass may take: on a CPU, what its caches hold."""
    return _CPU_TOKENS if accelerator.device.type == "cpu" else _ACCELERATOR_TOKENS


def in_batches(
    lengths: np.ndarray,
    batch_size: int,
    forward: Callable[[np.ndarray], None],
    most_tokens: int = _ANY_TOKENS,
) -> int:
    """Call `forward` with all rows, longest first; a batch that memory does not hold is halved.

    No batch has more than `most_tokens` tokens, padding included, unless it is a single row.

    Returns:
        The rows of a batch in the end.

    Raises:
        MemoryFull: if one row at a time is too much.
    """
    order, start = by_length(lengths), 0
    while start < len(order):
        fitting = int(min(batch_size, max(1, most_tokens // max(1, lengths[order[start]]))))
        rows = order[start : start + fitting]
        try:
            forward(rows)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(rows) == 1:
                raise MemoryFull("evaluating") from error
        else:
            start += len(rows)
            continue
        # Not in the except block: the error holds the tensors of the batch that was too large.
        batch_size = len(rows) // 2
        release_memory()
    return batch_size
