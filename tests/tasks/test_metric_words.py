"""Tests of nbtransfer.tasks.metric_words: names, values and which metrics are shown."""

from __future__ import annotations

import math

import pytest

from nbtransfer.tasks.catalog import TASKS, task_named
from nbtransfer.tasks.metric_words import (
    METRICS,
    metric_text,
    metric_word,
    shown_metrics,
    shown_shares,
)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("eval_accuracy", 0.8126, "81.3 %"),
        ("f1_macro", 0.8126, "0.813"),
        ("eval_bleu", 31.256, "31.3"),
        ("eval_loss", math.nan, "nan"),
        ("eval_loss", None, "–"),
    ],
)
def test_values_are_written_as_their_field_does(name, value, text):
    assert metric_text(name, value) == text


def test_a_metric_of_a_newer_version_keeps_its_name():
    assert metric_word("eval_calibration") == "calibration"
    assert metric_word("eval_f1_macro") == "macro F1"


def test_tables_follow_the_task_s_order_and_stay_narrow():
    metrics = dict.fromkeys(
        ("eval_f1_micro", "eval_f1_macro", "eval_accuracy", "eval_rmse", "eval_loss"), 0.5
    )
    assert shown_metrics(metrics) == ["eval_f1_micro", "eval_f1_macro", "eval_accuracy"]


def test_only_shares_are_drawn_between_0_and_1():
    metrics = dict.fromkeys(("eval_perplexity", "eval_bleu", "eval_accuracy"), 0.5)
    assert shown_shares(metrics) == ["eval_accuracy"]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_s_metrics_have_words(name):
    task = task_named(name)
    assert task.name == name
    assert set(task.metrics) <= set(METRICS)
    assert "loss" in task.metrics
