import signal
from types import SimpleNamespace

import pytest

from nbtransfer.api import resume_run
from nbtransfer.errors import DataError, RunError, SpecError
from nbtransfer.runs.interrupts import InterruptCounter
from tests.runs.folders import begun, completed, make_run, write_events


@pytest.fixture
def calls(monkeypatch, runs_dir):
    """What the magic asks of the API and the panels; a started run is a real folder."""
    seen = SimpleNamespace(prepared=[], shown=[], setups=[], resumed=[], warm=0)

    def prepare_job(model, data, **options):
        seen.prepared.append((model, data, options))
        return SimpleNamespace(notes=("text column: review",))

    def start_job(job):
        return make_run(runs_dir)

    def resume_run(run, **options):
        seen.resumed.append((run.id, options))
        return run

    def warm_up():
        seen.warm += 1

    monkeypatch.setattr("nbtransfer.api.prepare_job", prepare_job)
    monkeypatch.setattr("nbtransfer.api.start_job", start_job)
    monkeypatch.setattr("nbtransfer.api.resume_run", resume_run)
    monkeypatch.setattr("nbtransfer.runs.launch.warm_up", warm_up)
    monkeypatch.setattr(
        "nbtransfer.panels.show.show_run", lambda run, *, wait: seen.shown.append((run.id, wait))
    )
    monkeypatch.setattr(
        "nbtransfer.panels.setup_panel.show_setup",
        lambda names, **options: seen.setups.append((names, options)),
    )
    return seen


def test_a_line_starts_a_run_shows_it_and_returns_it(cells, calls, rows):
    cells.names["films"] = rows
    cells.ok("run = %finetune demo:minilm films --epochs 2 --text review")
    assert cells.names["run"].id == "calm-heron-0712"
    ((model, data, options),) = calls.prepared
    assert (model, data is rows) == ("demo:minilm", True)
    assert options["keywords"] == {"num_train_epochs": 2, "text": "review"}
    assert (options["model_name"], options["data_name"]) == (None, "films")
    assert calls.shown == [("calm-heron-0712", True)]
    assert calls.warm == 1


def test_a_background_run_of_a_terminal_tells_its_choices_at_once(cells, calls):
    ran = cells.ok("run = %finetune demo:minilm demo:tweets --background")
    assert "text column: review" in ran.shown


def test_without_assignment_the_cell_ends_in_one_line(cells, calls):
    ran = cells.ok("%finetune demo:minilm demo:tweets")
    assert repr(ran.value) == "Run calm-heron-0712: created"


def test_a_cell_body_holds_options_one_a_line(cells, calls):
    cells.ok("%%finetune demo:minilm demo:tweets\n# twice over\n--epochs 2\n--lr 1e-4  # peak\n")
    assert calls.prepared[0][2]["keywords"] == {"num_train_epochs": 2, "learning_rate": 1e-4}


def test_a_cell_body_may_name_model_and_data_too(cells, calls):
    cells.ok("%%finetune\ndemo:minilm demo:tweets\n--epochs 2")
    assert calls.prepared[0][:2] == ("demo:minilm", "demo:tweets")


def test_background_does_not_wait(cells, calls):
    cells.ok("%finetune demo:minilm demo:tweets --background")
    assert calls.shown == [("calm-heron-0712", False)]


def test_held_out_rows_come_from_a_variable(cells, calls, rows):
    cells.names.update(films=rows, held=rows[:4], dev=rows[4:])
    cells.ok("%finetune demo:minilm films --validation held")
    cells.run("%finetune demo:minilm films --validation dev")
    assert calls.prepared[0][2]["keywords"]["validation"] == rows[:4]
    assert calls.prepared[1][2]["keywords"]["validation"] == "dev"


def test_bare_finetune_opens_the_form_with_what_was_given(cells, calls, runs_dir):
    cells.names["films"] = [{"text": "a"}]
    assert cells.ok("%finetune --epochs 5 --output-dir x").value is None
    ((names, options),) = calls.setups
    assert names["films"] == [{"text": "a"}]
    assert options == {"runs_dir": runs_dir, "defaults": {"num_train_epochs": 5}}


def test_as_code_writes_variables_bare_and_starts_nothing(cells, calls, rows):
    cells.names["films"] = rows
    shown = cells.ok("%finetune demo:minilm films --lr 1e-4 --fp16 --logging-dir x --as-code").shown
    assert "nt.finetune('demo:minilm', films, learning_rate=1e-4, precision='fp16')" in shown
    assert not calls.prepared and not calls.warm


def test_plan_is_shown_and_nothing_is_started(cells, calls, monkeypatch):
    plans = []
    monkeypatch.setattr(
        "nbtransfer.panels.plan_view.show_plan", lambda job, *, runs_dir: plans.append(job)
    )
    assert cells.ok("%finetune demo:minilm demo:tweets --plan").value is None
    assert len(plans) == 1 and not calls.shown and not calls.warm


def test_help_is_shown(cells, calls):
    shown = cells.ok("%finetune --help").shown
    assert "--technique full|top:2|head|features|lora" in shown and "Training:" in shown


def test_data_is_asked_for_where_only_a_model_is_given(cells, calls, rows):
    cells.names["films"] = rows
    error = cells.run("%finetune demo:minilm").error
    assert isinstance(error, DataError)
    assert str(error) == "%finetune demo:minilm needs DATA too. Data in this notebook: films."


def test_attach_takes_the_newest_live_run(cells, calls, runs_dir):
    begun(make_run(runs_dir, "live"))
    write_events(make_run(runs_dir, "done"), completed(6))
    assert cells.ok("%finetune --attach").value.id == "live"
    cells.ok("%finetune --attach --background")
    cells.ok("%finetune --attach done")
    assert calls.shown == [("live", True), ("live", False), ("done", False)]


def test_attach_says_when_nothing_is_going_on(cells, calls):
    error = cells.run("%finetune --attach").error
    assert isinstance(error, RunError) and "no run is going on in" in str(error)


def test_resume_goes_on_with_a_run(cells, calls, runs_dir):
    make_run(runs_dir, "broken")
    cells.ok("run = %finetune --resume broken")
    assert calls.resumed == [("broken", {"changes": {}, "allow": False})]
    assert calls.shown == [("broken", True)]


def test_resume_passes_on_what_is_to_change_and_whether_that_is_meant(cells, calls, runs_dir):
    make_run(runs_dir, "broken")
    cells.ok("run = %finetune --resume broken --epochs 3 --allow --background")
    assert calls.resumed == [("broken", {"changes": {"num_train_epochs": 3}, "allow": True})]
    assert calls.shown == [("broken", False)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--epochs 5", "num_train_epochs 3.0 -> 5. If meant, add --allow."),
        ("--lr 0.5 --allow", "learning_rate None -> 0.5 it would be another."),
        ("--text review", "text None -> review it would be another."),
    ],
)
def test_a_change_on_resuming_is_refused_unless_safe_and_meant(
    cells, calls, runs_dir, monkeypatch, options, message
):
    monkeypatch.setattr("nbtransfer.api.resume_run", resume_run)
    make_run(runs_dir, "broken")
    error = cells.run(f"%finetune --resume broken {options}").error
    assert isinstance(error, RunError) and message in str(error)
    assert calls.shown == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("m d --resume broken", "--resume takes a run as it is: leave out m, d."),
        ("--resume broken --plan", "--resume takes a run as it is: leave out --plan."),
        ("demo:minilm df --attach", "--attach takes a run as it is: leave out demo:minilm, df."),
        ("m d --plan --as-code", "--plan and --as-code do not go together"),
        ("m d --plan --background", "--plan and --background do not go together"),
        ("--plan", "--plan needs a model and data: %finetune MODEL DATA --plan"),
    ],
)
def test_what_would_be_ignored_is_refused(cells, calls, line, message):
    error = cells.run(f"%finetune {line}").error
    assert isinstance(error, SpecError) and message in str(error)


def test_a_mistyped_run_to_resume_is_named(cells, calls, runs_dir):
    make_run(runs_dir, "broken")
    error = cells.run("%finetune --resume brokn").error
    assert isinstance(error, RunError) and "Did you mean broken?" in str(error)


def test_an_interrupt_while_the_run_is_handed_over_reaches_its_panel(cells, calls, monkeypatch):
    seen = []

    def start_job(job):
        signal.raise_signal(signal.SIGINT)
        return "the run"

    def show_run(run, *, wait):
        with InterruptCounter() as interrupts:
            seen.append((run, interrupts.count))

    monkeypatch.setattr("nbtransfer.api.start_job", start_job)
    monkeypatch.setattr("nbtransfer.panels.show.show_run", show_run)
    cells.ok("run = %finetune demo:minilm demo:tweets")
    assert seen == [("the run", 1)] and cells.names["run"] == "the run"
