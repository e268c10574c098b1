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
from nbtransfer.bench.gpu import NUM_ROWS, measure_column
from nbtransfer.bench.match import COLUMNS, GPU_CONTESTANTS, RUNS, Match
from nbtransfer.bench.table import columns_text, results_text
from nbtransfer.data.sources import load_tables
from nbtransfer.hardware import detect_hardware

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from nbtransfer.hardware import Hardware

    Row = dict[str, str]


def run(options: argparse.Namespace) -> None:
    """Measure what was asked for, print the table and write the JSON."""
    with tempfile.TemporaryDirectory(prefix="nbtransfer-bench-") as name:
        folder = Path(name)
        hardware = detect_hardware(folder)
        device = options.device or ("cuda" if hardware.device == "cuda" else "cpu")
        if device == "cuda":
            results = measure_gpu(options, folder, hardware)
            print(columns_text(results))
        else:
            results = measure(options, folder, hardware)
            print(results_text(results))
    _write(results, options.json)
    if options.json is not None:
        print(f"\nWritten: {options.json}")


def _write(results: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(results, indent=2) + "\n")


def measure_gpu(
    options: argparse.Namespace,
    folder: Path,
    hardware: Hardware,
    *,
    device: str = "cuda",
    shape: Mapping[str, int] | None = None,
    num_rows: int = NUM_ROWS,
) -> dict[str, Any]:
    """Return the figures of every column asked for; what is known is written after each.

    Args:
        options: what was asked for.
        folder: for the model and the runs.
        hardware: the machine.
        device: `cpu` tries the benchmark itself.
        shape: entries of the model's configuration; None takes BERT-base.
        num_rows: rows of the training data.
    """
    results: dict[str, Any] = {
        "model": "BERT-base, random weights",
        "machine": {**_machine(hardware), "gpu": hardware.name},
        "columns": {},
    }
    names = [GPU_CONTESTANTS[key] for key in options.contestant or GPU_CONTESTANTS]
    for key in _chosen(options.only, COLUMNS):
        print(f"measuring {key} …", file=sys.stderr, flush=True)
        own = folder / key
        own.mkdir()
        results["columns"][key] = measure_column(
            COLUMNS[key],
            names=names,
            runs=options.run or RUNS,
            folder=own,
            model=folder / "model",
            device=device,
            shape=shape,
            num_rows=num_rows,
        )
        _write(results, options.json)
    return results


def _chosen(only: list[str] | None, parts: Iterable[str]) -> list[str]:
    """Return the parts asked for, by default all; those of the other device are none."""
    chosen = [part for part in parts if not only or part in only]
    if not chosen:
        raise SystemExit(f"--only {' '.join(only or ())}: no part of this device's benchmark.")
    return chosen


def _machine(hardware: Hardware) -> dict[str, Any]:
    return {
        "cpu": hardware.cpu_name,
        "num_threads": hardware.num_threads,
        "load": os.getloadavg()[0],
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def measure(options: argparse.Namespace, folder: Path, hardware: Hardware) -> dict[str, Any]:
    """Return the figures of every part asked for."""
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
        "machine": _machine(hardware),
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
    parts = [part for part in PARTS if part != "accuracy" or options.seeds]
    for part in _chosen(options.only, parts):
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
