from __future__ import annotations

from nbtransfer.bench.table import ratios, results_text

RESULTS = {
    "machine": {"cpu": "CPU", "num_threads": 2, "load": 0.5, "torch": "2", "transformers": "5"},
    "model": "demo:minilm",
    "data": "demo:tweets",
    "batch_size": 16,
    "num_rows": 96,
    "epochs": 1,
    "training": {"Trainer": {"examples_per_s": 10.0}, "nbtransfer": {"examples_per_s": 25.0}},
    "head": {"Trainer": {"later_epoch_s": 6.0}, "nbtransfer": {"later_epoch_s": 0.5}},
}


def test_more_is_better_of_speeds_and_less_of_seconds():
    assert ratios(RESULTS["training"], "examples_per_s", more_is_better=True)["Trainer"] == 2.5
    assert ratios(RESULTS["head"], "later_epoch_s", more_is_better=False)["Trainer"] == 12


def test_the_table_has_a_block_for_each_part_measured():
    text = results_text(RESULTS)
    assert "Training, examples a second" in text and "nbtransfer: 2.50x" in text
    assert "Technique head" in text and "12.00x" in text
    assert "Evaluation" not in text
