"""Tests of nbtransfer.runs.forgetting: what is kept of the gauge, and its plain text."""

from __future__ import annotations

import json

import pytest

from nbtransfer.runs.forgetting import Forgetting, Stage, read_forgetting, write_forgetting

FOUND = Forgetting(
    run_id="swift-otter-0042",
    task="masked-language-modeling",
    corpus_name="demo:python-docs",
    num_general=550,
    num_corpus=700,
    stages=(
        Stage("demo:minilm", None, None, "It was saved without the head."),
        Stage("adapted to demo:python-docs (a)", 2.0, 3.0),
        Stage("fine-tuned on df (b)", 2.5, 3.25),
    ),
    notes=("Not measured: demo:minilm.",),
)


def test_it_is_read_as_it_was_written(tmp_path):
    write_forgetting(FOUND, tmp_path / "f.json")
    assert read_forgetting(tmp_path / "f.json") == FOUND
    newer = json.loads((tmp_path / "f.json").read_text()) | {"mood": "good"}
    assert Forgetting.from_json(newer) == FOUND


def test_a_change_is_counted_from_the_first_stage_that_was_measured():
    changes = [FOUND.change(stage) for stage in FOUND.stages]
    assert changes == [None, 0.0, pytest.approx(0.5)]


def test_plain_text_is_a_table_with_the_notes():
    lines = str(FOUND).splitlines()
    assert lines[1].split() == ["general", "text", "demo:python-docs"]
    assert lines[2].endswith("–")
    assert "2.000 (7.4)" in lines[3] and "3.000 (20.1)" in lines[3]
    assert lines[-1] == "Not measured: demo:minilm."
    assert repr(FOUND) == "Forgetting swift-otter-0042: loss on general text –, 2.000, 2.500"
