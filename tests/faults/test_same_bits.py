"""The same job gives the same bits, whatever ran before and wherever (promise R15)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbtransfer.runs.run import Run
from tests.engine.jobs import work
from tests.faults.comparing import rows, same_bits

pytestmark = pytest.mark.slow

_SCRIPT = """
import sys
from pathlib import Path
from tests.engine.jobs import make_run, work
run = make_run(
    Path(sys.argv[1]), model=sys.argv[2], num_rows=40, num_train_epochs=3, learning_rate=3e-3
)
assert work(str(run.dir)), run.log()
print(run.dir)
"""


def test_again_after_other_runs_in_the_same_process(tmp_path, make_job, clean):
    other = make_job(tmp_path / "other", technique="features", seed=3, num_train_epochs=1)
    failing = make_job(tmp_path / "failing")
    failing.paths.split("train").write_bytes(b"no parquet")
    again = make_job(tmp_path / "again")
    assert work(str(other.dir))
    assert not work(str(failing.dir))
    assert work(str(again.dir))
    assert same_bits(again, clean)
    assert rows(again) == rows(clean)


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_again_in_a_new_process_with_other_hashes(tmp_path, mini_model, clean, hash_seed):
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path), mini_model],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    run = Run(Path(done.stdout.splitlines()[-1]))
    assert same_bits(run, clean)
    assert rows(run) == rows(clean)
