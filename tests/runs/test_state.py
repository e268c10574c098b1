"""Tests of nbtransfer.runs.state: what the events of a run add up to."""

from __future__ import annotations

import itertools
import math

import pytest

from nbtransfer.runs.state import RunState, fold
from tests.runs.folders import (
    STARTED,
    TRAINING,
    checkpoint,
    completed,
    control,
    evaluation,
    failed,
    resumed,
    step,
)


def numbered(*events, start=0):
    """The events as a log holds them."""
    return [
        {"v": 1, "seq": number, "time": 100.0 + number, "type": type_, **fields}
        for number, (type_, fields) in zip(itertools.count(start), events, strict=False)
    ]


def folded(*events):
    return fold(numbered(*events))


def training(**changes):
    name, fields = TRAINING
    return name, {**fields, **changes}


def test_no_events_are_a_run_that_has_not_begun():
    state = fold([])
    assert state == RunState()
    assert state.step == 0
    assert state.ending is None
    assert state.best_evaluation is None


def test_steps_and_evaluations_are_kept_in_order():
    state = folded(STARTED, training(), step(1), step(2), evaluation(2), step(3))
    assert [row.step for row in state.steps] == [1, 2, 3]
    assert state.steps[1].loss == 0.5
    assert state.step == 3
    (row,) = state.evaluations
    assert (row.step, row.metrics["eval_accuracy"], row.cause) == (2, 0.75, "schedule")
    assert (state.num_steps, state.device, state.learning_rate) == (6, "cpu", 1e-4)


def test_unknown_event_types_are_skipped():
    known = (STARTED, training(), step(1))
    unknown = ("layer_thawed", {"layer": 3, "step": 1})
    assert folded(*known, unknown).steps == folded(*known).steps


@pytest.mark.parametrize("name", ["", "apply", "number", "__init__", "end", "step-completed"])
def test_no_event_type_reaches_another_method(name):
    state = folded((name, {"step": 9}))
    assert state.ending is None
    assert state.steps == []


def test_a_record_read_twice_counts_once():
    events = numbered(STARTED, step(1), step(2))
    state = fold(events)
    for event in events:
        state.apply(event)
    assert [row.step for row in state.steps] == [1, 2]
    assert state.last_seq == 2


def test_folding_in_two_parts_gives_what_folding_at_once_gives():
    events = numbered(STARTED, training(), step(1), evaluation(1), control(1, 1), completed(1))
    for cut in range(len(events)):
        state = fold(events[:cut])
        for event in events[cut:]:
            state.apply(event)
        assert state == fold(events)


def test_times_are_those_of_the_first_start_and_the_last_event():
    state = folded(STARTED, step(1), step(2))
    assert state.started_time == 100.0
    assert state.last_time == 102.0


def test_nan_in_any_place_of_an_evaluation_is_a_number_again():
    metrics = {"eval_loss": "nan", "eval_accuracy": 0.5}
    state = folded(evaluation(2, metrics=metrics, train_loss="inf"))
    assert math.isnan(state.evaluations[0].metrics["eval_loss"])
    assert state.evaluations[0].train_loss == math.inf
    assert folded(evaluation(2, train_loss=None)).evaluations[0].train_loss is None


def test_the_best_evaluation_is_the_newest_that_was_best():
    state = folded(evaluation(2), evaluation(4), evaluation(6, is_best=False))
    assert state.best_evaluation.step == 4


def test_a_live_change_of_the_learning_rate_holds_from_then_on():
    state = folded(training(), step(1), control(1, 1, learning_rate=[1e-4, 5e-5]))
    assert state.learning_rate == 5e-5
    assert state.revision == 1
    assert state.wanted == {"learning_rate": 5e-5}
    (row,) = state.changes
    assert row == (1, 1, {"learning_rate": (1e-4, 5e-5)})


def test_a_live_change_of_the_epochs_brings_its_number_of_steps():
    change, fields = control(1, 1, num_train_epochs=[3.0, 5.0])
    state = folded(training(), (change, {**fields, "num_steps": 10}))
    assert state.num_train_epochs == 5.0
    assert state.num_steps == 10


def test_a_control_without_a_change_is_acknowledged_and_no_change():
    state = folded(training(), control(4, 1))
    assert state.revision == 4
    assert state.changes == []
    assert state.num_steps == 6


def test_resuming_drops_the_rows_beyond_the_checkpoint():
    state = folded(
        STARTED,
        training(),
        *(step(n) for n in (1, 2, 3, 4)),
        evaluation(2),
        evaluation(4),
        checkpoint(2),
        checkpoint(4),
        STARTED,
        resumed(2),
    )
    assert [row.step for row in state.steps] == [1, 2]
    assert [row.step for row in state.evaluations] == [2]
    assert [row.step for row in state.checkpoints] == [2]
    assert state.step == 2


def test_the_steps_done_again_stand_once():
    state = folded(*(step(n) for n in (1, 2, 3)), resumed(1), step(2, loss=9.0), step(3), step(4))
    assert [row.step for row in state.steps] == [1, 2, 3, 4]
    assert state.steps[1].loss == 9.0


def test_resuming_from_the_start_drops_everything():
    state = folded(step(1), evaluation(1), resumed(0, checkpoint=None))
    assert state.steps == []
    assert state.evaluations == []
    assert state.step == 0


def test_the_evaluation_made_on_stopping_is_no_part_of_the_run_that_goes_on():
    state = folded(evaluation(2), step(3), checkpoint(3), evaluation(3, cause="stop"), resumed(3))
    assert [(row.step, row.cause) for row in state.evaluations] == [(2, "schedule")]


def test_an_evaluation_that_was_asked_for_stays():
    state = folded(evaluation(3, cause="asked"), resumed(3))
    assert [row.cause for row in state.evaluations] == ["asked"]


def test_resuming_takes_back_changes_of_later_revisions():
    state = folded(
        control(1, 1, learning_rate=[1e-4, 5e-5]),
        control(2, 2, learning_rate=[5e-5, 1e-5]),
        resumed(1, revision=1),
    )
    assert [row.revision for row in state.changes] == [1]
    assert state.revision == 1


def test_a_step_before_the_first_of_a_resumed_log_is_the_checkpoints():
    assert folded(resumed(40)).step == 40


def test_resuming_says_which_checkpoints_were_skipped():
    state = folded(resumed(2, skipped=[["step-000004", "manifest.json is missing"]]))
    assert state.skipped_checkpoints == [("step-000004", "manifest.json is missing")]
    assert state.resumed_from == 2


def test_a_run_that_ended_and_goes_on_has_no_ending():
    state = folded(STARTED, step(1), failed(1), STARTED)
    assert state.ending is None
    state = folded(STARTED, step(1), ("run_stopped", {"step": 1, "reason": "stop"}), resumed(1))
    assert state.ending is None
    assert state.ended_step is None


def test_a_pause_ends_with_unpausing_the_end_or_a_new_worker():
    pause = ("run_paused", {"step": 1})
    assert folded(pause).paused
    assert not folded(pause, ("run_unpaused", {"step": 1})).paused
    assert not folded(pause, completed(1)).paused
    assert not folded(pause, STARTED).paused


def test_a_warning_of_the_same_kind_replaces_the_former():
    def warning(code, headline):
        return "warning_raised", {"code": code, "headline": headline, "advice": "Stop."}

    state = folded(warning("a", "first"), warning("b", "other"), warning("a", "second"))
    assert [(w.code, w.headline) for w in state.warnings] == [("b", "other"), ("a", "second")]


@pytest.mark.parametrize(
    ("event", "ending", "reason"),
    [
        (completed(6), "completed", "finished"),
        (completed(4, reason="early_stopping"), "completed", "early_stopping"),
        (("run_stopped", {"step": 3, "reason": "interrupt"}), "stopped", "interrupt"),
        (failed(3), "failed", ""),
    ],
)
def test_an_ending_says_how_where_and_why(event, ending, reason):
    state = folded(STARTED, step(1), event)
    assert (state.ending, state.ending_reason) == (ending, reason)
    assert state.ended_step == event[1]["step"]


def test_a_failure_carries_its_words():
    state = folded(failed(3))
    assert state.error_type == "OutOfMemoryError"
    assert state.error_message == "the GPU is full."
    assert state.error_advice == "Try a smaller --batch-size."
    assert state.error_traceback == "Traceback ..."


def test_the_rest_of_the_record_is_kept():
    state = folded(
        ("model_loaded", {"num_parameters": 9, "num_trainable_parameters": 4, "notes": ["n"]}),
        ("phase_started", {"phase": "tokenizing"}),
        ("plan_changed", {"field": "device", "old": "cuda", "new": "cpu", "reason": "none"}),
        (
            "throughput_measured",
            {
                "step": 1,
                "examples_per_s": 5.0,
                "tokens_per_s": 50.0,
                "memory_bytes": 7,
                "memory_total_bytes": 70,
            },
        ),
        ("model_saved", {"step": 4, "choice": "best", "metric": "loss", "value": "nan"}),
        ("report_saved", {"name": "validation"}),
    )
    assert (state.num_parameters, state.num_trainable_parameters, state.notes) == (9, 4, ["n"])
    assert state.phase == "tokenizing"
    assert state.plan_changes == [("device", "cuda", "cpu", "none")]
    assert (state.examples_per_s, state.memory_total_bytes) == (5.0, 70)
    assert (state.saved_choice, state.saved_step) == ("best", 4)
    assert math.isnan(state.saved_value)
    assert state.reports == ["validation"]


def test_changes_taken_back_are_kept_until_they_are_made_again():
    first = control(2, 3, learning_rate=[1e-4, 5e-5])
    second = control(4, 5, learning_rate=[5e-5, 1e-5])
    state = folded(first, second, resumed(1))
    assert state.changes == []
    assert [row.revision for row in state.undone_changes] == [2, 4]
    # A second loss, before any was made again, forgets none.
    assert folded(first, second, resumed(1), resumed(1)).undone_changes == state.undone_changes
    state = folded(first, second, resumed(1), first)
    assert [row.revision for row in state.changes] == [2]
    assert [row.revision for row in state.undone_changes] == [4]
    state = folded(first, second, resumed(1), first, resumed(4, revision=2))
    assert [row.revision for row in state.changes] == [2]
    assert [row.revision for row in state.undone_changes] == [4]
    assert folded(first, second, resumed(1), first, second).undone_changes == []


def test_a_hand_on_the_sliders_ends_what_was_to_be_made_again():
    old = control(2, 3, learning_rate=[1e-4, 5e-5])
    new = control(7, 2, learning_rate=[1e-4, 3e-4])
    state = folded(old, resumed(1), new)
    assert state.undone_changes == []
    assert [row.revision for row in state.changes] == [7]


def test_a_button_does_not_end_what_was_to_be_made_again():
    old = control(2, 3, learning_rate=[1e-4, 5e-5])
    state = folded(old, resumed(1), control(7, 2))
    assert [row.revision for row in state.undone_changes] == [2]


def data_encoded(**changes):
    return "data_encoded", {"cache": "miss", "words": None, **changes}


def frozen(cache, place, num_layers=6):
    fields = {"cache": cache, "place": place, "num_layers": num_layers, "num_bytes": 12_000_000}
    return "frozen_layers_computed", fields


@pytest.mark.parametrize(
    ("event", "notes"),
    [
        (data_encoded(), []),
        (data_encoded(cache="hit"), ["The texts' tokens were kept from an earlier run."]),
        (
            data_encoded(words=[4_012, 30_522]),
            ["4,012 of 30,522 word vectors learn: those the data uses."],
        ),
        (
            frozen("hit", "memory"),
            ["What 6 frozen layers say of the texts was kept from an earlier run (in memory)."],
        ),
        (
            frozen("miss", "disk", num_layers=1),
            ["What 1 frozen layer says of the texts is computed once and kept (on disk, 12 MB)."],
        ),
        (
            frozen("no room", None),
            ["No room to keep what 6 frozen layers say of the texts (12 MB)."],
        ),
    ],
)
def test_what_was_kept_or_found_is_noted(event, notes):
    assert folded(STARTED, event).notes == notes


def test_splits_that_found_the_same_are_noted_once():
    state = folded(STARTED, frozen("hit", "memory"), frozen("hit", "memory"))
    assert len(state.notes) == 1
