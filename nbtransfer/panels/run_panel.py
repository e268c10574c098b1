"""The live panel of one run: widgets that show its state and write wishes to control.json."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from nbtransfer.panels import run_view as view
from nbtransfer.panels.chart import chart_info, chart_svg
from nbtransfer.panels.examples_view import latest_examples
from nbtransfer.panels.figure_bundle import Bundle
from nbtransfer.panels.live_controls import walk
from nbtransfer.panels.markup import Markup, join, style_sheet, tag
from nbtransfer.panels.quantities import rate_text
from nbtransfer.panels.run_notes import note_lines, notes_block
from nbtransfer.panels.run_panel_style import LIVE_STYLE
from nbtransfer.panels.style import STYLE
from nbtransfer.runs.state import RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbtransfer.panels.follower import Update
    from nbtransfer.panels.run_view import About
    from nbtransfer.runs.run import Run

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_ASKED = "asked, waiting for the worker"
_RATE_RANGE = (1 / 30, 10.0)  # of the learning rate the run began with
_FALLBACK_RATE = 1e-4


class RunPanel:
    """The widgets of one run. Callbacks only call the run's setters; `render` only reads.

    Args:
        run: the run; its setters are what the controls call.
        about: what is known of it from its folder.
    """

    def __init__(self, run: Run, about: About) -> None:
        self._run = run
        self._about = about
        self._opened = time.time()
        self._state = RunState()
        self._is_over = False
        self._stopping = ""
        self._liveness = ""
        self._head, self._chart = widgets.HTML(), widgets.HTML()
        self._table, self._notes, self._error = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._controls = _Controls(self)
        body = widgets.Box([self._chart, self._controls.box])
        for widget, name in (
            (body, "nbt-body"),
            (self._chart, "nbt-chart"),
            (self._controls.box, "nbt-ctl"),
        ):
            widget.add_class(name)
        style = widgets.HTML(str(join(style_sheet(STYLE), style_sheet(LIVE_STYLE))))
        style.add_class("nbt-hidden")
        self.root = widgets.VBox([style, self._head, body, self._table, self._notes, self._error])
        self.root.add_class("nbt")
        self.root.add_class("nbt-live")
        self.render_state(self._state, "created")

    @property
    def run(self) -> Run:
        """The run shown."""
        return self._run

    @property
    def about(self) -> About:
        """What is known of the run from its folder."""
        return self._about

    def bundle(self) -> Bundle:
        """Return what to display: the widget's view, and a line for where no widget is drawn."""
        view_record = {"version_major": 2, "version_minor": 0, "model_id": self.root.model_id}
        text = (
            f"Run {self._run.id} is in progress; its panel needs a running kernel. "
            f"Look again with: %finetune --attach {self._run.id}"
        )
        return Bundle({WIDGET_VIEW: view_record, "text/plain": text}, {})

    def render(self, update: Update) -> None:
        """Show the newest state; called by the follower."""
        self.render_state(update.state, update.status)

    def render_state(self, state: RunState, status: str) -> None:
        """Show `state`; parts whose HTML is the same are not sent again."""
        self._state = state
        about, now = self._about, time.time()
        _put(
            self._head,
            join(
                view.head(about, state, status, now, self._opened),
                view.bar(state),
                view.facts_row(about, state, status),
            ),
        )
        _put(self._chart, chart_svg(chart_info(state, about.baseline, about.num_steps)))
        table = view.evaluations_table(state)
        shown = tag("div", table, class_="nbt-section") if table else None
        _put(self._table, join(shown, latest_examples(state)))
        _put(
            self._notes,
            join(
                view.warnings_block(view.warning_pairs(about, state)),
                notes_block(note_lines(about, state)),
            ),
        )
        self._controls.render(state, status, now, self._stopping or self._liveness)

    def say_stopping(self, sentence: str) -> None:
        """Show that the run was asked to stop."""
        self._stopping = sentence
        self._controls.say(sentence)

    def say_late(self) -> None:
        """Show that this kernel hands the controls' messages over only when the cell has ended."""
        self._liveness = "In this kernel the controls act once the cell has ended."

    def show_error(self, error: Exception) -> None:
        """Show an error of a callback or of the drawing where the user looks."""
        headline = f"{type(error).__name__}: {error}"
        _put(
            self._error,
            tag("div", tag("b", headline), " Training goes on.", class_="nbt-say nbt-say-bad"),
        )

    def clear_error(self) -> None:
        """Take the last error away."""
        _put(self._error, None)

    def settle(self, html: str) -> None:
        """Show the record in the panel's own place, for a page that was reloaded.

        Such a page has forgotten which output is whose: an update of the output does not reach it.
        """
        record = widgets.HTML(html)
        former = [w for child in self.root.children for w in walk(child)]
        self.root.remove_class("nbt")
        self.root.remove_class("nbt-live")
        self.root.children = [record]
        for widget in former:
            widget.close()

    def close(self) -> None:
        """Close every widget: nothing of the panel stays in the kernel or the front end."""
        for widget in list(walk(self.root)):
            widget.close()


class _Controls:
    """The right-hand column: two sliders, three buttons and what became of them."""

    def __init__(self, panel: RunPanel) -> None:
        self._panel = panel
        about = panel.about
        self._rate = about.learning_rate or _FALLBACK_RATE
        self._epochs = about.num_train_epochs or 1.0
        # The revision a wish was given, until the worker has answered it.
        self._asked: dict[str, int] = {}
        low, high = (math.log10(self._rate * factor) for factor in _RATE_RANGE)
        self.rate = widgets.FloatLogSlider(
            value=self._rate,
            base=10,
            min=low,
            max=high,
            step=(high - low) / 100,
            description="Learning rate",
            readout_format=".1e",
            continuous_update=False,
        )
        whole = float(self._epochs).is_integer()
        kind = widgets.IntSlider if whole else widgets.FloatSlider
        most = max(3 * self._epochs, self._epochs + 3)
        self.epochs = kind(
            value=int(self._epochs) if whole else self._epochs,
            min=1 if whole else min(0.25, self._epochs),
            max=int(most) if whole else most,
            step=1 if whole else 0.25,
            description="Epochs",
            continuous_update=False,
        )
        self.pause = widgets.Button(description="Pause")
        self.evaluate = widgets.Button(description="Evaluate now")
        self.stop = widgets.Button(description="Stop and keep")
        self.stop.add_class("nbt-btn-wide")
        buttons = widgets.Box([self.pause, self.evaluate, self.stop])
        buttons.add_class("nbt-btns")
        self._rate_note, self._epochs_note = widgets.HTML(), widgets.HTML()
        self._foot = widgets.HTML()
        self.box = widgets.VBox(
            [self.rate, self._rate_note, self.epochs, self._epochs_note, buttons, self._foot]
        )
        self.rate.observe(self._guarded(self._rate_moved), "value")
        self.epochs.observe(self._guarded(self._epochs_moved), "value")
        self.pause.on_click(self._guarded(self._pause_pressed))
        self.evaluate.on_click(self._guarded(self._evaluate_pressed))
        self.stop.on_click(self._guarded(self._stop_pressed))

    def _guarded(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return `callback` with its errors shown in the panel: nothing else of it is seen."""

        def guarded(event: Any) -> None:  # noqa: ANN401 -- a trait's change or a button
            try:
                callback(event)
                self._panel.clear_error()
            except Exception as error:  # a widget's callback: shown where the user looks
                self._panel.show_error(error)

        return guarded

    def _rate_moved(self, change: dict[str, Any]) -> None:
        # What `render` sets comes back here too: it is what is known already.
        if not math.isclose(change["new"], self._rate, rel_tol=1e-6):
            self._rate = change["new"]
            self._asked["learning_rate"] = self._panel.run.set(learning_rate=self._rate)
            _put(self._rate_note, _note(_ASKED))

    def _epochs_moved(self, change: dict[str, Any]) -> None:
        if not math.isclose(change["new"], self._epochs, rel_tol=1e-6):
            self._epochs = float(change["new"])
            self._asked["num_train_epochs"] = self._panel.run.set(num_train_epochs=self._epochs)
            _put(self._epochs_note, _note(_ASKED))

    def _pause_pressed(self, _button: object) -> None:
        run = self._panel.run
        self._asked["pause"] = run.unpause() if self.pause.description == "Resume" else run.pause()
        self.pause.disabled = True

    def _evaluate_pressed(self, _button: object) -> None:
        self._asked["evaluate"] = self._panel.run.evaluate_now()
        self.evaluate.disabled = True

    def _stop_pressed(self, _button: object) -> None:
        self._panel.run.stop()
        self._panel.say_stopping("Stopping: the worker finishes the step and saves.")
        for button in (self.stop, self.pause, self.evaluate):
            button.disabled = True

    def say(self, sentence: str) -> None:
        """Show a sentence below the buttons at once."""
        _put(self._foot, _note(sentence))

    def render(self, state: RunState, status: str, now: float, sentence: str) -> None:
        """Show what the worker answered; wishes it has not answered yet keep their place."""
        self._asked = {
            name: revision for name, revision in self._asked.items() if state.revision < revision
        }
        is_stopping = self.stop.disabled
        self._render_rate(state)
        self._render_epochs(state)
        ended = status in view.ENDED
        can_step = bool(state.num_steps) and not ended and not is_stopping
        _set(self.pause, description="Resume" if state.paused else "Pause")
        _set(self.pause, disabled=not can_step or "pause" in self._asked)
        has_validation = bool(self._panel.about.num_validation_rows)
        _set(self.evaluate, disabled=not (can_step and has_validation) or "evaluate" in self._asked)
        if ended:
            for widget in (self.rate, self.epochs, self.stop):
                _set(widget, disabled=True)
        _put(self._foot, _note(sentence or _checkpoint_sentence(state, now)))

    def _render_rate(self, state: RunState) -> None:
        if "learning_rate" in self._asked:
            _put(self._rate_note, _note(_ASKED))
            return
        if state.learning_rate and not math.isclose(state.learning_rate, self._rate, rel_tol=1e-6):
            self._rate = state.learning_rate
            self.rate.value = state.learning_rate
        parts = ["peak"]
        if (step := _changed_at(state, "learning_rate")) is not None:
            parts.append(f"applied at step {step:,}")
        if state.steps:
            parts.append(f"now {rate_text(state.steps[-1].learning_rate)}")
        _put(self._rate_note, _note("; ".join(parts)))

    def _render_epochs(self, state: RunState) -> None:
        if "num_train_epochs" in self._asked:
            _put(self._epochs_note, _note(_ASKED))
            return
        wanted = state.num_train_epochs
        if wanted and not math.isclose(wanted, self._epochs, rel_tol=1e-6):
            self._epochs = wanted
            self.epochs.max = max(self.epochs.max, math.ceil(wanted))
            self.epochs.value = type(self.epochs.value)(wanted)
        if state.steps:
            # The epoch under way cannot be taken back.
            lowest = min(max(math.ceil(state.steps[-1].epoch), 1), self._epochs)
            if self.epochs.min < lowest <= self.epochs.value:
                self.epochs.min = type(self.epochs.value)(lowest)
        parts = [f"{state.steps_per_epoch:,} steps each"] if state.steps_per_epoch else []
        if (step := _changed_at(state, "num_train_epochs")) is not None:
            parts.append(f"decay re-stretched at step {step:,}")
        _put(self._epochs_note, _note("; ".join(parts) or "\u00a0"))


def _changed_at(state: RunState, name: str) -> int | None:
    return next((row.step for row in reversed(state.changes) if name in row.changes), None)


def _checkpoint_sentence(state: RunState, now: float) -> str:
    if not state.checkpoints:
        return "No checkpoint yet. ■ (Interrupt) stops and keeps the model."
    last = state.checkpoints[-1]
    return (
        f"Last checkpoint at step {last.step:,}, {ago_text(now - last.time)}. "
        "■ (Interrupt) also stops and keeps."
    )


def ago_text(seconds: float) -> str:
    """Return a time that has passed, in words; coarse, so that it changes seldom."""
    if seconds < 5:
        return "just now"
    if seconds < 60:
        return f"{5 * int(seconds // 5)} s ago"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago"


def _note(text: str) -> Markup:
    return tag("p", text, class_="nbt-note")


def _put(widget: widgets.HTML, markup: Markup | None) -> None:
    _set(widget, value=str(markup or ""))


def _set(widget: widgets.Widget, **traits: object) -> None:
    """Set what differs: each trait that is set is a message to the front end."""
    for name, value in traits.items():
        if getattr(widget, name) != value:
            setattr(widget, name, value)
