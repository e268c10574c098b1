"""One contestant in a process of its own: how soon it takes its first step, and its memory.

Called as `python -m nbtransfer.bench.alone NAME` with the match as JSON on its standard input.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Train as asked and print the figures as the last line."""
    from nbtransfer.bench.contestants import Match

    record = json.load(sys.stdin)
    Match(**{**record, "folder": Path(record["folder"])})


if __name__ == "__main__":
    main()
