import dataclasses

import pandas as pd
import pytest

from nbtransfer.errors import ModelError
from nbtransfer.panels.setup_draft import Drafter
from nbtransfer.spec import RunSpec


@pytest.fixture
def drafter(opened, reviews, tmp_path):
    return Drafter({"df": reviews, "count": 3}, tmp_path / "runs")


SPEC = RunSpec(model="demo:minilm", data="df")


def test_a_draft_has_columns_plan_and_the_line(drafter):
    draft = drafter.draft(SPEC)
    assert draft.problems == ()
    assert draft.roles == {"text": "review", "label": "sentiment"}
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
    assert draft.plan is None and draft.roles == {}
    assert draft.tables.splits["train"].column_names == ["review", "sentiment"]
    assert any("sentiment" in words for words in draft.problems)


def test_nothing_chosen_is_said_in_words(drafter):
    draft = drafter.draft(RunSpec(model="", data=""))
    assert [words.split(".")[0] for words in draft.problems[:2]] == [
        "no model is chosen",
        "no data is chosen",
    ]


def test_a_tokenizer_that_cannot_be_read_is_a_problem_in_words(drafter, monkeypatch):
    def refuse(_texts, _file):
        raise ModelError("the tokenizer cannot be read.")

    monkeypatch.setattr("nbtransfer.panels.setup_draft.measure_lengths", refuse)
    draft = drafter.draft(SPEC)
    assert draft.problems == ("the tokenizer cannot be read.",)
    assert draft.plan is None


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


def test_a_frame_that_was_mended_in_place_is_read_again(opened, tmp_path):
    frame = pd.DataFrame({"text": [f"film {i}" for i in range(20)], "label": [1, "good"] * 10})
    drafter = Drafter({"df": frame}, tmp_path / "runs")
    assert "mixes text and numbers" in drafter.draft(SPEC).problems[0]
    frame["label"] = frame["label"].astype(str)
    assert drafter.draft(SPEC).problems == ()


def test_held_out_rows_in_a_variable_are_used(opened, reviews, tmp_path):
    held_out = [{"review": "quite another text", "sentiment": "bad"}] * 3
    drafter = Drafter({"df": reviews, "held_out": held_out}, tmp_path / "runs")
    draft = drafter.draft(dataclasses.replace(SPEC, validation="held_out"))
    assert draft.prepared.card.num_rows == {"train": 60, "validation": 3}
    assert draft.line.endswith("--validation held_out")


def test_the_line_names_a_runs_folder_that_is_not_the_sessions_own(reviews, tmp_path, monkeypatch):
    monkeypatch.setenv("NBTRANSFER_RUNS_DIR", str(tmp_path))
    assert Drafter({}, tmp_path).line(SPEC) == "%finetune demo:minilm df"
    monkeypatch.chdir(tmp_path)
    assert Drafter({}, tmp_path / "mine").line(SPEC).endswith("df --runs-dir mine")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert Drafter({}, tmp_path / "other").line(SPEC).endswith(str(tmp_path / "other"))


def test_the_copy_of_a_model_variable_goes_with_the_form(opened, reviews, tmp_path, monkeypatch):
    class PreTrainedModel:
        pass

    PreTrainedModel.__module__ = "transformers.modeling_utils"
    folder = tmp_path / "copy"

    def write_model(_value, name):
        from nbtransfer.models.catalog import open_model

        folder.mkdir()
        card = open_model("demo:minilm", runs_dir=None)
        return dataclasses.replace(card, name=name, source="variable", location=str(folder))

    monkeypatch.setattr("nbtransfer.models.in_memory.write_model", write_model)
    drafter = Drafter({"df": reviews, "bert": PreTrainedModel()}, tmp_path)
    draft = drafter.draft(dataclasses.replace(SPEC, model="bert"))
    assert draft.model.name == "bert" and draft.plan is not None
    drafter.close()
    assert not folder.exists()


def test_questions_are_planned_without_a_column_of_texts(drafter):
    draft = drafter.draft(dataclasses.replace(SPEC, data="demo:questions"))
    assert draft.problems == () and draft.task == "question-answering"
    assert set(draft.roles) == {"question", "context", "answers"}
    assert draft.prepared.card.task == "question-answering"
    assert draft.plan.metric_for_best_model == "f1" and draft.plan.baseline_accuracy is None
    assert draft.line == "%finetune demo:minilm demo:questions"
