"""Tests of nbtransfer.plots.learning_curves."""

import json
import math
import random

import pytest

from nbtransfer.plots.learning_curves import (
    decimate,
    learning_curves_figure,
    learning_curves_info,
    learning_curves_png,
    learning_curves_text,
    smoothed,
)
from nbtransfer.runs.state import ChangeRow, EvaluationRow, RunState, StepRow


def step_row(step, loss):
    return StepRow(
        step=step,
        epoch=step / 94,
        loss=loss,
        learning_rate=1e-4,
        grad_norm=1.0,
        num_examples=16,
        num_tokens=500,
        elapsed_s=step / 10,
    )


def evaluation_row(step, loss, accuracy, f1):
    values = {
        "step": step,
        "epoch": step / 94,
        "metrics": {"eval_loss": loss, "eval_accuracy": accuracy, "eval_f1_macro": f1},
        "train_loss": 0.3,
        "elapsed_s": step / 10,
        "is_best": True,
        "cause": "epoch",
    }
    return EvaluationRow(**values)


def state_of(num_steps=564, evaluations=(94, 188), changes=()):
    rng = random.Random(3)
    state = RunState(num_steps=num_steps, steps_per_epoch=94)
    state.steps = [
        step_row(s, 0.2 + math.exp(-s / 120) + rng.gauss(0, 0.05)) for s in range(1, num_steps + 1)
    ]
    state.evaluations = [evaluation_row(s, 0.4, 0.806, 0.79) for s in evaluations]
    state.changes = list(changes)
    return state


def json_of(info):
    return json.loads(learning_curves_figure(info).to_json())


def test_short_lines_are_kept_whole():
    assert decimate([1, 2, 3], [5.0, 4.0, 6.0], 400) == ([1, 2, 3], [5.0, 4.0, 6.0])


@pytest.mark.parametrize("num", [401, 402, 799, 1000, 54_321])
def test_decimation_keeps_ends_extremes_and_order_within_the_limit(num):
    rng = random.Random(num)
    values = [rng.gauss(0, 1) for _ in range(num)]
    steps, kept = decimate(range(num), values, 400)
    assert len(steps) == len(kept) <= 400
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == num - 1
    assert [values[s] for s in steps] == kept
    assert (min(kept), max(kept)) == (min(values), max(values))


def test_a_single_spike_survives_decimation():
    values = [0.5] * 10_000
    values[6_789] = 9.0
    assert 9.0 in decimate(range(10_000), values, 400)[1]


def test_decimation_of_a_flat_line_does_not_repeat_points():
    steps, _ = decimate(range(5_000), [1.0] * 5_000, 50)
    assert len(steps) == len(set(steps)) <= 50


def test_the_average_starts_at_the_first_value_and_follows():
    assert smoothed([4.0, 4.0, 4.0], 0.9) == pytest.approx([4.0, 4.0, 4.0])
    # (0.9 * 0.1 * 1 + 0.1 * 0) / (1 - 0.9^2), worked out by hand.
    assert smoothed([1.0, 0.0], 0.9)[1] == pytest.approx(0.09 / 0.19)


def test_a_loss_that_is_no_number_leaves_the_average_as_it_was():
    average = smoothed([1.0, math.nan, 1.0], 0.9)
    assert math.isnan(average[1]) and average[2] == pytest.approx(1.0)


def test_losses_that_are_no_numbers_are_left_out():
    state = RunState(num_steps=3)
    state.steps = [step_row(1, 0.7), step_row(2, math.nan), step_row(3, math.inf)]
    info = learning_curves_info(state)
    assert info.train_loss == ([1], [0.7]) and info.smooth_loss.steps == [1]
    assert "NaN" not in learning_curves_figure(info).to_json()


def test_info_names_the_evaluations_and_the_baseline():
    info = learning_curves_info(state_of(), baseline=0.5)
    (accuracy, first), (f1, second) = info.scores
    assert (accuracy, f1) == ("eval_accuracy", "eval_f1_macro")
    assert first == ([94, 188], [0.806, 0.806])
    assert second.values == [0.79, 0.79]
    assert (info.baseline, info.baseline_name, info.num_steps) == (0.5, "majority class", 564)


def test_live_changes_are_marked_where_they_were_applied_in_words():
    changes = [
        ChangeRow(172, 1, {"learning_rate": (1e-4, 6e-5)}),
        ChangeRow(300, 2, {"num_train_epochs": (6.0, 4.0)}),
    ]
    info = learning_curves_info(state_of(changes=changes))
    assert [tuple(change) for change in info.changes] == [
        (172, "peak lr 1.0e-4 → 6.0e-5"),
        (300, "epochs 6 → 4"),
    ]
    layout = json_of(info)["layout"]
    assert [shape["x0"] for shape in layout["shapes"]] == [172, 300]
    assert layout["annotations"][0]["text"] == "peak lr 1.0e-4 → 6.0e-5"


def test_a_slider_that_was_moved_all_the_time_does_not_fill_the_figure():
    changes = [ChangeRow(s, s, {"learning_rate": (1e-4, 6e-5)}) for s in range(1, 500)]
    layout = json_of(learning_curves_info(state_of(changes=changes)))["layout"]
    assert len(layout["shapes"]) == 40 and len(layout["annotations"]) == 4


def test_no_trace_has_more_than_400_points_and_the_figure_stays_small():
    info = learning_curves_info(state_of(20_000, range(25, 20_001, 25)), baseline=0.5)
    figure = json_of(info)
    assert max(len(trace["x"]) for trace in figure["data"]) <= 400
    assert len(json.dumps(figure, separators=(",", ":"))) < 40_000


def test_the_baseline_is_a_dashed_line_with_its_name():
    layout = json_of(learning_curves_info(state_of(), baseline=0.81, baseline_name="TF-IDF"))[
        "layout"
    ]
    assert layout["shapes"][-1]["y0"] == 0.81 and layout["shapes"][-1]["line"]["dash"] == "dash"
    assert layout["annotations"][-1]["text"] == "TF-IDF 81.0 %"


def test_a_run_without_validation_has_one_plot_and_one_without_steps_an_empty_one():
    assert "yaxis2" not in json_of(learning_curves_info(state_of(evaluations=())))["layout"]
    info = learning_curves_info(RunState())
    assert json_of(info)["data"] == []
    assert learning_curves_png(info).startswith(b"\x89PNG")


def test_a_baseline_s_name_is_escaped():
    name = "<img src=x onerror=alert(1)>"
    figure = learning_curves_figure(
        learning_curves_info(state_of(), baseline=0.5, baseline_name=name)
    )
    assert "<img" not in figure.to_json() and "\\u003cimg" not in figure.to_json()


def test_the_png_stays_small():
    info = learning_curves_info(state_of(2_000, (500, 1_000)), baseline=0.5)
    assert len(learning_curves_png(info)) < 40_000


def test_the_text_form_lists_the_evaluations():
    change = ChangeRow(172, 1, {"learning_rate": (1e-4, 6e-5)})
    text = learning_curves_text(learning_curves_info(state_of(changes=[change])))
    assert "accuracy on validation: 0.806 (step 94), 0.806 (step 188)" in text
    assert "step 172: peak lr 1.0e-4 → 6.0e-5" in text


def test_the_text_form_says_how_far_a_run_came():
    state = RunState(num_steps=30, steps=[step_row(1, 0.7), step_row(2, 0.6)])
    assert learning_curves_text(learning_curves_info(state)).startswith(
        "Learning curves over 2 of 30 steps"
    )
