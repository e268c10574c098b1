"""The benchmark's process: measures what was asked for and writes a table and JSON.

`nbtransfer bench` starts it, so that the command line itself stays free of torch.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from nbtransfer.bench.arguments import PARTS, add_arguments


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="nbtransfer bench", allow_abbrev=False)
    add_arguments(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nbtransfer-bench-") as folder:
        results = measure(options, Path(folder))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the figures of every part asked for."""
    import torch
    import transformers

    from nbtransfer.bench import measure as by
    from nbtransfer.bench.contestants import Match
    from nbtransfer.data.sources import load_tables
    from nbtransfer.hardware import detect_hardware

    hardware = detect_hardware(folder)
    tables = load_tables(options.data, name=options.data)
    train = tables.splits["train"].select(["text", "label"]).to_pylist()
    test = tables.splits.get("test", tables.splits["train"]).select(["text", "label"]).to_pylist()
    num_rows = min(len(train), options.steps * options.batch_size if options.steps else len(train))
    match = Match(
        model=options.model,
        train=train[: num_rows // options.batch_size * options.batch_size],
        test=test[: options.test_rows],
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
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    by.warm_up(match)
    longer = dataclasses.replace(match, learning_rate=1e-3, epochs=3)
    calls = {
        "training": lambda: by.training(match),
        "evaluation": lambda: by.evaluation(match),
        "head": lambda: by.frozen(dataclasses.replace(longer, technique="head")),
        "top:2": lambda: by.frozen(dataclasses.replace(longer, technique="top:2")),
        "start": lambda: by.start_and_memory(
            dataclasses.replace(match, train=match.train[: 8 * match.batch_size])
        ),
        "accuracy": lambda: by.accuracy(
            dataclasses.replace(match, epochs=3, train=train), options.seeds
        ),
    }
    wanted = options.only or [part for part in PARTS if part != "accuracy" or options.seeds]
    for part in wanted:
        results[part] = calls[part]()
    return results


if __name__ == "__main__":
    main()
