"""The options of `nbtransfer bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbtransfer.bench.match import COLUMNS, GPU_CONTESTANTS, RUNS

if TYPE_CHECKING:
    import argparse

# What is measured on a CPU; on a GPU it is `match.COLUMNS`.
PARTS = ("training", "evaluation", "head", "top:2", "start", "accuracy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the benchmark's options."""
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        default=None,
        help="what to measure; on a GPU a BERT-base of random weights on random texts, in whole "
        "runs (default: the GPU, where there is one)",
    )
    parser.add_argument("--model", default="demo:minilm", help="default: %(default)s")
    parser.add_argument("--data", default="demo:tweets", help="default: %(default)s")
    parser.add_argument(
        "--batch-size", type=int, default=16, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=None,
        metavar="N",
        help="steps an epoch: fewer rows, for a short run (default: all rows)",
    )
    parser.add_argument(
        "--test-rows",
        type=int,
        default=600,
        metavar="N",
        help="rows to evaluate on (default: %(default)s)",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=(*PARTS, *COLUMNS),
        metavar="PART",
        help=f"measure this part only; may be repeated. Parts on a CPU: {', '.join(PARTS)}; on a "
        f"GPU: {', '.join(COLUMNS)}",
    )
    parser.add_argument(
        "--contestant",
        action="append",
        choices=tuple(GPU_CONTESTANTS),
        metavar="NAME",
        help="GPU: let this contestant run only; may be repeated. "
        f"Contestants: {', '.join(GPU_CONTESTANTS)}",
    )
    parser.add_argument(
        "--run",
        action="append",
        type=int,
        metavar="STEPS",
        help="GPU: steps of a run; may be repeated "
        f"(default: {' and '.join(f'{n:,}' for n in RUNS)})",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=3,
        metavar="N",
        help="compare the accuracy over so many seeds; 0 leaves it out (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=42, help="default: %(default)s")
    parser.add_argument(
        "--json", type=Path, default=None, metavar="FILE", help="write all figures there"
    )
