"""The parts of the benchmark: who takes turns with whom at what, and the figures of each part."""

from __future__ import annotations

import dataclasses
import statistics
import sys
from typing import TYPE_CHECKING

from nbtransfer.bench.match import BEST, DYNAMIC, EVALUATED, OURS, TRAINERS
from nbtransfer.bench.turns import take_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbtransfer.bench.match import Match
    from nbtransfer.bench.turns import Course

Figures = dict[str, float]


def training(match: Match) -> dict[str, Figures]:
    """Train in all settings, a step each in turn; return examples a second."""
    num = len(match.train) * match.epochs
    return {
        name: {
            "examples_per_s": num / sum(course.seconds),
            "median_step_s": statistics.median(course.seconds),
        }
        for name, course in courses("train", match, (*TRAINERS, OURS)).items()
    }


def frozen(match: Match) -> dict[str, Figures]:
    """Train with frozen layers; return the seconds of an epoch from the second on."""
    a_epoch = -(-len(match.train) // match.batch_size)
    return {
        name: {
            "first_epoch_s": sum(course.seconds[:a_epoch]),
            "later_epoch_s": sum(course.seconds[a_epoch:]) / (match.epochs - 1),
        }
        for name, course in courses("train", match, (BEST, OURS)).items()
    }


def evaluation(match: Match) -> dict[str, Figures]:
    """Evaluate the same rows with Trainer's defaults, its best settings, and ours."""
    found = courses("evaluate", match, (DYNAMIC, BEST, OURS))
    return {
        EVALUATED[name]: {"examples_per_s": len(match.test) / statistics.median(course.seconds)}
        for name, course in found.items()
    }


def accuracy(match: Match, num_seeds: int) -> dict[str, Figures]:
    """Train in all settings with several seeds; return mean and spread of the tested accuracy."""
    return {
        name: {"accuracy": statistics.mean(values), "spread": max(values) - min(values)}
        for name, values in accuracies(match, num_seeds, (*TRAINERS, OURS)).items()
    }


def accuracies(match: Match, num_seeds: int, names: Sequence[str]) -> dict[str, list[float]]:
    """Train with several seeds; return the tested accuracy of each."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(match.seed, match.seed + num_seeds):
        seeded = dataclasses.replace(match, seed=seed)
        for name, course in courses("score", seeded, names).items():
            found[name].append(course.result["accuracy"])
    return found


def start_and_memory(match: Match) -> dict[str, Figures]:
    """Train by itself, each in turn; return the time to the first step, and peak memory."""
    found: dict[str, Figures] = {}
    for name in (*TRAINERS, OURS):
        found[name] = courses("start", match, (name,))[name].result
    return found


def courses(job: str, match: Match, names: Sequence[str]) -> dict[str, Course]:
    """Let contestants do a job of `contestants.JOBS`, each in a process; return how it went."""
    path = match.write()
    command = [sys.executable, "-m", "nbtransfer.bench.alone", job]
    return take_turns({name: [*command, name, str(path)] for name in names})
