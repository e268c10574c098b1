"""Tests of nbtransfer.panels.show; what would wait is given its answers beforehand."""

import os
import signal
import threading
from types import SimpleNamespace

import pytest

from nbtransfer.errors import RunError
from nbtransfer.panels import show
from nbtransfer.runs.control import read_control
from tests.panels.live_runs import LiveRun


@pytest.fixture
def run(runs_dir):
    return LiveRun(runs_dir / "calm-heron").start(5)


@pytest.fixture
def outputs(monkeypatch):
    """What is displayed, by display id, in order."""
    found = {}

    def put(bundle, display_id=None):
        found[display_id or len(found)] = bundle.data

    monkeypatch.setattr(show, "_display", put)
    monkeypatch.setattr(show, "_update", put)
    return found


def kernel_of(allow_stdin):
    request = {"content": {"allow_stdin": allow_stdin}}
    return SimpleNamespace(kernel=SimpleNamespace(get_parent=lambda channel: request))


@pytest.mark.parametrize(
    ("shell", "variable", "place"),
    [
        (None, "", "terminal"),
        (SimpleNamespace(), "", "terminal"),
        (kernel_of(True), "", "widgets"),
        (kernel_of(False), "", "headless"),
        (kernel_of(True), "1", "headless"),
        (SimpleNamespace(kernel=SimpleNamespace()), "", "widgets"),
    ],
)
def test_the_place_follows_from_who_listens(monkeypatch, shell, variable, place):
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setenv("NBTRANSFER_HEADLESS", variable)
    assert show.find_place() == place


def test_an_ended_run_is_its_record_alone(run, outputs, monkeypatch):
    monkeypatch.setattr(show, "find_place", lambda: "widgets")
    run.log("run_stopped", step=0, reason="stop", train_runtime_s=1.0)
    monkeypatch.setattr("nbtransfer.panels.record._curves_bundle", lambda *_: show.EMPTY)
    show.show_run(run, wait=True)
    assert "Stopped on request" in outputs[0]["text/plain"]
    assert len(outputs) == 2


def test_a_failed_run_raises_after_its_record_is_drawn(run, outputs, monkeypatch):
    monkeypatch.setattr(show, "find_place", lambda: "headless")
    monkeypatch.setattr("nbtransfer.panels.record._curves_bundle", lambda *_: show.EMPTY)
    run.fail(5)
    with pytest.raises(RunError, match="Lower the learning rate") as caught:
        show.show_run(run, wait=True)
    assert caught.value.run is run
    assert "--resume calm-heron" in outputs[0]["text/plain"]
    show.show_run(run, wait=False)


class Clock:
    """A follower that ends, and interrupts that come, after given numbers of looks."""

    def __init__(self, *, ends=10**6, interrupts=()):
        self.looks = 0
        self.ends = ends
        self.at = interrupts
        self.done = self
        self.now = 0.0

    def wait(self, timeout):
        self.looks += 1
        self.now += timeout
        return self.looks > self.ends

    @property
    def count(self):
        return sum(at <= self.looks for at in self.at)


def wait_by(clock, run, monkeypatch, said=None):
    monkeypatch.setattr(show.time, "monotonic", lambda: clock.now)
    said = [] if said is None else said
    return show._wait(run, clock, clock, said.append, lambda: None)


def test_the_first_interrupt_stops_the_run_and_goes_on_waiting(run, monkeypatch):
    said = []
    assert wait_by(Clock(ends=50, interrupts=[3]), run, monkeypatch, said)
    assert read_control(run.paths.control).stop == "interrupt"
    assert said == [show.STOPPING]


def test_the_second_interrupt_frees_the_cell_and_the_run_still_stops(run, monkeypatch):
    clock = Clock(interrupts=[3, 5])
    assert not wait_by(clock, run, monkeypatch)
    assert clock.looks < 10
    assert read_control(run.paths.control).stop == "interrupt"


def test_a_restart_of_the_kernel_does_not_stop_the_run(run, monkeypatch):
    clock = Clock(interrupts=[3])
    monkeypatch.setattr(show, "is_shutting_down", lambda: clock.looks > 5)
    assert not wait_by(clock, run, monkeypatch)
    assert not run.paths.control.exists()


def test_without_interrupts_nothing_is_written(run, monkeypatch):
    assert wait_by(Clock(ends=20), run, monkeypatch)
    assert not run.paths.control.exists()


def test_a_run_that_cannot_be_told_to_stop_yet_is_told_again(run, monkeypatch):
    asked, said, clock = [], [], Clock(interrupts=[3])

    def stop(*, reason):
        asked.append(reason)
        if len(asked) < 3:
            raise RunError("no space left")
        clock.ends = clock.looks + 1

    monkeypatch.setattr(run, "stop", stop)
    assert wait_by(clock, run, monkeypatch, said)
    assert asked == ["interrupt"] * 3
    assert said == [show.STOPPING, "no space left", "no space left"]


def test_the_second_interrupt_frees_the_cell_of_a_run_that_cannot_be_told(run, monkeypatch):
    def stop(*, reason):
        raise RunError("no space left")

    monkeypatch.setattr(run, "stop", stop)
    clock = Clock(interrupts=[3, 40])
    assert not wait_by(clock, run, monkeypatch)
    assert clock.looks == 40


class Silent:
    """A follower without a thread."""

    def __init__(self, run, render, *, on_error, on_end):
        self.done = threading.Event()
        self.end = on_end

    def start(self):
        pass


def test_a_detached_run_fills_the_outputs_it_reserved(run, outputs, monkeypatch):
    monkeypatch.setattr(show, "Follower", Silent)
    monkeypatch.setattr("nbtransfer.panels.record._curves_bundle", lambda *_: show.EMPTY)
    display = show._Display(run, "headless")
    display.open()
    display.detach()
    assert len(outputs) == 4
    reserved = set(outputs)
    run.complete(5)
    display.follower.end()
    assert set(outputs) == reserved
    assert "Kept: the best model" in next(iter(outputs.values()))["text/plain"]


def test_whatever_breaks_a_waiting_cell_off_its_panel_goes_on(run, outputs, monkeypatch):
    monkeypatch.setattr(show, "Follower", Silent)
    monkeypatch.setattr("nbtransfer.panels.record._curves_bundle", lambda *_: show.EMPTY)

    def break_off(*_):
        raise KeyboardInterrupt  # a third interrupt

    monkeypatch.setattr(show, "_wait", break_off)
    with pytest.raises(KeyboardInterrupt):
        show._show_in_notebook(run, "headless", wait=True)
    (display,) = show._OPEN.values()
    run.complete(5)
    display.follower.end()
    assert "Kept: the best model" in outputs[next(iter(outputs))]["text/plain"]
    assert not show._OPEN


def test_a_waiting_cell_draws_the_record_itself_and_once(run, outputs, monkeypatch):
    monkeypatch.setattr(show, "Follower", Silent)
    drawn = []
    monkeypatch.setattr(
        show, "record_bundles", lambda *_: iter([show.EMPTY]) if not drawn.append(1) else None
    )
    display = show._Display(run, "headless")
    display.open()
    run.complete(5)
    display.follower.end()
    assert drawn == []
    display.finish()
    display.finish()
    assert drawn == [1]
    assert not show._OPEN


@pytest.mark.parametrize("drawing", ["skeleton", "record"])
def test_an_interrupt_while_something_is_drawn_lets_it_be_drawn_whole(
    run, outputs, monkeypatch, drawing
):
    put = show._display

    def interrupted(bundle, display_id=None):
        if not outputs and drawing == "skeleton":
            os.kill(os.getpid(), signal.SIGINT)
        put(bundle, display_id)

    def record(*_):
        yield show.EMPTY
        if drawing == "record":
            os.kill(os.getpid(), signal.SIGINT)
        yield show.EMPTY

    class Ended(Silent):
        def start(self):
            run.complete(5)
            self.done.set()

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(show, "_display", interrupted)
    monkeypatch.setattr(show, "record_bundles", record)
    monkeypatch.setattr(show, "Follower", Ended)
    show._show_in_notebook(run, "headless", wait=True)
    assert len(outputs) == 2
    assert not show._OPEN
    assert signal.getsignal(signal.SIGINT) == before  # the kernel's own interrupt works again


def test_headless_output_is_updated_at_most_every_two_seconds(run, outputs, monkeypatch):
    from nbtransfer.panels.follower import Update

    now = [100.0]
    monkeypatch.setattr(show.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(show, "_update", lambda bundle, display_id: drawn.append(now[0]))
    drawn = []
    card = show._HeadlessCard(run, show.About.of(run), "id")
    for tenth in range(60):
        now[0] = 100 + tenth / 10
        card.render(Update(run.state(), "running", True))
    assert drawn == [100.0, 102.0, 104.0]


def test_headless_creates_no_widget_and_says_where_it_stands(run, outputs, monkeypatch):
    monkeypatch.setattr(show, "Follower", Silent)
    display = show._Display(run, "headless")
    display.open()
    (data,) = outputs.values()
    assert set(data) == {"text/html", "text/plain"}
    assert "step 5 of 30" in data["text/plain"]
    show._OPEN.clear()
