"""Tests of nbtransfer.panels.chart."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from nbtransfer.panels.chart import chart_info, chart_svg
from nbtransfer.runs.state import ChangeRow, EvaluationRow, RunState, StepRow


def state_of(losses, *, num_steps=None, accuracies=(), changes=()):
    state = RunState()
    state.num_steps, state.steps_per_epoch = num_steps or max(len(losses), 1), 10
    state.steps = [StepRow(i + 1, i / 10, v, 1e-4, 1.0, 16, 600, i) for i, v in enumerate(losses)]
    state.evaluations = [
        EvaluationRow(
            step, 1.0, {"eval_loss": 0.4, "eval_accuracy": a}, 0.4, 1.0, False, "schedule"
        )
        for step, a in accuracies
    ]
    state.changes = [ChangeRow(step, i, change) for i, (step, change) in enumerate(changes)]
    return state


def numbers(svg):
    """Every coordinate of the drawing."""
    found = re.findall(r' (?:x1|x2|y1|y2|cx|cy|x|y)="([^"]*)"', svg)
    points = re.findall(r'points="([^"]*)"', svg)
    return [float(n) for n in [*found, *re.split(r"[ ,]", " ".join(points))] if n]


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [0.5],
        [0.5] * 20,
        [0.0] * 20,
        [math.nan] * 5,
        [0.5, math.nan, math.inf, 0.4],
        [1e30, 1e-9],
    ],
)
def test_any_losses_give_a_drawing_within_its_frame(losses):
    svg = chart_svg(chart_info(state_of(losses, accuracies=[(1, math.nan)]), math.nan))
    ET.fromstring(svg)
    drawn = numbers(svg)
    assert all(math.isfinite(n) and -1 <= n <= 701 for n in drawn)
    assert "nan" not in svg.lower()


def test_a_long_run_stays_small():
    state = state_of(
        [2 + math.sin(i) for i in range(20_000)],
        accuracies=[(i * 20, 0.5 + i / 3000) for i in range(1, 1000)],
        changes=[(i * 500, {"learning_rate": (1e-4, 5e-5)}) for i in range(1, 40)],
    )
    info = chart_info(state, 0.5)
    assert max(len(info.raw_losses), len(info.losses), len(info.scores)) <= 400
    assert len(chart_svg(info)) <= 60_000


def test_a_live_change_is_marked_at_its_step_with_old_and_new_value():
    state = state_of([0.5] * 20, changes=[(10, {"learning_rate": (1e-4, 6e-5)})])
    info = chart_info(state)
    assert info.marks == [(10, "peak lr 1.0e-4 → 6.0e-5")]
    root = ET.fromstring(chart_svg(info))
    lines = [g.find("line") for g in root.findall("g") if g.find("line") is not None]
    assert [float(line.get("x1")) for line in lines] == [pytest.approx(40 + 644 / 2)]


def test_labels_of_close_changes_do_not_share_a_row():
    state = state_of(
        [0.5] * 100,
        changes=[(40, {"learning_rate": (1e-4, 6e-5)}), (42, {"num_train_epochs": (3.0, 6.0)})],
    )
    root = ET.fromstring(chart_svg(chart_info(state)))
    rows = [g.find("text").get("y") for g in root.findall("g") if g.find("text") is not None]
    assert len(rows) == 2
    assert len(set(rows)) == 2


def test_the_baseline_is_drawn_only_where_it_is_known():
    state = state_of([0.5] * 5)
    assert "majority class 62.5 %" in chart_svg(chart_info(state, 0.625))
    assert "majority class" not in chart_svg(chart_info(state, None))


def test_points_carry_their_values_as_tooltips():
    svg = chart_svg(chart_info(state_of([0.5] * 20, accuracies=[(10, 0.861)])))
    assert "<title>step 10: accuracy 86.1 %</title>" in svg
    assert "<title>step 10: validation loss 0.400</title>" in svg


def test_one_spike_does_not_flatten_the_curve():
    flat = chart_info(state_of([0.5] * 200))
    spiked = chart_info(state_of([0.5] * 100 + [5000.0] + [0.5] * 99))
    assert "5000" not in chart_svg(spiked)
    assert max(y for _, y in flat.losses) == pytest.approx(0.5)


def test_before_the_worker_speaks_the_planned_steps_are_the_axis():
    assert "step 564" in chart_svg(chart_info(RunState(), 0.5, 564))


def test_epoch_ticks_stay_few_in_a_run_of_many_epochs():
    state = state_of([0.5] * 10, num_steps=5000)
    texts = [t.text for t in ET.fromstring(chart_svg(chart_info(state))).iter("text")]
    assert len([t for t in texts if t and re.fullmatch(r"[\d,]+", t)]) <= 9
