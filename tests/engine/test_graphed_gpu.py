"""What only a CUDA device can show of graphed steps. Not run on this release: no GPU was at hand.

`python -m pytest tests/engine/test_graphed_gpu.py -m gpu` on a machine with one.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from nbtransfer.engine.memory import release_memory
from nbtransfer.engine.recording import Recorder
from nbtransfer.engine.stepping import packing_gap
from tests.engine.packed_jobs import Side, encoded_rows
from tests.models.families import DECODERS, ENCODERS, ROWS, TOKENS, tiny_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
# bf16 keeps 8 bits: on an H100 packed and padded logits of BERT-base differed by 0.45 %.
BF16 = 0.03


def gpu_side(kind: str, **options) -> Side:
    recorder = {"recorder": Recorder()} if kind == "graphed" else {}
    return Side(kind, device="cuda", **{**recorder, **options})


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
@pytest.mark.parametrize("head", [ROWS, TOKENS])
def test_flash_attention_gives_the_logits_of_padded(family, head):
    side = gpu_side("eager", family=family)
    model = tiny_model(family, head).cuda()
    assert packing_gap(side.accelerator, model, encoded_rows()) < BF16


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
@pytest.mark.parametrize("micro", [8, 3])
def test_captured_losses_are_those_of_padded_steps(family, micro):
    eager = gpu_side("eager", family=family, micro=micro)
    graphed = gpu_side("graphed", family=family, micro=micro)
    assert np.allclose(graphed.run(20), eager.run(20), rtol=BF16, atol=BF16)
    assert graphed.take.num_graphs > 1


@pytest.mark.parametrize("micro", [8, 3])
def test_replay_is_what_the_same_code_does_without_recording(micro):
    plain = gpu_side("graphed", micro=micro, recorder=None)
    graphed = gpu_side("graphed", micro=micro)
    assert np.allclose(graphed.run(20), plain.run(20), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", [{"weights": [0.5, 1.0, 4.0]}, {"frozen": True}], ids=str)
def test_options_hold_under_capture(options):
    eager, graphed = gpu_side("eager", **options), gpu_side("graphed", **options)
    assert np.allclose(graphed.run(20), eager.run(20), rtol=BF16, atol=BF16)


def test_token_labels_and_next_tokens_hold_under_capture():
    for family, objective in (("bert", "tokens"), ("gpt2", "next tokens")):
        options = {"family": family, "objective": objective}
        eager, graphed = gpu_side("eager", **options), gpu_side("graphed", **options)
        assert np.allclose(graphed.run(12), eager.run(12), rtol=BF16, atol=BF16)


def test_dropout_is_another_at_each_replay_and_the_same_at_each_life():
    side = gpu_side("graphed", dropout=0.3)
    side.run(8)
    rows = side.step_rows(3)
    pieces = [gpu_side("graphed", dropout=0.3) for _ in range(2)]
    first, second = ([float(p.take(rows, s).loss) for s in (3, 4, 3)] for p in pieces)
    assert first == pytest.approx(second, rel=1e-5)
    fixed = gpu_side("graphed", dropout=0.3)
    fixed.take(rows, 0)
    fixed.set_rate(0.0)
    losses = [float(fixed.take(rows, step).loss) for step in (5, 6, 5)]
    assert losses[0] == pytest.approx(losses[2], rel=1e-5)
    assert losses[0] != pytest.approx(losses[1], rel=1e-5)


def test_the_rate_set_between_steps_reaches_the_next_replay():
    side = gpu_side("graphed")
    side.run(8)
    before = side.weights()
    side.set_rate(0.0)
    side.take(side.step_rows(9), 9)
    assert torch.equal(side.weights(), before)
    side.set_rate(1e-3)
    side.take(side.step_rows(10), 10)
    assert not torch.equal(side.weights(), before)


def test_recording_a_step_changes_no_weight_and_no_moment():
    side = gpu_side("graphed")
    side.run(1)
    before, moments = side.weights(), side.moments()
    inputs, bucket = side.take._pack(side.step_rows(2), 2)
    work = side.take._learn_and_update
    side.take._record(work, {**inputs, "weight": torch.tensor(8.0)}, bucket._replace(num_fillers=1))
    torch.cuda.synchronize()
    assert torch.equal(side.weights(), before)
    assert all(torch.equal(a, b) for a, b in zip(moments, side.moments(), strict=True))


def test_weights_and_moments_go_on_from_a_checkpoint(tmp_path):
    from nbtransfer.engine.checkpoints import Snapshot, load_checkpoint, save_checkpoint

    whole = gpu_side("graphed").run(12)
    first = gpu_side("graphed")
    first.run(6)
    save_checkpoint(tmp_path / "step-000006", Snapshot.take(first.model, first.optimizer, {}))
    second = gpu_side("graphed", prepares=False)
    load_checkpoint(tmp_path / "step-000006", second.model, second.optimizer)
    second.prepare()
    assert np.allclose(second.run(6, start=6), whole[6:], rtol=1e-3, atol=1e-3)


def test_capturing_all_buckets_takes_less_than_three_seconds_and_memory_comes_back():
    torch.cuda.synchronize()
    release_memory()
    baseline = torch.cuda.memory_reserved()
    side = gpu_side("graphed")
    side.run(2)
    start = time.perf_counter()
    side.run(30, start=2)
    torch.cuda.synchronize()
    assert time.perf_counter() - start < 3.0
    peak = torch.cuda.memory_reserved()
    side.run(30, start=32)
    assert torch.cuda.memory_reserved() == peak
    del side
    release_memory()
    assert torch.cuda.memory_reserved() <= baseline + 2**21


def test_out_of_memory_while_recording_halves_the_micro_batch():
    side = gpu_side("graphed")
    record, failures = side.take._recorder.record, [1]

    def fail_once(work):
        if failures:
            failures.pop()
            raise torch.OutOfMemoryError
        return record(work)

    side.take._recorder.record = fail_once
    eager = gpu_side("eager", micro=4)
    assert np.allclose(side.run(10), eager.run(10), rtol=BF16, atol=BF16)
    assert side.take.micro_batch_size == 4
