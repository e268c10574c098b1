"""Eager steps on batches without padding learn what padded ones do."""

from __future__ import annotations

import dataclasses
import json
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nbtransfer.data.encode import EncodedFeatures, EncodedFrozen
from nbtransfer.data.encoding import IGNORED
from nbtransfer.engine import step, stepping
from nbtransfer.engine.objectives import objective_of
from nbtransfer.models import packed_attention, packing
from nbtransfer.models.packing import PackedModel
from tests.engine.jobs import make_run, write_mini_model
from tests.engine.packed_jobs import Side, accelerator_of, encoded_rows
from tests.engine.test_parity_tasks import tagged
from tests.engine.trainer_reference import train_ours
from tests.models.families import DECODERS, ENCODERS, LONGEST, NEXT, tiny_model

SETTINGS = {"num_beams": 1, "max_target_length": 8}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=[packed_attention._PIECE, 50], ids=["one piece", "many pieces"])
def pieces(request, monkeypatch):
    """How rows of at most thirty tokens attend: all side by side, or each among its like."""
    monkeypatch.setattr(packed_attention, "_PIECE", request.param)
    return request.param


def test_rows_attend_in_as_many_pieces_as_the_tests_below_ask_for(pieces):
    lengths = Side("packed").encoded.lengths[:8]
    assert (len(packed_attention.pieces_of(sorted(lengths.tolist()))) > 3) == (pieces == 50)


def assert_same_course(num_steps: int = 4, **options: object) -> None:
    padded, packed = Side("eager", **options), Side("packed", **options)
    before = packed.weights()
    assert np.allclose(packed.run(num_steps), padded.run(num_steps), rtol=1e-5, atol=1e-5)
    if options.get("objective") != "spans":  # a bias that no loss depends on follows rounding
        assert np.allclose(packed.weights(), padded.weights(), rtol=3e-5, atol=3e-5)
    assert not torch.equal(packed.weights(), before)


@pytest.mark.parametrize("objective", ["classes", "tokens", "spans"])
@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_losses_norms_and_weights_are_those_of_padded_steps(family, objective, pieces):
    assert_same_course(family=family, objective=objective)


@pytest.mark.parametrize(
    "options",
    [
        {"micro": 3},
        {"weights": [0.5, 1.0, 4.0], "micro": 3},
        {"frozen": True},
        {"adapters": True},
        {"adapters": True, "family": "gpt2"},
        {"objective": "several classes"},
        {"objective": "score", "family": "distilbert"},
        {"batch": 64},
        {"batch": 1},
    ],
    ids=str,
)
def test_options_give_the_course_of_padded_steps(options, pieces):
    assert_same_course(7, **options)  # the first step of all is a smaller one


@pytest.mark.parametrize(
    ("family", "cut"), [("bert", True), ("modernbert", False), ("gpt2", False)]
)
def test_the_last_block_answers_for_first_tokens_where_no_more_is_read(family, cut):
    side = Side("packed", family=family)
    rows = side.step_rows(1)
    num_tokens = int(side.encoded.lengths[rows].sum())
    widths = []
    blocks = next(m for m in side.model.modules() if isinstance(m, torch.nn.ModuleList))
    blocks[-1].register_forward_hook(lambda *a: widths.append(torch.as_tensor(a[-1]).shape[1]))
    side.take(rows, 0)
    assert widths == [len(rows) if cut else num_tokens]
    assert num_tokens > len(rows)


def test_dropout_is_drawn_anew_at_each_step_and_alike_at_each_life():
    course = Side("packed", dropout=0.3).run(3)
    assert Side("packed", dropout=0.3).run(3) == course
    assert not np.allclose(course, Side("packed").run(3), rtol=1e-3)
    first, again = Side("packed", dropout=0.3), Side("packed", dropout=0.3)
    rows = first.step_rows(1)
    assert float(first.take(rows, 0).loss) != float(again.take(rows, 1).loss)


def test_dropout_inside_attention_is_drawn_by_the_passes_own_words():
    losses = []
    for seed in (1, 1, 2):
        side = Side("packed")
        for layer in side.model.bert.encoder.layer:
            layer.attention.self.dropout.p = 0.5
        side.take._seed = seed
        losses.append(float(side.take(side.step_rows(1), 0).loss))
    assert losses[0] == losses[1] != losses[2]


def test_where_layers_are_computed_again_batches_are_padded():
    side, padded = Side("packed"), Side("eager")
    side.take._noise = padded.take._noise = None
    for taking in (side.take, padded.take):
        taking.recompute_layers()
        assert taking.recomputes
    assert np.allclose(side.run(3), padded.run(3), rtol=1e-6)


def counting(only_first_token, found):
    """Return the same, noting whether it cut anything."""

    @contextmanager
    def noting(model):
        with only_first_token(model) as is_cut:
            found.append(is_cut)
            yield is_cut

    return noting


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_of_prompts_only_tokens_before_the_target_reach_the_head(family):
    model, encoded = tiny_model(family, NEXT), encoded_rows("next tokens")
    objective, seen = objective_of("continuation", None, SETTINGS), []
    model.get_output_embeddings().register_forward_hook(lambda *a: seen.append(a[-1].shape[:-1]))
    batch = encoded.batch(np.arange(6))
    for prompt, labels in zip((0, 1, 0, 2, 0, 1), batch["labels"], strict=True):
        labels[: prompt + 1] = IGNORED
    packed = PackedModel(model, LONGEST)
    losses = []
    for asked, inputs in ((packed, packed.pack(dict(batch))), (model, dict(batch))):
        labels = inputs.pop("labels")
        losses.append(float(objective.loss(objective.forward(asked, inputs, labels), labels)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert seen[0] == seen[1] == (1, int((batch["labels"] != IGNORED).sum()))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classes", "tags"])
def test_upper_layers_learn_from_kept_answers_what_they_learn_from_padded_ones(
    tmp_path, task, monkeypatch
):
    model = write_mini_model(
        tmp_path / "model",
        num_layers=4,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    data = None if task == "classes" else tagged()
    losses, widths = [], []
    monkeypatch.setattr(step, "only_first_token", counting(step.only_first_token, widths))
    monkeypatch.setattr(packing, "only_first_token", counting(packing.only_first_token, widths))
    for packed in (True, False):
        run = make_run(tmp_path / "runs", model=model, data=data, technique="top:2")
        assert run.plan.packed
        plan = json.loads(run.paths.plan.read_text())
        run.paths.plan.write_text(json.dumps({**plan, "packed": packed}))
        ours, training = train_ours(type(run)(run.dir))
        assert isinstance(training.train_rows, EncodedFrozen)
        assert (training.take_step._packed is not None) == packed
        losses.append(ours.losses)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert set(widths) == {task == "classes"}  # the last block's answers nobody reads
    assert len(set(losses[0])) > 5


def test_a_worker_packs_where_plan_model_and_rows_allow():
    cpu, rows = accelerator_of("cpu"), encoded_rows()
    stored = EncodedFeatures(features=np.zeros((2, 3), np.float32), lengths=np.ones(2, int))
    several = SimpleNamespace(device=torch.device("cpu"), num_processes=2)

    def packs(accelerator=cpu, rows=rows, packed=True, family="bert", **options):
        plan = SimpleNamespace(packed=packed)
        model = tiny_model(family, **options)
        return stepping.packed_for(accelerator, model, rows, plan, None) is not None

    assert packs()
    assert packs(num_attention_heads=8)  # 4 features, which flash attention would not take
    assert not packs(packed=False)
    assert not packs(family="mpnet")
    assert not packs(accelerator=several)
    assert not packs(rows=stored)
    empty = dataclasses.replace(rows, offsets=np.concatenate([[0], rows.offsets]))
    assert not packs(rows=empty)
