"""GraphedStep on a CPU: as it is without recordings, and with recordings played by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nbtransfer.engine import graphed, step
from nbtransfer.engine.memory import MemoryFull
from tests.engine.packed_jobs import Played, Side, encoded_rows
from tests.models.families import DECODERS, ENCODERS

pytestmark = pytest.mark.usefixtures("one_thread")


def close(ours, theirs, share: float = 1e-5) -> bool:
    return np.allclose(ours, theirs, rtol=share, atol=share)


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_losses_are_those_of_padded_steps(family):
    eager, packed = Side("eager", family=family), Side("graphed", family=family)
    assert close(packed.run(4), eager.run(4))
    assert close(packed.weights(), eager.weights(), 3e-5)


@pytest.mark.parametrize(
    ("family", "objective"),
    [
        ("bert", "score"),
        ("roberta", "several classes"),
        ("distilbert", "tokens"),
        ("gpt2", "next tokens"),
        ("llama", "next tokens"),
        ("bert", "hidden tokens"),
        ("modernbert", "hidden tokens"),
        ("electra", "spans"),
        ("llama", "spans"),
    ],
)
@pytest.mark.parametrize("micro", [8, 3])
def test_every_kind_of_answer_gives_the_losses_of_padded_steps(family, objective, micro):
    options = {"family": family, "objective": objective, "micro": micro}
    recorder = Played()
    packed = Side("graphed", recorder=recorder, **options).run(5)
    assert close(packed, Side("eager", **options).run(5))
    assert recorder.replayed > 3


@pytest.mark.parametrize(
    "options",
    [
        {"micro": 3},
        {"weights": [0.5, 1.0, 4.0]},
        {"micro": 4, "weights": [0.5, 1.0, 4.0]},
        {"frozen": True},
        {"adapters": True},
        {"adapters": True, "micro": 3},
        {"batch": 64},
        {"batch": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("recorder", [lambda: None, Played], ids=["plain", "played"])
def test_options_give_the_losses_of_padded_steps(options, recorder):
    eager = Side("eager", **options)
    packed = Side("graphed", recorder=recorder(), **options)
    assert close(packed.run(7), eager.run(7))  # the first step of all is a smaller one
    assert close(packed.weights(), eager.weights(), 3e-5)


@pytest.mark.parametrize(
    ("family", "objective"),
    [*((family, "classes") for family in (*ENCODERS, *DECODERS)), ("gpt2", "next tokens")],
)
def test_adapters_learn_what_they_learn_in_padded_steps(family, objective):
    options = {"family": family, "objective": objective, "adapters": True}
    eager, packed = Side("eager", **options), Side("graphed", recorder=Played(), **options)
    before = packed.weights()
    assert close(packed.run(3), eager.run(3))
    assert close(packed.weights(), eager.weights(), 3e-5)
    assert not torch.equal(packed.weights(), before)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_bf16_steps_are_near_those_of_padded_ones(family):
    # Without oneDNN, whose bf16 products die on processors that name AMX but do not let it run.
    with torch.backends.mkldnn.flags(enabled=False):
        packed = Side("graphed", family=family, precision="bf16").run(4)
        eager = Side("eager", family=family, precision="bf16").run(4)
    assert np.allclose(packed, eager, rtol=0.03, atol=0.03)
    assert not np.allclose(packed, Side("graphed", family=family).run(4), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "options", [{}, {"micro": 3}, {"adapters": True}, {"adapters": True, "micro": 3}], ids=str
)
def test_recordings_change_nothing(options):
    plain = Side("graphed", dropout=0.1, **options)
    recorder = Played()
    played = Side("graphed", dropout=0.1, recorder=recorder, **options)
    assert played.run(9) == plain.run(9)
    assert torch.equal(played.weights(), plain.weights())
    assert recorder.replayed > recorder.recorded > 1
    assert recorder.recorded == played.take.num_graphs


def test_the_largest_bucket_is_recorded_first_and_each_but_once():
    recorder = Played()
    played = Side("graphed", recorder=recorder)
    played.run(3)
    keys = list(played.take._graphs)
    assert keys[0] == played.take.buckets[-1]
    played.run(12, start=3)
    assert recorder.recorded <= len(played.take.buckets)


def test_gradients_that_recordings_share_stay_in_place():
    played = Side("graphed", micro=3, recorder=Played())
    played.run(1)
    places = [p.grad.data_ptr() for p in played.model.parameters() if p.grad is not None]
    assert len(places) > 10
    played.run(10, start=1)
    assert places == [p.grad.data_ptr() for p in played.model.parameters() if p.grad is not None]


def test_a_warm_up_changes_neither_weights_nor_moments_nor_later_dropout():
    side = Side("graphed", dropout=0.3, recorder=Played())
    side.run(1)
    before = side.weights()
    moments = side.moments()
    inputs, _ = side.take._pack(side.step_rows(1), 1)
    updates = []
    side.optimizer.register_step_post_hook(lambda *_: updates.append(1))
    side.take._warm_up({**inputs, "weight": torch.tensor(8.0)})
    assert updates == [1]  # it was a whole step
    assert torch.equal(side.weights(), before)
    assert all(torch.equal(a, b) for a, b in zip(moments, side.moments(), strict=True))
    assert all(p.grad is None for p in side.model.parameters())
    plain = Side("graphed", dropout=0.3)
    plain.run(1)
    assert side.run(3, start=1) == plain.run(3, start=1)


def test_dropout_is_the_same_at_every_life_and_another_at_every_step():
    whole = Side("graphed", dropout=0.3)
    losses = whole.run(6)
    again = Side("graphed", dropout=0.3)
    first = again.run(3)
    torch.manual_seed(99)  # whatever came between
    assert first + again.run(3, start=3) == losses
    frozen_rate = Side("graphed", dropout=0.3)
    rows = frozen_rate.step_rows(0)
    assert float(frozen_rate.take(rows, 0).loss) != float(frozen_rate.take(rows, 1).loss)


def test_weights_and_moments_go_on_from_a_checkpoint(tmp_path):
    from nbtransfer.engine.checkpoints import Snapshot, load_checkpoint, save_checkpoint

    whole = Side("graphed", recorder=Played())
    losses = whole.run(6)
    first = Side("graphed", recorder=Played())
    first.run(3)
    save_checkpoint(tmp_path / "step-000003", Snapshot.take(first.model, first.optimizer, {}))
    for kind in ("graphed", "eager"):
        second = Side(kind, prepares=False)
        load_checkpoint(tmp_path / "step-000003", second.model, second.optimizer)
        second.prepare()
        assert close(second.run(3, start=3), losses[3:])


@pytest.mark.parametrize("where", ["step.forward", "step.backward", "step.optimizer"])
def test_out_of_memory_halves_the_micro_batch_and_takes_the_same_step(where, monkeypatch):
    count = 0

    def reach(name: str) -> None:
        nonlocal count
        count += name == where
        if name == where and count == 3:
            raise torch.OutOfMemoryError

    calm = Side("graphed", recorder=Played()).run(6)
    side = Side("graphed", recorder=Played())
    monkeypatch.setattr(graphed, "reach", reach)
    assert close(side.run(6), calm)
    assert side.take.micro_batch_size == 4
    assert all(b.total <= 4 * 30 + 64 for b in side.take.buckets)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Dropout draws torch's own numbers, which a layer that is computed twice can draw again."""
    monkeypatch.setattr(step, "cheapen_dropout", lambda model: None)


@pytest.mark.parametrize("recorder", [lambda: None, Played], ids=["plain", "played"])
def test_one_row_that_memory_does_not_hold_is_learnt_from_eagerly_in_the_same_step(
    recorder, as_on_a_gpu, monkeypatch
):
    def reach(name: str) -> None:
        raise torch.OutOfMemoryError

    calm = Side("eager").run(6)
    side = Side("graphed", recorder=recorder())
    losses = side.run(2)
    monkeypatch.setattr(graphed, "reach", reach)  # for 8, 4, 2 and 1 rows
    losses += side.run(4, start=2)
    assert close(losses, calm)
    assert (side.take.micro_batch_size, side.take.recomputes) == (1, True)
    assert side.take.num_graphs == 0
    assert side.model.is_gradient_checkpointing


def test_one_row_that_not_even_eager_steps_hold_ends_the_run(as_on_a_gpu, monkeypatch):
    def reach(name: str) -> None:
        raise torch.OutOfMemoryError

    side = Side("graphed")
    monkeypatch.setattr(graphed, "reach", reach)
    monkeypatch.setattr(step, "reach", reach)
    with pytest.raises(MemoryFull, match="training step 1"):
        side.run(1)
    assert side.take.recomputes


def test_other_errors_are_not_met_with_smaller_batches(monkeypatch):
    def reach(name: str) -> None:
        raise RuntimeError("device-side assert triggered")

    side = Side("graphed")
    monkeypatch.setattr(graphed, "reach", reach)
    with pytest.raises(RuntimeError, match="device-side"):
        side.run(1)
    assert side.take.micro_batch_size == 8


def test_a_results_figures_are_its_own():
    side = Side("graphed", recorder=Played())
    first = side.take(side.step_rows(0), 0)
    kept = float(first.loss), float(first.grad_norm)
    side.run(2, start=1)
    assert (float(first.loss), float(first.grad_norm)) == kept


def test_the_rate_is_a_tensor_that_stays_in_place():
    side = Side("graphed")
    rates = [group["lr"] for group in side.optimizer.param_groups]
    side.run(2)
    assert all(g["lr"] is r for g, r in zip(side.optimizer.param_groups, rates, strict=True))
    assert [float(r) for r in rates] == pytest.approx([5e-4, 5e-4])


def test_rows_of_padding_lengths_are_as_the_data_says():
    assert encoded_rows().lengths.min() == 1 and encoded_rows().lengths.max() == 30
