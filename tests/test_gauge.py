"""Tests of nbtransfer.gauge: which models a run's model was, and what is asked of each."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from nbtransfer.gauge import _links

MASKED, CLASSES = "masked-language-modeling", "text-classification"


def run_of(tmp_path, name, task, *, kept=True, **card):
    model_dir = tmp_path / name / "model"
    if kept:
        model_dir.mkdir(parents=True)
    base = {"name": "demo:x", "location": "/models/x", "revision": None, "source": "demo"}
    return SimpleNamespace(
        id=name,
        spec=SimpleNamespace(from_scratch=card.pop("from_scratch", False)),
        model_card=SimpleNamespace(**{**base, "lacks_lm_head": False, **card}),
        data_card=SimpleNamespace(task=task, name=f"data of {name}"),
        paths=SimpleNamespace(model_dir=model_dir),
    )


def places(links):
    def last(place):
        return place and Path(place["location"]).parent.name

    return [(last(link.backbone), last(link.head)) for link in links]


def test_a_fine_tuned_model_guesses_with_the_head_of_the_adapted_one(tmp_path):
    chain = [run_of(tmp_path, "a", MASKED), run_of(tmp_path, "b", CLASSES)]
    links = _links(chain, MASKED)
    assert places(links) == [("models", "models"), ("a", "a"), ("b", "a")]
    assert [link.name for link in links] == [
        "demo:x",
        "adapted to data of a (a)",
        "fine-tuned on data of b (b)",
    ]
    assert links[2].backbone["task"] == CLASSES


def test_without_adaptation_the_pre_trained_head_is_put_back(tmp_path):
    links = _links([run_of(tmp_path, "b", CLASSES)], MASKED)
    assert places(links) == [("models", "models"), ("b", "models")]


def test_a_model_without_a_head_cannot_be_measured_and_says_why(tmp_path):
    links = _links([run_of(tmp_path, "b", CLASSES, lacks_lm_head=True)], MASKED)
    assert places(links) == [(None, None), (None, None)]
    assert "without the head" in links[0].why_not and "No head" in links[1].why_not


def test_a_head_that_was_learnt_on_the_way_measures_what_follows(tmp_path):
    chain = [run_of(tmp_path, "a", MASKED, lacks_lm_head=True), run_of(tmp_path, "b", CLASSES)]
    assert places(_links(chain, MASKED)) == [(None, None), ("a", "a"), ("b", "a")]


@pytest.mark.parametrize(
    ("card", "why"),
    [
        ({"from_scratch": True}, "random weights"),
        ({"source": "run", "location": "/nowhere/r/model"}, "gone"),
    ],
)
def test_what_a_chain_began_from_may_not_be_there(tmp_path, card, why):
    (start, own) = _links([run_of(tmp_path, "a", MASKED, **card)], MASKED)
    assert why in start.why_not and start.head is None
    assert own.head is not None


def test_a_run_whose_model_was_removed_is_left_out(tmp_path):
    chain = [run_of(tmp_path, "a", CLASSES, kept=False), run_of(tmp_path, "b", CLASSES)]
    links = _links(chain, MASKED)
    assert "gone" in links[1].why_not and links[2].head is not None
