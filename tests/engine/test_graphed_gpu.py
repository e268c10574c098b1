"""What only a CUDA device can show of graphed steps. Not run on this release: no GPU was at hand.

With one: `python -m pytest tests/engine/test_graphed_gpu.py -m gpu`. What it would change stands in
nbtransfer/engine/README.md.
"""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nbtransfer.engine.checkpoints import Snapshot, load_checkpoint, save_checkpoint
from nbtransfer.engine.graphed import GraphedStep
from nbtransfer.engine.memory import forget_job
from nbtransfer.engine.optim import make_moments
from nbtransfer.engine.precision import set_determinism
from nbtransfer.engine.recording import Recorder
from nbtransfer.engine.step import EagerStep
from nbtransfer.engine.stepping import packing_gap
from nbtransfer.runs.control import change_control
from tests.engine.jobs import make_run, work
from tests.engine.packed_jobs import HEADS, Side, encoded_rows
from tests.models.families import DECODERS, ENCODERS, ROWS, TOKENS, tiny_model

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as every worker is started
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
# bf16 keeps 8 bits: on an H100 packed and padded logits of BERT-base differed by 0.45 %.
BF16 = 0.03
BASE = {
    "vocab_size": 30_522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
EVERY_FAMILY = pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])


@pytest.fixture(autouse=True)
def nothing_left():
    """What one test holds of the device is no matter of the next."""
    yield
    set_determinism(False)
    torch.cuda.set_per_process_memory_fraction(1.0)
    forget_job()


def gpu_side(kind: str, **options) -> Side:
    recorder = {"recorder": Recorder()} if kind == "graphed" else {}
    return Side(kind, device="cuda", **{**recorder, **options})


def near(ours, theirs, share: float = BF16) -> bool:
    return np.allclose(ours, theirs, rtol=share, atol=share)


@EVERY_FAMILY
@pytest.mark.parametrize("head", [ROWS, TOKENS])
def test_flash_attention_gives_the_logits_of_padded(family, head):
    side = gpu_side("eager", family=family)
    model = tiny_model(family, head).cuda()
    assert packing_gap(side.accelerator, model, encoded_rows()) < BF16


@EVERY_FAMILY
@pytest.mark.parametrize("options", [{}, {"micro": 3}, {"adapters": True}], ids=str)
def test_captured_losses_are_those_of_padded_steps(family, options):
    eager = gpu_side("eager", family=family, **options)
    graphed = gpu_side("graphed", family=family, **options)
    assert near(graphed.run(20), eager.run(20))
    assert graphed.take.num_graphs > 1


@pytest.mark.parametrize("options", [{}, {"micro": 3}, {"adapters": True}], ids=str)
def test_replay_is_what_the_same_code_does_without_recording(options):
    plain = gpu_side("graphed", recorder=None, **options)
    graphed = gpu_side("graphed", **options)
    assert near(graphed.run(20), plain.run(20), 1e-3)


@pytest.mark.parametrize(
    "options",
    [{"weights": [0.5, 1.0, 4.0]}, {"frozen": True}, {"adapters": True, "micro": 3}],
    ids=str,
)
def test_options_hold_under_capture(options):
    eager, graphed = gpu_side("eager", **options), gpu_side("graphed", **options)
    assert near(graphed.run(20), eager.run(20))


@pytest.mark.parametrize(
    ("family", "objective"),
    [(("gpt2" if kind == "next tokens" else "bert"), kind) for kind in HEADS]
    + [("modernbert", "hidden tokens"), ("llama", "spans")],
)
def test_every_kind_of_answer_holds_under_capture(family, objective):
    options = {"family": family, "objective": objective}
    eager, graphed = gpu_side("eager", **options), gpu_side("graphed", **options)
    assert near(graphed.run(12), eager.run(12))


def test_compiled_layers_learn_what_the_others_do():
    pytest.importorskip("triton")
    plain, compiled = gpu_side("graphed"), gpu_side("graphed", compiles=True)
    assert near(compiled.run(20), plain.run(20))
    assert compiled.take.num_graphs == plain.take.num_graphs


def test_dropout_is_another_at_each_replay_and_the_same_at_each_life():
    rows = gpu_side("graphed").step_rows(3)
    lives = [gpu_side("graphed", dropout=0.3) for _ in range(2)]
    first, second = ([float(life.take(rows, s).loss) for s in (3, 4, 3)] for life in lives)
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
    work_ = side.take._learn_and_update
    key = bucket._replace(num_fillers=bucket.num_fillers + 1)  # one that was not recorded yet
    side.take._record(work_, {**inputs, "weight": torch.tensor(8.0)}, key)
    torch.cuda.synchronize()
    assert torch.equal(side.weights(), before)
    assert all(torch.equal(a, b) for a, b in zip(moments, side.moments(), strict=True))


def test_weights_and_moments_go_on_from_a_checkpoint(tmp_path):
    whole = gpu_side("graphed").run(12)
    first = gpu_side("graphed")
    first.run(6)
    save_checkpoint(tmp_path / "step-000006", Snapshot.take(first.model, first.optimizer, {}))
    second = gpu_side("graphed", prepares=False)
    load_checkpoint(tmp_path / "step-000006", second.model, second.optimizer)
    second.prepare()
    assert near(second.run(6, start=6), whole[6:], 1e-3)


def test_recording_every_bucket_of_a_base_model_takes_less_than_three_seconds():
    side = gpu_side("graphed", shape=BASE, batch=16, encoded=encoded_rows(num_rows=2000))
    record, seconds = side.take._record, []

    def timed(*arguments):
        torch.cuda.synchronize()
        start = time.perf_counter()
        graph = record(*arguments)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        return graph

    side.take._record = timed
    while side.take.num_graphs < len(side.take.buckets) and len(seconds) < 200:
        side.run(10, start=10 * len(seconds))
    print(f"{len(seconds)} graphs: {sum(seconds):.2f} s, {[round(s, 2) for s in seconds]}")
    assert len(seconds) > 2
    assert sum(seconds) < 3.0


def test_replays_hold_no_more_memory_and_all_of_it_comes_back():
    forget_job()
    allocated, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    side = gpu_side("graphed", shape=BASE)
    side.run(60)
    graphs, held = side.take.num_graphs, torch.cuda.memory_allocated()
    side.run(30, start=60)
    if side.take.num_graphs == graphs:
        assert torch.cuda.memory_allocated() <= held + 2**20
    del side
    forget_job()
    assert torch.cuda.memory_allocated() <= allocated
    assert torch.cuda.memory_reserved() <= reserved + 2**21  # the least that is reserved at a time


def big_side(kind: str, micro: int = 256) -> Side:
    encoded = encoded_rows(num_rows=1024)
    return gpu_side(kind, shape=BASE, batch=256, micro=micro, encoded=encoded)


def tight_limit() -> float:
    """Return the share of the device that holds a step of 128 rows and not one of 256."""
    torch.cuda.reset_peak_memory_stats()
    side = big_side("graphed")
    make_moments(side.optimizer)
    fixed = torch.cuda.memory_allocated()
    side.run(1)
    needed = torch.cuda.max_memory_reserved()
    del side
    forget_job()
    total = torch.cuda.get_device_properties(0).total_memory
    return (fixed + 0.75 * (needed - fixed)) / total


def expect_smaller_steps(side: Side) -> None:
    losses = side.run(4)
    assert side.take.micro_batch_size == 128
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert near(losses, big_side("eager", micro=128).run(4))


def test_memory_that_runs_out_in_a_warm_up_halves_the_micro_batch():
    limit = tight_limit()
    side = big_side("graphed")
    torch.cuda.set_per_process_memory_fraction(limit)
    expect_smaller_steps(side)


def test_memory_that_runs_out_while_recording_halves_the_micro_batch():
    limit = tight_limit()
    side = big_side("graphed")
    recorder, tried = side.take._recorder, []
    record = recorder.record

    def tightly(work_):
        tried.append(work_)
        torch.cuda.set_per_process_memory_fraction(limit if len(tried) == 1 else 1.0)
        return record(work_)

    recorder.record = tightly
    expect_smaller_steps(side)
    assert len(tried) > 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"micro": 3},
        {"dropout": 0.1},
        {"adapters": True},
        {"family": "modernbert"},
        {"family": "llama"},
        {"family": "electra", "objective": "spans"},
        {"family": "distilbert", "objective": "tokens"},
        {"family": "bert", "objective": "hidden tokens"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["graphed", "eager"])
def test_a_deterministic_run_has_the_same_bits_each_time(kind, options):
    set_determinism(True)
    first, second = gpu_side(kind, **options), gpu_side(kind, **options)
    assert first.run(20) == second.run(20)
    assert torch.equal(first.weights(), second.weights())


def gpu_run(folder, **options):
    """Write a run of an encoder small enough to wait for, with bf16 on this device."""
    asked = {"use_cpu": False, "precision": "bf16", "num_train_epochs": 3, **options}
    return make_run(folder, model="demo:minilm", **asked)


@pytest.mark.parametrize("kind", ["graphed", "eager"])
def test_a_deterministic_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path, kind, monkeypatch):
    clean = gpu_run(tmp_path / "clean", deterministic=True, step=kind)
    assert work(str(clean.dir)), clean.log()
    assert clean.state().step_kind == kind
    run = gpu_run(tmp_path / "stopped", deterministic=True, step=kind)
    way = {"graphed": GraphedStep, "eager": EagerStep}[kind]
    take = way.__call__

    def taken(self, rows, step):
        if step == 7:
            change_control(run.paths.control, stop="interrupt")
        return take(self, rows, step)

    with monkeypatch.context() as patch:
        patch.setattr(way, "__call__", taken)
        assert work(str(run.dir)), run.log()
    assert run.status == "stopped"
    change_control(run.paths.control, stop=None)
    assert work(str(run.dir)), run.log()
    ours, theirs = (load_file(r.paths.model_dir / "model.safetensors") for r in (run, clean))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    losses = [[row.loss for row in r.state().steps] for r in (run, clean)]
    assert losses[0] == losses[1]


def test_two_jobs_in_one_worker_leave_the_device_as_it_was(tmp_path):
    forget_job()
    before = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    for number, options in enumerate(({}, {"technique": "lora", "lora_dropout": 0.1})):
        run = gpu_run(tmp_path / str(number), step="graphed", **options)
        assert work(str(run.dir)), run.log()
        assert run.state().step_kind == "graphed"
        assert run.state().verified
        forget_job()
        assert torch.cuda.memory_allocated() <= before[0]
        assert torch.cuda.memory_reserved() <= before[1] + 2**21
