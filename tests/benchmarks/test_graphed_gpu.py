"""Milliseconds a step on a GPU, BERT-base shape, eager beside graphed, written as JSON.

Not run on this release: no GPU was at hand. With one:
`python -m pytest tests/benchmarks/test_graphed_gpu.py -m "gpu and benchmark" -s`, which writes
graphed-<device>.json into NBTRANSFER_BENCHMARKS (by default the working folder).
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from nbtransfer.data.encode import EncodedTexts
from nbtransfer.engine.batching import StepRows
from nbtransfer.engine.graphed import GraphedStep
from nbtransfer.engine.objectives import objective_of
from nbtransfer.engine.optim import make_optimizer, set_learning_rate
from nbtransfer.engine.recording import Recorder
from nbtransfer.engine.step import EagerStep
from nbtransfer.models.buckets import choose_bucket
from nbtransfer.spec import RunSpec
from tests.engine.packed_jobs import accelerator_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.benchmark,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

# Name, mean and longest row in tokens, rows a step.
COLUMNS = [
    ("short, batch 16", 25, 128, 16),
    ("short, batch 64", 25, 128, 64),
    ("long, batch 16", 255, 512, 16),
    ("long, batch 64", 255, 512, 64),
]
WARM, TIMED = 20, 200
RUNS = (300, 3000)  # steps of a whole run, captures and compiling counted


def rows_of(mean: int, longest: int) -> EncodedTexts:
    draw = np.random.default_rng(0)
    lengths = draw.lognormal(np.log(mean) - 0.18, 0.6, 20_000).clip(3, longest).astype(np.int64)
    offsets = np.concatenate([[0], lengths.cumsum()])
    tokens = draw.integers(1000, 30_000, offsets[-1]).astype(np.int32)
    return EncodedTexts(
        tokens=tokens,
        offsets=offsets,
        pad_token_id=0,
        pad_multiple=8,
        targets=draw.integers(0, 2, len(lengths)),
    )


class Contender:
    """A BERT-base of random weights and one way of training it."""

    def __init__(self, kind: str, encoded: EncodedTexts, batch: int) -> None:
        from transformers import AutoModelForSequenceClassification, BertConfig

        torch.manual_seed(0)
        accelerator = accelerator_of("cuda")
        model = AutoModelForSequenceClassification.from_config(BertConfig(num_labels=2))
        model = model.to(accelerator.device).train()
        spec = RunSpec(model="m", data="d", per_device_train_batch_size=batch)
        self.optimizer = make_optimizer(model, spec)
        lengths = encoded.lengths
        order = lengths if kind == "eager" else np.zeros_like(lengths)
        self.rows = StepRows(order, batch, seed=1)
        common = {
            "accelerator": accelerator,
            "optimizer": self.optimizer,
            "encoded": encoded,
            "objective": objective_of("classes"),
            "micro_batch_size": batch,
            "max_grad_norm": 1.0,
            "seed": 1,
        }
        if kind == "eager":
            model = accelerator.prepare(model)
            self.take = EagerStep(model=model, **common)
        else:
            self.take = GraphedStep(
                model=model,
                step_rows=self.rows,
                rows_per_step=batch,
                recorder=Recorder(),
                compiles=kind == "graphed and compiled",
                **common,
            )
        self.step = 0

    def run(self, num_steps: int) -> float:
        """Take steps and return seconds, from an idle device to an idle device."""
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(num_steps):
            set_learning_rate(self.optimizer, 2e-5)
            self.take(self.rows(self.step), self.step)
            self.step += 1
        torch.cuda.synchronize()
        return time.perf_counter() - start


@pytest.mark.parametrize(("name", "mean", "longest", "batch"), COLUMNS, ids=[c[0] for c in COLUMNS])
def test_milliseconds_a_step(name, mean, longest, batch):
    encoded = rows_of(mean, longest)
    found: dict[str, dict[str, float]] = {}
    for kind in ("eager", "graphed", "graphed and compiled"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        contender = Contender(kind, encoded, batch)
        first_s = contender.run(1)
        warm_s = contender.run(WARM * 5)
        step_s = min(contender.run(TIMED) for _ in range(3)) / TIMED
        start_s = first_s + warm_s - WARM * 5 * step_s
        found[kind] = {
            "ms_per_step": 1e3 * step_s,
            "first_step_s": first_s,
            "start_s": start_s,
            **{f"run_of_{n}_s": start_s + n * step_s for n in RUNS},
            "peak_bytes": torch.cuda.max_memory_reserved(),
        }
        if kind != "eager":
            take = contender.take
            totals = [int(encoded.lengths[contender.rows(s)].sum()) for s in range(1000)]
            filled = sum(choose_bucket(take.buckets, n).total for n in totals)
            found[kind] |= {"num_graphs": take.num_graphs, "filler_share": filled / sum(totals) - 1}
        del contender
    device = torch.cuda.get_device_name()
    folder = Path(os.environ.get("NBTRANSFER_BENCHMARKS", "."))
    path = folder / f"graphed-{device.replace(' ', '-')}.json"
    table = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**table, name: found}, indent=1))
    print(device, name, json.dumps(found, indent=1))
    # Absolute times are for the note; what must hold is that the graphs are worth having.
    assert found["graphed"]["ms_per_step"] < found["eager"]["ms_per_step"]
    assert found["graphed"]["start_s"] < 3.0
