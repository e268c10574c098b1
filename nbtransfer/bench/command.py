"""`nbtransfer bench`: measures what was asked for; prints a table, writes JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtransfer.bench import measure as by
from nbtransfer.bench.arguments import PARTS
from nbtransfer.bench.match import Match
from nbtransfer.bench.table import results_text
from nbtransfer.data.sources import load_tables
from nbtransfer.hardware import detect_hardware

if TYPE_CHECKING:
    import argparse

    Row = dict[str, str]


def run(options: argparse.Namespace) -> None:
    """Measure what was asked for, print the table and write the JSON."""
    with tempfile.TemporaryDirectory(prefix="nbtransfer-bench-") as folder:
        results = measure(options, Path(folder))
    print(results_text(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
        print(f"\nWritten: {options.json}")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the figures of every part asked for."""
    hardware = detect_hardware(folder)
    train, test = _rows(options.data, options.test_rows, options.seed)
    num_rows = min(len(train), options.steps * options.batch_size if options.steps else len(train))
    match = Match(
        model=options.model,
        train=train[: num_rows // options.batch_size * options.batch_size],
        test=test,
        batch_size=options.batch_size,
        epochs=1,
        learning_rate=1e-4,
        technique="full",
        seed=options.seed,
        folder=folder,
    )
    results: dict[str, Any] = {
        "model": options.model,
        "data": options.data,
        "batch_size": options.batch_size,
        "num_rows": len(match.train),
        "epochs": match.epochs,
        "machine": {
            "cpu": hardware.cpu_name,
            "num_threads": hardware.num_threads,
            "load": os.getloadavg()[0],
            "torch": version("torch"),
            "transformers": version("transformers"),
        },
    }
    longer = dataclasses.replace(match, learning_rate=1e-3, epochs=3)
    calls = {
        "training": lambda: by.training(match),
        "evaluation": lambda: by.evaluation(match),
        "head": lambda: by.frozen(dataclasses.replace(longer, technique="head")),
        "top:2": lambda: by.frozen(dataclasses.replace(longer, technique="top:2")),
        "start": lambda: by.start_and_memory(
            dataclasses.replace(match, train=match.train[: 8 * match.batch_size])
        ),
        "accuracy": lambda: by.accuracy(dataclasses.replace(match, epochs=3), options.seeds),
    }
    wanted = options.only or [part for part in PARTS if part != "accuracy" or options.seeds]
    for part in wanted:
        print(f"measuring {part} …", file=sys.stderr, flush=True)
        results[part] = calls[part]()
    return results


def _rows(data: str, num_test: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Return rows to train and to test on; without a test split, some are held out by chance."""
    splits = load_tables(data, name=data).splits
    rows = {name: table.select(["text", "label"]).to_pylist() for name, table in splits.items()}
    train = rows["train"]
    if "test" in rows:
        return train, rows["test"][:num_test]
    random.Random(seed).shuffle(train)
    num_test = min(num_test, len(train) // 4)
    return train[num_test:], train[:num_test]
