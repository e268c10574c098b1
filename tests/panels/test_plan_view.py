from types import SimpleNamespace

import pytest

from nbtransfer.panels.plan_view import decided_rows, plan_markup, plan_text
from nbtransfer.spec import RunSpec
from tests.runs.folders import DATA_CARD, PLAN


@pytest.fixture
def job():
    return SimpleNamespace(
        spec=RunSpec(model="demo:minilm", data="<b>df</b>"),
        plan=PLAN,
        prepared=SimpleNamespace(card=DATA_CARD),
        notes=("text column: 'text'", "output_dir is not used."),
    )


def test_the_plan_says_rows_steps_and_rate(job):
    rows = dict(decided_rows(job))
    assert rows["rows"] == "3 to train + 1 held out"
    assert rows["epochs"] == "3, 2 steps each"
    assert rows["steps"] == "6"
    assert rows["learning rate"].startswith("1.0e-4, warm-up 0 steps")


def test_text_holds_plan_notes_and_line(job):
    text = plan_text(job, "%finetune demo:minilm df")
    assert "note: output_dir is not used." in text
    assert text.endswith("%finetune demo:minilm df")


def test_markup_escapes_and_states_the_notes(job):
    html = plan_markup(job, "%finetune <b>")
    assert "<b>df" not in html and "&lt;b&gt;df" in html
    assert "output_dir is not used." in html
