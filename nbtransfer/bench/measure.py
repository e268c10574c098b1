"""What a benchmark measures: training, evaluation, frozen techniques, start, memory, accuracy."""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nbtransfer.bench.contestants import (
    BEST,
    DYNAMIC,
    OURS,
    TRAINERS,
    Match,
    make_trainer,
    make_training,
    train_with_nbtransfer,
    train_with_trainer,
)
from nbtransfer.bench.turns import take_turns
from nbtransfer.engine.evaluate import score_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbtransfer.bench.turns import Turn

Figures = dict[str, float]
_ROUNDS = 7


def training(match: Match) -> dict[str, Figures]:
    """Train in all settings, a step each in turn; return examples a second."""
    seconds = take_turns({name: _contestant(match, name) for name in (*TRAINERS, OURS)})
    num = len(match.train) * match.epochs
    return {
        name: {"examples_per_s": num / sum(taken), "median_step_s": statistics.median(taken)}
        for name, taken in seconds.items()
    }


def frozen(match: Match) -> dict[str, Figures]:
    """Train with frozen layers; return the seconds of an epoch from the second on."""
    seconds = take_turns({name: _contestant(match, name) for name in (BEST, OURS)})
    a_epoch = -(-len(match.train) // match.batch_size)
    return {
        name: {
            "first_epoch_s": sum(taken[:a_epoch]),
            "later_epoch_s": sum(taken[a_epoch:]) / (match.epochs - 1),
        }
        for name, taken in seconds.items()
    }


def evaluation(match: Match) -> dict[str, Figures]:
    """Evaluate the same rows with Trainer's defaults, its best settings, and ours."""
    default, best = make_trainer(match, DYNAMIC), make_trainer(match, BEST)
    best.args.per_device_eval_batch_size = 64
    ours = make_training(match)
    validation = ours.loaded.validation
    assert validation is not None

    def evaluate_ours() -> object:
        size = ours.spec.per_device_eval_batch_size
        return score_rows(ours.accelerator, ours.learner, validation.encoded, ours.objective, size)

    calls = {
        "Trainer, batch 8 (its default)": default.evaluate,
        "Trainer, batch 64, length grouping": best.evaluate,
        OURS: evaluate_ours,
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - start)
    return {
        name: {"examples_per_s": len(match.test) / statistics.median(seconds)}
        for name, seconds in taken.items()
    }


def accuracy(match: Match, num_seeds: int) -> dict[str, Figures]:
    """Train with several seeds; return mean and spread of the accuracy on the test rows."""
    found: dict[str, list[float]] = {BEST: [], OURS: []}
    for seed in range(match.seed, match.seed + num_seeds):
        seeded = dataclasses.replace(match, seed=seed)
        ended: dict[str, Any] = {}

        def keep(
            name: str, match: Match = seeded, ended: dict[str, Any] = ended
        ) -> Callable[[Turn], None]:
            def train(turn: Turn) -> None:
                if name == OURS:
                    ended[name] = train_with_nbtransfer(match, turn)
                else:
                    ended[name] = train_with_trainer(match, name, turn)

            return train

        take_turns({name: keep(name) for name in found})
        ours = ended[OURS]
        rows = ours.loaded.validation.encoded
        for name, model in ((OURS, ours.learner), (BEST, ended[BEST])):
            scores = score_rows(ours.accelerator, model, rows, ours.objective, 64)
            found[name].append(float((scores.answers["logits"].argmax(1) == rows.targets).mean()))
    return {
        name: {"accuracy": statistics.mean(values), "spread": max(values) - min(values)}
        for name, values in found.items()
    }


def start_and_memory(match: Match) -> dict[str, Figures]:
    """Train eight steps in a process of its own each; return time to the first, and peak memory."""
    found = {}
    for name in (*TRAINERS, OURS):
        asked = {**dataclasses.asdict(match), "folder": str(match.folder)}
        command = [sys.executable, "-m", "nbtransfer.bench.alone", name]
        done = subprocess.run(
            command, input=json.dumps(asked), capture_output=True, text=True, check=True
        )
        found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


def alone(match: Match, name: str, started: float) -> Figures:
    """Train by oneself in this process, which was started at `started` (time.time)."""
    imported = time.time()
    base = _peak_bytes()
    first = 0.0

    class Watching:
        """The interface of Turn; there is nobody to wait for."""

        def begin(self) -> None:
            pass

        def end(self) -> None:
            nonlocal first
            first = first or time.time()

    _contestant(match, name)(Watching())  # type: ignore[arg-type]
    peak = _peak_bytes()
    return {
        "first_step_s": first - started,
        "first_step_after_imports_s": first - imported,
        "peak_bytes": peak,
        "peak_above_imports_bytes": peak - base,
    }


def _peak_bytes() -> int:
    """Return the most memory this process has held, where the system tells; otherwise 0."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    # ru_maxrss would do, but a new process inherits its parent's.
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _contestant(match: Match, name: str) -> Callable[[Turn], None]:
    def train(turn: Turn) -> None:
        if name == OURS:
            train_with_nbtransfer(match, turn)
        else:
            train_with_trainer(match, name, turn)

    return train


def warm_up(match: Match) -> None:
    """Spend once what the first pass of a process costs."""
    model = make_trainer(match, BEST).model
    ids = torch.full((match.batch_size, 32), 5)
    model(input_ids=ids).logits.sum().backward()
