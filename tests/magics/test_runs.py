import pytest

from nbtransfer.errors import RunError, SpecError
from nbtransfer.runs.control import read_control
from tests.runs.folders import begun, completed, make_run, write_events


@pytest.fixture
def live(runs_dir):
    return begun(make_run(runs_dir, "live"))


@pytest.fixture
def done(runs_dir):
    run = make_run(runs_dir, "done")
    write_events(run, completed(6))
    return run


def test_runs_are_listed(cells, live, done):
    shown = cells.ok("%runs").shown
    assert "live" in shown and "done" in shown and "completed" in shown


def test_another_folder_can_be_listed(cells, done):
    assert "done" not in cells.ok("%runs --runs-dir elsewhere").shown


def test_stop_asks_the_worker_to_stop(cells, live):
    ran = cells.ok("%runs stop live")
    assert read_control(live.paths.control).stop == "stop"
    assert "live: stopping at the next step, keeping its model" in ran.shown


def test_stop_without_a_name_takes_the_live_run(cells, done, live):
    cells.ok("%runs stop")
    assert read_control(live.paths.control).stop == "stop"


def test_now_is_handed_on(cells, live, monkeypatch):
    seen = []
    monkeypatch.setattr("nbtransfer.runs.run.Run.stop", lambda run, *, now: seen.append(now))
    assert "live: killed" in cells.ok("%runs stop live --now").shown
    assert seen == [True]


def test_show_draws_the_run_without_waiting_and_returns_it(cells, done, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "nbtransfer.panels.show.show_run", lambda run, *, wait: seen.append((run.id, wait))
    )
    assert cells.ok("%runs show done").value.id == "done"
    assert seen == [("done", False)]


def test_rm_removes_a_finished_run_by_variable_or_name(cells, done, runs_dir):
    cells.names["r"] = done
    cells.ok("%runs rm r")
    assert not list(runs_dir.iterdir())


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("rm live", RunError, "run 'live' is running. Stop it first: %runs stop live"),
        ("rm done live", RunError, "run 'live' is running."),
        ("rm", SpecError, "%runs rm needs the run's name"),
        ("rm dnoe", RunError, "Did you mean done?"),
        ("rm ../..", RunError, "no run '../..'"),
        ("stop done", RunError, "run 'done' is completed already"),
        (
            "remove done",
            SpecError,
            "cannot 'remove'. It can: show, stop, rm. Did you mean rm?",
        ),
        ("shwo done", SpecError, "Did you mean show?"),
        ("rm done --now", SpecError, "--now goes with %runs stop"),
        ("stop live --nwo", SpecError, "no option '--nwo'. Did you mean --now?"),
    ],
)
def test_a_mistake_is_named_and_changes_nothing(cells, live, done, line, kind, message):
    error = cells.run(f"%runs {line}").error
    assert isinstance(error, kind) and message in str(error)
    assert live.dir.is_dir() and done.dir.is_dir()
    assert read_control(live.paths.control).stop is None
