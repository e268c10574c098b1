"""Graphed steps beside padded ones and Trainer's, BERT-base shape, in short whole runs.

Not run on this release: no GPU was at hand. What to run with one, and what it would change, stands
in nbtransfer/engine/README.md.
"""

from __future__ import annotations

import pytest
import torch

from nbtransfer.bench.gpu import measure_column
from nbtransfer.bench.match import COLUMNS, GPU_CONTESTANTS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.benchmark,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
_STEPS = 300


@pytest.mark.parametrize("name", COLUMNS)
def test_graphed_steps_are_worth_having(name, tmp_path):
    trainer, eager, graphed = (GPU_CONTESTANTS[key] for key in ("bf16", "eager", "graphed"))
    found = measure_column(
        COLUMNS[name],
        names=(trainer, eager, graphed),
        runs=(_STEPS,),
        folder=tmp_path,
        model=tmp_path / "model",
        device="cuda",
    )
    print(name, found)
    assert "num_graphs" in found[graphed]
    for other in (trainer, eager):
        assert found[graphed]["ms_per_step"] < found[other]["ms_per_step"]
        run = f"run_of_{_STEPS}_s"
        assert found[graphed][run] < found[other][run]
