"""Tests of nbtransfer.panels.run_panel: widgets without a kernel, moved as by a front end."""

import pytest
from ipywidgets import Widget

from nbtransfer.panels.live_controls import walk
from nbtransfer.panels.run_panel import WIDGET_VIEW, RunPanel, ago_text
from nbtransfer.panels.run_view import About
from nbtransfer.runs.control import read_control
from nbtransfer.runs.run import Run
from tests.panels.live_runs import LiveRun, about


@pytest.fixture
def run(runs_dir):
    return LiveRun(runs_dir / "calm-heron")


@pytest.fixture
def panel(run):
    panel = RunPanel(run, About.of(run))
    yield panel
    panel.close()


def drawn(panel, run):
    panel.render_state(run.state(), run.status)
    return html_of(panel)


def html_of(panel):
    return "".join(getattr(w, "value", "") for w in walk(panel.root) if w._view_name == "HTMLView")


def test_the_skeleton_is_there_before_the_worker_speaks(panel):
    html = html_of(panel)
    assert "importing" in html
    assert "0:0" in html
    assert "<svg" in html
    assert panel._controls.pause.disabled
    assert not panel._controls.stop.disabled


def test_the_rate_slider_writes_a_wish_and_waits_for_the_answer(panel, run):
    run.start(12)
    drawn(panel, run)
    panel._controls.rate.value = 6e-5
    assert read_control(run.paths.control).learning_rate == pytest.approx(6e-5)
    assert "asked, waiting for the worker" in drawn(panel, run)
    run.change(12, 1, learning_rate=(1e-4, 6e-5))
    html = drawn(panel, run)
    assert "peak; applied at step 12; now 5.0e-5" in html
    assert "peak lr 1.0e-4 → 6.0e-5" in html


def test_an_older_answer_does_not_move_the_slider_back(panel, run):
    run.start(12)
    drawn(panel, run)
    panel._controls.rate.value = 6e-5
    panel._controls.rate.value = 3e-5
    run.change(12, 1, learning_rate=(1e-4, 6e-5))
    assert "asked, waiting" in drawn(panel, run)
    assert panel._controls.rate.value == pytest.approx(3e-5)


def test_a_change_made_elsewhere_moves_the_sliders_and_asks_for_nothing(panel, run):
    run.start(12)
    drawn(panel, run)
    run.change(12, 5, learning_rate=(1e-4, 2e-5), num_train_epochs=(3.0, 20.0))
    drawn(panel, run)
    assert panel._controls.rate.value == pytest.approx(2e-5)
    assert panel._controls.epochs.value == 20
    assert not run.paths.control.exists()


def test_epochs_cannot_go_below_the_one_under_way(panel, run):
    run.start(15)
    drawn(panel, run)
    panel._controls.epochs.value = 1
    assert panel._controls.epochs.value == 2
    assert read_control(run.paths.control).num_train_epochs == 2.0


def test_reaching_the_last_epoch_asks_for_nothing(panel, run):
    run.start(30)
    drawn(panel, run)
    assert not run.paths.control.exists()


def test_a_fraction_of_an_epoch_has_a_slider_too(run):
    panel = RunPanel(run, about(num_train_epochs=0.5))
    assert panel._controls.epochs.value == 0.5
    panel.close()


def test_pause_becomes_resume_once_the_worker_holds(panel, run):
    run.start(5)
    drawn(panel, run)
    button = panel._controls.pause
    button.click()
    assert read_control(run.paths.control).paused
    assert button.disabled
    run.change(5, 1)
    run.log("run_paused", step=5)
    drawn(panel, run)
    assert (button.description, button.disabled) == ("Resume", False)
    button.click()
    assert not read_control(run.paths.control).paused


def test_evaluate_now_needs_validation_rows(run):
    run.start(5)
    with_rows, without = RunPanel(run, about()), RunPanel(run, about(num_validation_rows=0))
    for panel in (with_rows, without):
        panel.render_state(run.state(), "running")
    assert not with_rows._controls.evaluate.disabled
    assert without._controls.evaluate.disabled
    with_rows._controls.evaluate.click()
    assert read_control(run.paths.control).evaluations == 1
    with_rows.close()
    without.close()


def test_stop_says_what_happens_and_cannot_be_pressed_twice(panel, run):
    run.start(5)
    drawn(panel, run)
    panel._controls.stop.click()
    assert read_control(run.paths.control).stop == "stop"
    assert "the worker finishes the step and saves" in drawn(panel, run)
    assert panel._controls.stop.disabled
    assert panel._controls.pause.disabled


def test_an_error_of_a_callback_is_shown_in_the_panel_and_goes_with_the_next_success(
    panel, run, monkeypatch
):
    run.start(5)
    drawn(panel, run)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_ask", lambda *_, **__: (_ for _ in ()).throw(OSError("<disk full>")))
        panel._controls.stop.click()
    assert "OSError: &lt;disk full&gt;" in html_of(panel)
    panel._controls.pause.click()
    assert "disk full" not in html_of(panel)


def test_an_unchanged_part_is_not_sent_again(panel, run):
    run.start(5)
    drawn(panel, run)
    sent = []
    for widget in walk(panel.root):
        widget.observe(lambda change: sent.append(change["name"]))
    panel._controls.render(run.state(), "running", run.state().last_time, "")
    panel._controls.render(run.state(), "running", run.state().last_time, "")
    assert len(sent) <= 1


def test_closing_leaves_no_widget_behind(run):
    before = set(_open_widgets())
    panel = RunPanel(run, About.of(run))
    assert set(_open_widgets()) - before
    panel.close()
    assert set(_open_widgets()) == before


def test_a_settled_panel_is_the_record_and_nothing_else(run):
    panel = RunPanel(run, About.of(run))
    controls = panel._controls
    panel.settle("<p>the record</p>")
    assert html_of(panel) == "<p>the record</p>"
    assert controls.stop.comm is None
    assert panel.root.comm is not None
    panel.close()


def _open_widgets():
    try:
        from ipywidgets.widgets.widget import _instances
    except ImportError:  # ipywidgets 7
        return list(Widget.widgets)
    return list(_instances)


def test_the_saved_output_says_in_words_how_to_look_again(panel):
    data = panel.bundle().data
    assert data[WIDGET_VIEW]["model_id"] == panel.root.model_id
    assert "%finetune --attach calm-heron" in data["text/plain"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "just now"), (9, "5 s ago"), (59, "55 s ago"), (200, "3 min ago"), (8000, "2 h ago")],
)
def test_past_times_are_coarse(seconds, words):
    assert ago_text(seconds) == words
