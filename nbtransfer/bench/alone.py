"""One contestant in a process of its own, taking its turns.

Called as `python -m nbtransfer.bench.alone JOB NAME MATCH`, the match being a file of JSON; see
`turns` for what it says on its standard output and hears on its standard input.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nbtransfer.bench.match import OURS, Match
from nbtransfer.bench.turns import Turn
from nbtransfer.runs.launch import waiting_threads


def main() -> None:
    """Do the job as asked, and say what came of it."""
    job, name, path = sys.argv[1:]
    # One GPU for each: Trainer would spread its batches over all there are.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[0]
    if name.startswith(OURS):  # as its worker is launched
        os.environ.update(waiting_threads(os.environ))
    says = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    turn = Turn(says, sys.stdin)
    from nbtransfer.bench.contestants import JOBS

    turn.over(JOBS[job](Match.read(Path(path)), name, turn))


if __name__ == "__main__":
    main()
