"""The benchmark of a GPU: a model of BERT-base's shape on short and on long texts, whole runs.

Each contestant has the device to itself and a process for each run: the first step, compiling and
recording are part of what a user waits for.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from nbtransfer.bench.match import Match
from nbtransfer.bench.measure import courses
from nbtransfer.bench.turns import ContestantFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nbtransfer.bench.match import Column

    Row = dict[str, str]
    Figures = dict[str, Any]

NUM_ROWS = 20_000
_SPREAD = 0.5  # of the logarithm of lengths, about that of sentences and of reviews
_NUM_SPECIAL = 5  # tokens that are no words


def measure_column(
    column: Column,
    *,
    names: Sequence[str],
    runs: Sequence[int],
    folder: Path,
    model: Path,
    device: str,
    shape: Mapping[str, int] | None = None,
    num_rows: int = NUM_ROWS,
) -> dict[str, Figures]:
    """Let each contestant train whole runs; return its figures.

    Args:
        column: what they train on.
        names: the contestants.
        runs: steps of each run.
        folder: for runs and Trainer's output.
        model: the model's folder; it is made where it is not there.
        device: `cuda`, or `cpu` to see that it works.
        shape: entries of the model's configuration; None takes BERT-base.
        num_rows: rows of the training data.

    Returns:
        For each contestant `ms_per_step` and `peak_bytes`, of the longest run, `first_step_s`, of
        the shortest, and `run_of_N_s`: seconds from the end of the imports to the end of a run of N
        steps. Where steps were graphed, `num_graphs`; of one that failed, `failed` says why.
    """
    shape = dict(shape or {})
    if not model.exists():
        command = [sys.executable, "-m", "nbtransfer.bench.random_model", str(model)]
        subprocess.run([*command, json.dumps(shape)], check=True, stderr=subprocess.DEVNULL)
    vocabulary = shape.get("vocab_size", 30_522)
    # Whole batches in every epoch: a smaller last one would be compiled for by itself.
    num_rows -= num_rows % column.batch_size
    rows = random_rows(column, num_rows, vocabulary)
    found: dict[str, Figures] = {}
    for name in names:
        for num_steps in sorted(runs):
            # Of its own: tokens and frozen layers are kept beside the runs, and found again.
            own = folder / f"{name}-{num_steps}".replace(" ", "-").replace(",", "")
            own.mkdir(exist_ok=True)
            match = Match(
                model=str(model),
                train=rows[: -column.batch_size],
                test=rows[-column.batch_size :],
                batch_size=column.batch_size,
                epochs=1,
                max_steps=num_steps,
                max_length=column.longest,
                learning_rate=2e-5,
                technique="full",
                seed=42,
                device=device,
                folder=own,
            )
            sys.stderr.write(f"  {name}, {num_steps} steps …\n")
            try:
                said: dict[str, Any] = courses("whole", match, (name,))[name].result
            except ContestantFailed as error:  # one that needs too much memory, or cannot compile
                found[name] = {"failed": str(error)}
                break
            figures = found.setdefault(name, {"first_step_s": said["first_step_s"]})
            figures[f"run_of_{num_steps}_s"] = said["run_s"]
            kept = ("ms_per_step", "peak_bytes", "num_graphs")
            figures |= {key: said[key] for key in kept if key in said}
    return found


def random_rows(column: Column, num_rows: int, vocabulary: int) -> list[Row]:
    """Return texts of random words, whose lengths are distributed log-normally, of two classes."""
    import numpy as np

    draw = np.random.default_rng(0)
    mean = np.log(column.mean) - _SPREAD**2 / 2
    lengths = draw.lognormal(mean, _SPREAD, num_rows).round().clip(3, column.longest)
    num_words = lengths.astype(int) - 2  # beside the tokens that begin and end a text
    words = draw.integers(_NUM_SPECIAL, vocabulary, num_words.sum())
    parts = np.split(words, num_words.cumsum()[:-1])
    return [
        {"text": " ".join(f"w{word}" for word in part), "label": "ab"[i % 2]}
        for i, part in enumerate(parts)
    ]
