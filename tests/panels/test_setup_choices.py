import pandas as pd
import pyarrow as pa
import pytest

from nbtransfer.data.sources import load_tables
from nbtransfer.panels import setup_choices as offers
from nbtransfer.panels.setup_choices import Choice
from nbtransfer.spec import RunSpec


class FakeRun:
    def __init__(self, name, status, data="df"):
        self.id = name
        self.status = status
        self.spec = RunSpec(model="demo:minilm", data=data)


def test_the_newest_variable_is_offered_first_then_demos_then_files(tmp_path):
    for name in ("reviews.csv", "notes.txt", "b.parquet"):
        (tmp_path / name).touch()
    frame = pd.DataFrame({"a": [1], "b": [2]})
    namespace = {"old": frame, "number": 3, "_hidden": frame, "new": [{"text": "x"}]}
    values = [choice.value for choice in offers.data_choices(namespace, tmp_path)]
    assert values[:2] == ["new", "old"]
    assert "demo:tweets" in values
    assert values[-2:] == ["b.parquet", "reviews.csv"]
    assert "_hidden" not in values and "notes.txt" not in values


def test_a_folder_that_cannot_be_read_offers_no_files(tmp_path):
    values = [choice.value for choice in offers.data_choices({}, tmp_path / "absent")]
    assert all(value.startswith("demo:") for value in values)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [1, 2]}), "2 rows, 2 columns"),
        ([{"text": "x", "label": 1}], "1 rows, 2 columns"),
        (pa.table({"a": [1, 2, 3]}), "3 rows, 1 columns"),
        ([], None),
        ([1, 2], None),
        ("demo:tweets", None),
        (pd.Series([1]), None),
    ],
)
def test_data_among_variables_is_told_by_its_type(value, words):
    assert offers.describe_data(value) == words


def test_datasets_are_recognised_by_the_name_of_their_class():
    class Dataset:
        column_names = ("text", "label")

        def __len__(self):
            return 7

    Dataset.__module__ = "datasets.arrow_dataset"
    assert offers.describe_data(Dataset()) == "7 rows, 2 columns"

    class DatasetDict(dict):
        pass

    DatasetDict.__module__ = "datasets.dataset_dict"
    assert offers.describe_data(DatasetDict(train=Dataset(), test=Dataset())) == "train 7, test 7"


def test_models_among_variables_are_told_by_their_class_also_in_a_pair():
    class PreTrainedModel:
        pass

    PreTrainedModel.__module__ = "transformers.modeling_utils"

    class BertModel(PreTrainedModel):
        pass

    assert offers.describe_model(BertModel()) == "BertModel"
    assert offers.describe_model((BertModel(), object())) == "BertModel"
    assert offers.describe_model(object()) is None
    values = [c.value for c in offers.model_choices({"bert": BertModel()}, [])]
    assert values[0].startswith("demo:") and values[-1] == "bert"


def test_only_runs_that_left_a_model_are_offered_and_only_recent_ones():
    runs = [FakeRun("broken", "failed"), *(FakeRun(f"run-{i}", "completed") for i in range(9))]
    values = [choice.value for choice in offers.model_choices({}, runs)]
    assert "broken" not in values
    assert values[-5:] == [f"run-{i}" for i in range(5)]


def test_the_first_of_each_offer_is_the_guess_unless_something_was_given():
    models, data = [Choice("demo:minilm", "")], [Choice("df", ""), Choice("demo:tweets", "")]
    assert offers.first_guess(models, data) == RunSpec(model="demo:minilm", data="df")
    given = offers.first_guess(models, data, {"data": "x.csv", "model": None, "seed": 3})
    assert given == RunSpec(model="demo:minilm", data="x.csv", seed=3)


def test_without_a_validation_split_none_means_a_tenth_held_out():
    choices = offers.validation_choices(load_tables([{"text": "a", "label": "b"}], name="rows"))
    assert [choice.value for choice in choices] == [None, 0.2, False]
    assert choices[0].label.startswith("10 %")


def test_a_validation_split_is_taken_before_any_share():
    tables = load_tables([{"text": "a", "label": "b"}], name="rows")
    rows = tables.splits["train"]
    choices = offers.validation_choices(
        tables._replace(splits={"train": rows, "validation": rows, "test": rows})
    )
    assert [choice.value for choice in choices] == [None, 0.1, 0.2, False]
    assert "1 rows" in choices[0].label
    assert not any("test" in choice.label for choice in choices)


def test_a_value_among_the_choices_is_told_by_type_too():
    choices = [Choice(False, "none"), Choice(1, "one")]
    assert offers.with_choice(choices, False) == choices
    assert offers.with_choice(choices, 0)[0] == Choice(0, "0")


def test_the_line_of_the_closed_part_says_all_that_is_in_it():
    spec = RunSpec(
        model="m", data="d", class_weights="balanced", early_stopping_patience=2, warmup_steps=50
    )
    words = offers.more_summary(spec)
    for part in ("macro F1", "50 steps", "decay 0.01", "balanced", "after 2", "auto", "seed 42"):
        assert part in words


def test_a_patience_that_was_given_is_among_the_choices():
    assert 7 in [choice.value for choice in offers.early_stopping_choices(7)]
    assert [choice.value for choice in offers.early_stopping_choices(None)] == [None, 1, 2, 3, 5]
