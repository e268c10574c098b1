"""Tests of nbtransfer.panels.run_view."""

import math

import pytest

from nbtransfer.panels import run_view as view
from nbtransfer.panels.run_notes import note_lines, notes_block
from nbtransfer.runs.state import EvaluationRow, RunState, WarningRow, fold
from tests.panels.live_runs import LiveRun, about

HOSTILE = '<img src=x onerror="alert(1)">'


def test_about_reads_names_rows_and_choices_from_the_folder(runs_dir):
    found = view.About.of(LiveRun(runs_dir / "calm-heron"))
    assert found.source == "demo:minilm → df · text-classification · 1,500 + 167 rows, 2 classes"
    assert found.notes == ("label column: sentiment", "cut at 64 tokens")


def test_the_clock_ticks_from_the_opening_until_the_worker_speaks():
    html = view.head(about(), RunState(), "created", now=1007.0, opened=1000.0)
    assert "importing" in html
    assert "0:07 elapsed" in html


def test_time_left_is_shown_while_training_only(runs_dir):
    run = LiveRun(runs_dir / "r").start(20)
    state = run.state()
    assert " left" in view.head(about(), state, "running", state.last_time)
    run.log("run_paused", step=20)
    head = view.head(about(), run.state(), "paused", state.last_time)
    assert " left" not in head
    assert "paused" in head


def test_an_ended_run_stops_its_clock(runs_dir):
    run = LiveRun(runs_dir / "r").start(3)
    run.complete(3)
    state = run.state()
    took = state.last_time - state.started_time
    ended = view.elapsed_s(state, "completed", state.last_time + 500)
    assert ended == pytest.approx(took, abs=0.01)


def test_a_resumed_runs_clock_goes_on_from_its_checkpoint(runs_dir):
    run = LiveRun(runs_dir / "r").start(3)
    run.log("worker_started", pid=1, host="here")
    run.log("run_resumed", from_step=2, checkpoint="step-000002", revision=0, skipped=[])
    state = run.state()
    elapsed = view.elapsed_s(state, "running", state.started_time + 10)
    assert elapsed == pytest.approx(2.0 + 10, abs=0.01)


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_clock_that_is_set_moves_the_panels_clock_until_the_next_event_at_most(hours):
    events = [
        {"seq": 0, "time": 1000.0, "clock": 0.0, "type": "worker_started"},
        {"seq": 1, "time": 1060.0, "clock": 60.0, "type": "phase_started", "phase": "training"},
        {"seq": 2, "time": 1061 + 3600 * hours, "clock": 61.0, "type": "run_paused"},
    ]
    state = fold(events)
    assert view.elapsed_s(state, "running", state.last_time + 5) == 66.0
    assert view.elapsed_s(state, "running", state.last_time - 5) == 61.0
    assert view.elapsed_s(state, "completed", 0.0) == 61.0


def test_the_clock_of_a_log_of_the_first_version_goes_by_its_dates():
    started = {"seq": 0, "time": 1000.0, "type": "worker_started"}
    state = fold([started, {"seq": 1, "time": 1060.0, "type": "run_paused"}])
    assert view.elapsed_s(state, "running", 1063.0) == 63.0


def test_the_bar_marks_the_ends_of_epochs(runs_dir):
    bar = view.bar(LiveRun(runs_dir / "r").start(15).state())
    assert "width:50.00%" in bar
    assert bar.count("<s ") == 2


def test_the_table_holds_the_last_ten_and_the_best():
    state = RunState()
    state.evaluations = [
        EvaluationRow(i, float(i), {"eval_accuracy": i / 100}, None, 1.0, i == 3, "schedule")
        for i in range(1, 31)
    ]
    rows, best = view.shown_evaluations(state)
    assert [row.step for row in rows] == [3, *range(21, 31)]
    assert best.step == 3
    assert "19 earlier evaluations are not shown." in view.evaluations_table(state)
    assert view.evaluations_text(state)[1].endswith("best")


def test_metrics_that_are_no_numbers_are_named():
    assert view.figure_text(math.nan) == "nan"
    assert view.figure_text(None) == "–"
    assert view.figure_text(0.4718) == "0.472"


def test_warnings_are_sentences_with_advice_and_escaped():
    state = RunState(warnings=[WarningRow("x", HOSTILE, "Lower the rate.")])
    html = view.warnings_block(view.warning_pairs(about(warnings=("12 texts twice.",)), state))
    assert "<img" not in html
    assert html.index("12 texts twice.") < html.index("Lower the rate.")


def test_a_changed_plan_is_told_with_its_reason():
    state = RunState(plan_changes=[("batch size", 16, 8, "the memory ran out")])
    pairs = view.warning_pairs(about(), state)
    assert pairs == [("batch size is 8 instead of 16.", "the memory ran out")]


def test_a_fraction_of_epochs_is_short_and_warnings_begin_like_sentences():
    facts = view.facts(about(num_train_epochs=0.190476), RunState(), "created")
    assert facts[0] == ("30 steps", "planned, 0.19 epochs")
    pairs = view.warning_pairs(about(warnings=("the run has only 12 steps.",)), RunState())
    assert pairs == [("The run has only 12 steps.", "")]


def test_notes_are_told_once():
    state = RunState(notes=["new head", "new head"], resumed_from=20)
    assert note_lines(about(notes=("new head",)), state) == [
        "new head",
        "resumed from the checkpoint at step 20",
    ]


def test_hostile_names_do_not_become_elements():
    hostile = about(name=HOSTILE, model=HOSTILE, data=HOSTILE, notes=(HOSTILE,))
    html = view.head(hostile, RunState(), "created", 0.0) + notes_block(hostile.notes)
    assert "<img" not in html
