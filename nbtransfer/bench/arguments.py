"""The options of `nbtransfer bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

PARTS = ("training", "evaluation", "head", "top:2", "start", "accuracy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the benchmark's options."""
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
        choices=PARTS,
        metavar="PART",
        help=f"measure this part only; may be repeated. Parts: {', '.join(PARTS)}",
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
