import html
import re
from types import SimpleNamespace

import pytest

from nbtransfer.errors import SpecError
from nbtransfer.panels import setup_panel
from nbtransfer.panels.setup_choices import Choice
from nbtransfer.panels.setup_controls import Controls
from nbtransfer.panels.setup_draft import Drafter
from nbtransfer.panels.setup_panel import SetupForm, guess_text, show_setup, start_run
from nbtransfer.spec import RunSpec

MODELS = [Choice("demo:minilm", "demo:minilm"), Choice("missing", "missing")]
DATA = [Choice("df", "df")]
SPEC = RunSpec(model="demo:minilm", data="df")


@pytest.fixture
def drafter(opened, reviews, tmp_path):
    return Drafter({"df": reviews}, tmp_path / "runs")


@pytest.fixture
def form(drafter):
    form = SetupForm(drafter, Controls(SPEC, MODELS, DATA))
    form.update()
    return form


def shown_line(form):
    """The line as it is copied from the page."""
    code = form.plan.value.split('class="nbt-code">')[1]
    return html.unescape(re.sub("<[^>]*>", "", code)).strip()


def test_the_plan_and_the_line_are_there_before_start_is_pressed(form):
    assert "steps" in form.plan.value and "baseline to beat" in form.plan.value
    assert shown_line(form) == "%finetune demo:minilm df --text review --label sentiment"
    assert not form.start.disabled


def test_the_plan_and_the_line_follow_a_change(form):
    before = form.draft.plan
    form.controls.epochs.value = 6
    assert form.draft.plan.num_steps == 2 * before.num_steps
    assert f"<b>{form.draft.plan.num_steps}</b>" in form.plan.value
    assert shown_line(form).endswith("--epochs 6")


def test_a_problem_stands_where_the_plan_was_and_start_is_off(form):
    form.controls.model.list.value = "missing"
    assert "no model &#x27;missing&#x27;" in form.plan.value
    assert "baseline" not in form.plan.value
    assert form.start.disabled
    form.controls.model.list.value = "demo:minilm"
    assert not form.start.disabled


def test_a_bug_in_a_callback_is_shown_in_the_form(form, monkeypatch):
    def fail(_spec):
        raise ZeroDivisionError("of our own <making>")

    monkeypatch.setattr(form.drafter, "draft", fail)
    form.controls.epochs.value = 9
    assert "ZeroDivisionError: of our own &lt;making&gt;" in form.plan.value


def test_column_names_cannot_be_markup(opened, tmp_path):
    rows = [{"<img src=x>": f"text number {i}", "label": i % 2} for i in range(40)]
    form = SetupForm(Drafter({"df": rows}, tmp_path), Controls(SPEC, MODELS, DATA))
    form.update()
    assert "&lt;img" in form.plan.value
    assert "<img" not in form.plan.value


def test_start_hands_over_the_objects_and_only_what_was_asked(drafter, reviews, monkeypatch):
    seen = {}

    def prepare_job(model, data, **rest):
        seen.update(rest, model=model, data=data)
        return "job"

    api = SimpleNamespace(prepare_job=prepare_job, start_job=lambda job: f"run of {job}")
    monkeypatch.setattr("nbtransfer.api", api, raising=False)
    monkeypatch.setitem(__import__("sys").modules, "nbtransfer.api", api)
    spec = RunSpec(model="demo:minilm", data="df", text="review", validation=False, seed=1)
    assert start_run(drafter, spec) == "run of job"
    assert seen["model"] == "demo:minilm"
    assert seen["data"] is reviews
    assert seen["data_name"] == "df"
    assert seen["keywords"] == {"text": "review", "validation": False, "seed": 1}
    assert seen["runs_dir"] == drafter.runs_dir


def test_start_leaves_the_line_and_shows_the_run_and_closes_the_form(form, monkeypatch):
    shown, updates = [], []
    monkeypatch.setattr(setup_panel, "start_run", lambda _drafter, spec: f"run on {spec.data}")
    monkeypatch.setattr(
        "nbtransfer.panels.show.show_run", lambda run, *, wait: shown.append((run, wait))
    )
    form._handle = SimpleNamespace(update=lambda data, raw: updates.append(data["text/plain"]))
    form.start.click()
    assert shown == [("run on df", False)]
    assert updates == ["%finetune demo:minilm df --text review --label sentiment"]
    assert form.root.comm is None


def test_a_start_that_is_refused_says_why_and_can_be_tried_again(form, monkeypatch):
    def refuse(_drafter, _spec):
        raise SpecError(["the runs folder is full."])

    monkeypatch.setattr(setup_panel, "start_run", refuse)
    form.start.click()
    assert "the runs folder is full." in form.plan.value
    assert form.start.description == "Start"
    form.controls.epochs.value = 2
    assert not form.start.disabled


def test_without_a_front_end_the_line_of_the_best_guess_is_shown(
    opened, reviews, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shown = []
    monkeypatch.setattr(setup_panel, "display", lambda data, raw: shown.append(data["text/plain"]))
    show_setup({"df": reviews}, runs_dir=tmp_path / "runs", defaults={"num_train_epochs": 2})
    assert shown == ["%finetune demo:minilm df --text review --label sentiment --epochs 2"]


def test_the_best_guess_says_what_stands_in_its_way(drafter):
    text = guess_text(drafter, RunSpec(model="missing", data="df"))
    assert text.splitlines() == [
        "%finetune missing df --text review --label sentiment",
        "no model 'missing'.",
    ]
