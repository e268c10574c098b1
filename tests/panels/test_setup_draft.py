import dataclasses

import pytest

from nbtransfer.panels.setup_draft import Drafter, spread_rows
from nbtransfer.spec import RunSpec


@pytest.fixture
def drafter(opened, reviews, tmp_path):
    return Drafter({"df": reviews, "count": 3}, tmp_path)


SPEC = RunSpec(model="demo:minilm", data="df")


def test_a_draft_has_columns_plan_and_the_line(drafter):
    draft = drafter.draft(SPEC)
    assert draft.problems == ()
    assert (draft.columns.text, draft.columns.label) == ("review", "sentiment")
    assert draft.plan.num_steps == 3 * 4  # 54 rows in batches of 16
    assert draft.line == "%finetune demo:minilm df"


def test_a_slider_loads_nothing_again(drafter, opened, monkeypatch):
    first = drafter.draft(SPEC)
    second = drafter.draft(dataclasses.replace(SPEC, learning_rate=1e-5, num_train_epochs=6.0))
    assert opened == ["demo:minilm"]
    assert second.tables is first.tables
    assert second.prepared is first.prepared
    assert second.lengths is first.lengths
    assert second.plan.num_steps == 2 * first.plan.num_steps


def test_another_validation_share_prepares_again_from_the_same_tables(drafter):
    first = drafter.draft(SPEC)
    second = drafter.draft(dataclasses.replace(SPEC, validation=False))
    assert second.tables is first.tables
    assert second.prepared.card.num_rows == {"train": 60}


def test_problems_of_model_data_and_options_are_told_together(drafter):
    draft = drafter.draft(RunSpec(model="missing", data="no-such.csv", learning_rate=-1.0))
    assert draft.plan is None
    assert len(draft.problems) == 3
    assert draft.problems[0] == "no model 'missing'."
    assert "learning_rate" in draft.problems[2]


def test_an_unknown_column_is_a_problem_and_the_tables_stay(drafter):
    draft = drafter.draft(dataclasses.replace(SPEC, label="sentment"))
    assert draft.plan is None and draft.columns is None
    assert draft.tables.splits["train"].column_names == ["review", "sentiment"]
    assert any("sentiment" in words for words in draft.problems)


def test_nothing_chosen_is_said_in_words(drafter):
    draft = drafter.draft(RunSpec(model="", data=""))
    assert [words.split(".")[0] for words in draft.problems[:2]] == [
        "no model is chosen",
        "no data is chosen",
    ]


def test_a_failure_is_kept_until_it_is_forgotten(drafter, opened):
    wrong = dataclasses.replace(SPEC, model="missing")
    drafter.draft(wrong)
    drafter.draft(wrong)
    assert opened == ["missing"]
    drafter.forget_failures()
    drafter.draft(wrong)
    assert opened == ["missing", "missing"]


def test_a_name_that_is_no_data_of_the_notebook_is_taken_as_typed(drafter, reviews):
    assert drafter.data_object("df") is reviews
    assert drafter.data_object("count") == "count"
    assert drafter.data_object("reviews.csv") == "reviews.csv"


def test_spread_rows_reach_over_the_whole_data_without_repeating():
    rows = spread_rows(1_000_000, 20_000)
    assert len(set(rows)) == 20_000
    assert rows[0] == 0 and rows[-1] > 999_000
    assert spread_rows(3, 10) == [0, 1, 2]
