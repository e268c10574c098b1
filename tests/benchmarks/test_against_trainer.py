"""nbtransfer beside transformers' Trainer, a step each in turn, on a short job.

The ratios asked for here are far below those of a quiet machine (see nbtransfer/engine/README.md):
they fail where something has become slow, not where a machine is busy.
"""

from __future__ import annotations

import pytest

from nbtransfer.bench import measure
from nbtransfer.bench.match import BEST, DYNAMIC, OURS, PAD_TO_MAX, Match
from nbtransfer.bench.table import ratios

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]


@pytest.fixture
def match(tmp_path) -> Match:
    from nbtransfer.data.demo import load_demo

    tables = load_demo("tweets").splits
    return Match(
        model="demo:minilm",
        train=tables["train"].select(["text", "label"]).to_pylist()[:96],
        test=tables["test"].select(["text", "label"]).to_pylist()[:96],
        batch_size=16,
        epochs=1,
        learning_rate=1e-4,
        technique="full",
        seed=42,
        folder=tmp_path,
    )


def test_training_is_faster(match):
    found = ratios(measure.training(match), "examples_per_s", more_is_better=True)
    print(found)
    assert found[PAD_TO_MAX] > 2.5
    assert found[DYNAMIC] > 1.1
    assert found[BEST] > 1.0
    assert found[OURS] == 1.0


def test_frozen_layers_cost_nothing_after_the_first_epoch(match):
    import dataclasses

    head = dataclasses.replace(match, technique="head", epochs=2)
    found = ratios(measure.frozen(head), "later_epoch_s", more_is_better=False)
    print(found)
    assert found[BEST] > 8


def test_evaluation_is_faster(match):
    found = ratios(measure.evaluation(match), "examples_per_s", more_is_better=True)
    print(found)
    assert min(ratio for name, ratio in found.items() if name != OURS) > 1.1
