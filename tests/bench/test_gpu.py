"""The benchmark of a GPU, tried on a CPU with a tiny model, and what it prints."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest

from nbtransfer.bench import command, gpu
from nbtransfer.bench.arguments import add_arguments
from nbtransfer.bench.gpu import random_rows
from nbtransfer.bench.match import COLUMNS, GPU_CONTESTANTS
from nbtransfer.bench.table import GRAPHED, columns_text
from nbtransfer.bench.turns import ContestantFailed, Course
from nbtransfer.cli import main
from nbtransfer.hardware import detect_hardware

TINY = {
    "vocab_size": 200,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}


def asked(*words):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.slow
def test_contestants_train_whole_runs_on_the_same_texts(tmp_path):
    path = tmp_path / "bench.json"
    keys = ("recipe", "expert", "graphed")
    words = [word for key in keys for word in ("--contestant", key)]
    options = asked("--only", "short-16", "--run", "3", "--json", str(path), *words)
    results = command.measure_gpu(
        options, tmp_path, detect_hardware(tmp_path), device="cpu", shape=TINY, num_rows=64
    )
    assert json.loads(path.read_text()) == results
    found = results["columns"]["short-16"]
    assert list(found) == [GPU_CONTESTANTS[key] for key in keys]
    for figures in found.values():
        assert 0 < figures["first_step_s"] < figures["run_of_3_s"]
        assert figures["ms_per_step"] > 0 and figures["peak_bytes"] > 0
    text = columns_text(results)
    assert "short-16" in text and "3 steps, s" in text
    assert "took eager steps" in text  # there is no GPU


@pytest.mark.parametrize("name", COLUMNS)
def test_texts_are_as_long_as_the_column_says(name):
    column = COLUMNS[name]
    rows = random_rows(column, 4000, 1000)
    lengths = np.array([len(row["text"].split()) + 2 for row in rows])
    assert lengths.max() <= column.longest
    assert abs(lengths.mean() / column.mean - 1) < 0.05
    assert np.std(lengths) > 0.3 * column.mean
    assert {row["label"] for row in rows} == {"a", "b"}
    assert rows[:50] == random_rows(column, 4000, 1000)[:50]


def test_what_graphed_steps_are_faster_by_stands_beside_each_figure():
    figures = {"first_step_s": 2.0, "run_of_300_s": 9.0, "peak_bytes": 3e9}
    results = {
        "model": "BERT-base",
        "machine": {"gpu": "H100", "torch": "2", "transformers": "5"},
        "columns": {
            "short-16": {
                "expert": {"failed": "expert: OutOfMemoryError: of 80 GB"},
                "Trainer": {**figures, "ms_per_step": 40.0},
                GRAPHED: {**figures, "ms_per_step": 5.0, "num_graphs": 5},
            }
        },
    }
    text = columns_text(results)
    assert "40.0 (8.0)" in text and "9.0 (1.0)" in text and "3.0" in text
    assert "took eager steps" not in text
    assert "failed: expert: OutOfMemoryError" in text


def test_one_that_fails_does_not_end_the_others(tmp_path, monkeypatch):
    said = {"first_step_s": 1.0, "run_s": 2.0, "ms_per_step": 3.0, "peak_bytes": 4}

    def courses(job, match, names):
        if names == ("a",):
            raise ContestantFailed("a: no such compiler")
        return {names[0]: Course(result={**said, "run_s": float(match.num_steps)})}

    monkeypatch.setattr(gpu, "courses", courses)
    (tmp_path / "model").mkdir()
    found = gpu.measure_column(
        COLUMNS["short-16"],
        names=("a", "b"),
        runs=(300, 30),
        folder=tmp_path,
        model=tmp_path / "model",
        device="cpu",
        num_rows=64,
    )
    assert found["a"] == {"failed": "a: no such compiler"}
    assert (found["b"]["run_of_30_s"], found["b"]["run_of_300_s"]) == (30, 300)


def test_a_part_of_the_other_device_is_refused_in_words(monkeypatch):
    with pytest.raises(SystemExit, match="no part of this device's benchmark"):
        main(["bench", "--device", "cpu", "--only", "short-16"])
