"""`nbtransfer bench` from the command line to its table, on a tiny model."""

from __future__ import annotations

import json

import pytest

from nbtransfer.bench import command
from nbtransfer.bench.match import OURS, TRAINERS
from nbtransfer.cli import main


@pytest.mark.slow
def test_a_short_run_prints_its_table_and_writes_what_it_measured(tmp_path, capsys):
    path = tmp_path / "bench.json"
    words = "bench --model demo:bert-tiny --steps 2 --only accuracy --seeds 1"
    assert main([*words.split(), "--test-rows", "20", "--json", str(path)]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == ["measuring accuracy …"]
    assert "Accuracy on the test rows" in out
    assert f"Written: {path}" in out
    results = json.loads(path.read_text())
    assert set(results["accuracy"]) == {*TRAINERS, OURS}
    assert all(0 <= figures["accuracy"] <= 1 for figures in results["accuracy"].values())
    assert results["num_rows"] == 32


def test_rows_without_a_test_split_are_held_out_from_training(tmp_path):
    path = tmp_path / "rows.csv"
    lines = [f"text {i},{('bad', 'good')[i % 2]}" for i in range(40)]
    path.write_text("\n".join(["text,label", *lines]))
    train, test = command._rows(str(path), 600, seed=1)
    assert len(train) == 30 and len(test) == 10
    assert not {row["text"] for row in train} & {row["text"] for row in test}
    assert command._rows(str(path), 600, seed=1) == (train, test)
    assert len(command._rows(str(path), 4, seed=1)[1]) == 4
