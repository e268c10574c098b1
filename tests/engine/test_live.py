"""Tests of nbtransfer.engine.live: sliders and buttons, and making their changes again."""

from __future__ import annotations

import pytest

from nbtransfer.engine.live import NOTHING, LiveControls
from nbtransfer.engine.optim import Schedule
from nbtransfer.engine.progress import Progress
from nbtransfer.runs.control import change_control
from nbtransfer.runs.state import ChangeRow


def new_progress(**changes):
    schedule = Schedule.start(peak=1e-4, num_steps=30, warmup_steps=0, kind="linear")
    return Progress(schedule=schedule, num_train_epochs=3.0, **changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.json"


@pytest.fixture
def progress():
    return new_progress()


@pytest.fixture
def live(path, progress):
    return LiveControls(path, progress, 10)


def test_nothing_is_asked_where_nothing_was_written(live, progress):
    before = progress.to_json()
    assert live.poll(0) == NOTHING
    assert not live.paused
    assert progress.to_json() == before


def test_a_new_learning_rate_is_the_schedules_peak_from_this_step_on(live, path, progress):
    change_control(path, learning_rate=5e-5)
    asked = live.poll(3)
    assert asked.changes == {"learning_rate": (1e-4, 5e-5)}
    assert asked.revision == 1
    assert progress.schedule.peak == 5e-5
    assert progress.revision == 1
    assert live.wanted == {"learning_rate": 5e-5, "num_train_epochs": None}
    assert live.poll(4) == NOTHING


def test_new_epochs_stretch_what_is_left(live, path, progress):
    rate = progress.schedule.learning_rate(15)
    change_control(path, num_train_epochs=5.0)
    assert live.poll(15).changes == {"num_train_epochs": (3.0, 5.0)}
    assert progress.num_train_epochs == 5.0
    assert progress.schedule.num_steps == 50
    assert progress.schedule.learning_rate(15) == pytest.approx(rate)
    assert progress.schedule.learning_rate(50) == 0.0


@pytest.mark.parametrize(
    ("step", "wanted", "epochs", "num_steps"),
    [
        (0, 0.5, 1, 10),  # not below the first epoch
        (5, 1.0, 1.0, 10),
        (10, 1.0, 1.0, 10),  # at its very end: nothing more is begun
        (11, 1.0, 2, 20),  # what is begun is finished
        (20, 1.0, 2, 20),
        (21, 0.1, 3, 30),  # as many as before: no change
        (15, 2.5, 2.5, 25),
        (5, 1.26, 1.26, 13),
    ],
)
def test_epochs_never_end_before_the_one_the_run_is_in(
    live, path, progress, step, wanted, epochs, num_steps
):
    change_control(path, num_train_epochs=wanted)
    asked = live.poll(step)
    assert progress.num_train_epochs == epochs
    assert progress.schedule.num_steps == num_steps
    assert num_steps >= step
    assert asked.changes == ({"num_train_epochs": (3.0, epochs)} if epochs != 3 else {})
    assert live.wanted["num_train_epochs"] == wanted  # the slider shows what was asked for


def test_a_value_that_is_there_already_is_acknowledged_and_no_change(live, path):
    change_control(path, learning_rate=1e-4, num_train_epochs=3.0)
    asked = live.poll(1)
    assert asked.changes == {}
    assert asked.revision == 1


def test_both_sliders_move_at_one_boundary(live, path):
    change_control(path, learning_rate=2e-4)
    change_control(path, num_train_epochs=4.0)
    asked = live.poll(1)
    assert set(asked.changes) == {"learning_rate", "num_train_epochs"}
    assert asked.revision == 2


def test_a_button_moves_no_slider(live, path, progress):
    change_control(path, learning_rate=2e-4)
    live.poll(1)
    progress.schedule.peak = 3e-4  # as an advice of the engine might
    change_control(path, paused=True)
    assert live.poll(2).changes == {}
    assert progress.schedule.peak == 3e-4


def test_pausing_holds_until_the_word_to_go_on(live, path):
    change_control(path, paused=True)
    assert live.poll(1).stop is None
    assert live.paused
    live.poll(1)
    assert live.paused
    change_control(path, paused=False)
    live.poll(1)
    assert not live.paused


@pytest.mark.parametrize("reason", ["stop", "interrupt"])
def test_a_stop_is_passed_on_once_with_its_reason(live, path, reason):
    change_control(path, stop=reason)
    assert live.poll(1).stop == reason
    assert live.poll(2).stop is None


def test_an_evaluation_is_asked_for_once_per_request(live, path, progress):
    change_control(path, evaluations=1)
    assert live.poll(1).evaluate
    assert not live.poll(2).evaluate
    change_control(path, learning_rate=2e-4)
    assert not live.poll(3).evaluate
    change_control(path, evaluations=3)  # two clicks between two steps are one evaluation
    assert live.poll(4).evaluate
    assert progress.evaluations_done == 3


def test_an_evaluation_made_before_the_resume_is_not_made_again(path):
    change_control(path, evaluations=2)
    live = LiveControls(path, new_progress(evaluations_done=2), 10)
    assert not live.poll(1).evaluate


def test_evaluations_beyond_the_checkpoint_are_made_again_each_at_its_step(live, path, progress):
    change_control(path, evaluations=3)
    progress.evaluations_done = 1
    live.replay([row(6, 2, learning_rate=(1e-4, 5e-5))], {}, {1: 2, 2: 6, 3: 8})
    asked = [live.poll(step) for step in range(10)]
    assert [step for step, a in enumerate(asked) if a.evaluate] == [6, 8]
    assert asked[6].changes, "what was done at one step is done again at one step"
    assert progress.evaluations_done == 3


def test_a_request_that_is_new_is_met_while_older_ones_wait_for_their_step(live, path, progress):
    live.replay([], {}, {1: 6})
    change_control(path, evaluations=2)
    asked = [live.poll(step) for step in range(8)]
    assert [step for step, a in enumerate(asked) if a.evaluate] == [0, 6]
    assert progress.evaluations_done == 2


# Making changes again after a resume


def row(step, revision, **changes):
    return ChangeRow(step, revision, changes)


def test_changes_beyond_the_checkpoint_are_made_again_each_at_its_step(live, progress):
    live.replay(
        [
            row(4, 1, learning_rate=(1e-4, 5e-5)),
            row(8, 3, num_train_epochs=(3.0, 4.0)),
        ],
        wanted={},
    )
    asked = [live.poll(step) for step in range(10)]
    assert [step for step, a in enumerate(asked) if a != NOTHING] == [4, 8]
    assert asked[4].changes == {"learning_rate": (1e-4, 5e-5)}
    assert asked[4].revision == 1
    assert asked[8].changes == {"num_train_epochs": (3.0, 4.0)}
    assert progress.revision == 3
    assert progress.schedule.num_steps == 40


def test_a_run_with_its_changes_made_again_has_the_schedule_of_the_first_life(path, tmp_path):
    first = new_progress()
    live = LiveControls(path, first, 10)
    rows = []
    for step in range(12):
        if step == 4:
            change_control(path, learning_rate=3e-4)
        if step == 7:
            change_control(path, num_train_epochs=4.5)
        asked = live.poll(step)
        if asked.changes:
            rows.append(ChangeRow(step, asked.revision, asked.changes))
    second = new_progress()
    again = LiveControls(tmp_path / "none.json", second, 10)
    again.replay(rows, live.wanted)
    for step in range(12):
        again.poll(step)
    assert second.to_json() == first.to_json()


def test_changes_the_checkpoint_holds_already_are_not_made_again(path):
    progress = new_progress(revision=2)
    live = LiveControls(path, progress, 10)
    live.replay([row(1, 1, learning_rate=(1e-4, 9.0)), row(2, 2, learning_rate=(9.0, 8.0))], {})
    assert [live.poll(step) for step in range(5)] == [NOTHING] * 5
    assert progress.schedule.peak == 1e-4


def test_two_changes_of_one_step_are_made_one_after_the_other(live, progress):
    live.replay([row(2, 1, learning_rate=(1e-4, 2e-4)), row(2, 2, learning_rate=(2e-4, 3e-4))], {})
    assert live.poll(2).changes == {"learning_rate": (1e-4, 2e-4)}
    assert live.poll(3).changes == {"learning_rate": (2e-4, 3e-4)}
    assert progress.schedule.peak == 3e-4


def test_a_hand_on_the_sliders_outranks_the_record(live, path, progress):
    live.replay([row(5, 1, learning_rate=(1e-4, 5e-5))], wanted={"learning_rate": 5e-5})
    change_control(path, learning_rate=7e-5)
    assert live.poll(2).changes == {"learning_rate": (1e-4, 7e-5)}
    assert [live.poll(step) for step in range(3, 9)] == [NOTHING] * 6
    assert progress.schedule.peak == 7e-5


def test_the_sliders_as_the_former_life_left_them_are_no_news(live, path, progress):
    change_control(path, learning_rate=5e-5)
    live.replay([row(5, 1, learning_rate=(1e-4, 5e-5))], wanted={"learning_rate": 5e-5})
    assert live.poll(0).changes == {}
    assert progress.schedule.peak == 1e-4
    assert live.poll(5).changes == {"learning_rate": (1e-4, 5e-5)}


def test_a_button_does_not_end_the_replay(live, path):
    live.replay([row(5, 1, learning_rate=(1e-4, 5e-5))], wanted={})
    change_control(path, evaluations=1)
    assert live.poll(1).evaluate
    assert live.poll(5).changes == {"learning_rate": (1e-4, 5e-5)}


def test_replayed_epochs_are_not_cut_below_what_was_clamped_then(live, progress):
    live.replay([row(15, 1, num_train_epochs=(3.0, 2.0))], wanted={"num_train_epochs": 1.0})
    live.poll(15)
    assert progress.num_train_epochs == 2.0
    assert progress.schedule.num_steps == 20


@pytest.mark.parametrize("lost_after", [0, 4, 5, 7, 8])
def test_a_checkpoint_made_before_the_replay_is_over_leaves_the_rest_to_the_next_life(
    live, path, progress, tmp_path, lost_after
):
    rows = [row(5, 2, learning_rate=(1e-4, 5e-5)), row(8, 4, learning_rate=(5e-5, 2e-5))]
    live.replay(rows, wanted={})
    for number in range(1, 8):  # buttons pressed since: revisions beyond those of the record
        change_control(path, evaluations=number)
    made = [live.poll(step).changes for step in range(lost_after + 1)]
    # A checkpoint is made here, and from it the run is taken up again.
    second = Progress.from_json(progress.to_json())
    again = LiveControls(tmp_path / "none.json", second, 10)
    again.replay(rows, wanted={})
    made += [again.poll(step).changes for step in range(lost_after + 1, 12)]
    assert [step for step, changes in enumerate(made) if changes] == [5, 8]
    assert second.schedule.peak == 2e-5
