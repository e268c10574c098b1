import pytest

from nbtransfer.panels.setup_choices import Choice
from nbtransfer.panels.setup_controls import Controls
from nbtransfer.panels.setup_draft import Drafter
from nbtransfer.spec import RunSpec

MODELS = [Choice("demo:minilm", "demo:minilm · small"), Choice("demo:bert-tiny", "tiny")]
DATA = [Choice("df", "df · 60 rows"), Choice("demo:tweets", "demo:tweets")]
SPEC = RunSpec(model="demo:minilm", data="df")


@pytest.fixture
def drafter(opened, reviews, tmp_path):
    return Drafter({"df": reviews}, tmp_path)


def settled(drafter, spec=SPEC):
    controls = Controls(spec, MODELS, DATA)
    controls.follow(drafter.draft(controls.read()))
    return controls


def test_untouched_controls_ask_for_what_they_were_given():
    assert Controls(SPEC, MODELS, DATA).read() == SPEC
    given = RunSpec(
        model="some/hub-id",
        data="more.csv",
        text="t",
        label="l",
        technique="head",
        validation=False,
        learning_rate=3e-4,
        num_train_epochs=0.5,
        per_device_train_batch_size=48,
        max_length=32,
        class_weights={"a": 2.0},
        early_stopping_patience=4,
        warmup_steps=500.0,
        max_steps=7,
        name="named",
    )
    assert Controls(given, MODELS, DATA).read() == given


@pytest.mark.parametrize(
    "given",
    [
        {"learning_rate": 0.5, "num_train_epochs": 50.0, "max_length": 4},
        {"learning_rate": 1e-7, "num_train_epochs": 0.25, "max_length": 2000},
        {"per_device_train_batch_size": 1000, "learning_rate": 1.234e-5, "seed": 2**32 - 1},
    ],
)
def test_values_beyond_the_ends_of_a_slider_are_not_pulled_in(given):
    spec = RunSpec(model="demo:minilm", data="df", **given)
    assert Controls(spec, MODELS, DATA).read() == spec


def test_the_recognised_columns_are_chosen(drafter):
    controls = settled(drafter)
    assert (controls.read().text, controls.read().label) == ("review", "sentiment")
    assert [choice.value for choice in controls.columns["label"].options] == ["review", "sentiment"]
    assert controls.columns["label"].options[1].label == "sentiment · 2 classes"


def shown(controls):
    return [child.description for child in controls.columns.box.children]


def test_the_columns_shown_are_those_of_the_task(drafter):
    entities = settled(drafter, RunSpec(model="demo:minilm", data="demo:entities"))
    assert shown(entities) == ["Text", "Spans"]
    assert (entities.read().text, entities.read().spans) == ("text", "entities")
    assert entities.columns.task.options[0].label == "as the data says · token classification"
    assert shown(settled(drafter)) == ["Text", "Label"]


def test_another_task_asks_for_its_own_columns_and_forgets_the_others(drafter):
    controls = settled(drafter)
    calls = []
    controls.changed = calls.append
    controls.columns.task.value = "translation"
    assert calls == [True]
    controls.follow(drafter.draft(controls.read()))
    assert shown(controls) == ["Source", "Target"]
    assert (controls.read().task, controls.read().text) == ("translation", None)
    assert [c.value for c in controls.columns["source"].options] == [None, "review", "sentiment"]
    controls.columns["source"].value = "review"
    controls.columns["target"].value = "sentiment"
    draft = drafter.draft(controls.read())
    assert draft.roles == {"source": "review", "target": "sentiment"}
    assert draft.plan is None and len(draft.problems) == 1  # a BERT does not write


def test_a_second_text_is_offered_where_a_column_is_left(opened, reviews, tmp_path):
    drafter = Drafter({"df": [{**row, "title": "a title"} for row in reviews]}, tmp_path)
    spec = RunSpec(model="demo:minilm", data="df", text="review", label="sentiment")
    controls = settled(drafter, spec)
    assert shown(controls) == ["Text", "Second text", "Label"]
    assert controls.columns["text_pair"].value is None
    assert controls.columns["text_pair"].options[0].label == "none"


def test_the_metrics_offered_are_the_tasks(drafter):
    controls = settled(drafter, RunSpec(model="demo:minilm", data="demo:questions"))
    names = [choice.value for choice in controls.metric.options]
    assert names == [None, "exact_match", "loss"]


def test_rate_and_length_stay_open_and_show_what_the_plan_decided(drafter):
    controls = settled(drafter)
    assert controls.read().learning_rate is None
    assert controls.read().max_length is None
    assert controls.rate.value == pytest.approx(1e-4)
    assert controls.length.value == drafter.draft(SPEC).plan.max_length


def test_a_moved_slider_is_asked_for_with_the_digits_it_shows(drafter):
    controls = settled(drafter)
    controls.rate.value = 3.1623e-5
    controls.length.value = 24
    assert controls.read().learning_rate == 3.2e-5
    assert controls.read().max_length == 24
    controls.follow(drafter.draft(controls.read()))
    assert controls.read().max_length == 24
    assert "of texts" in controls.length_hint.value


def test_another_technique_opens_the_rate_again(drafter):
    controls = settled(drafter)
    controls.rate.value = 3e-5
    controls.technique.value = "head"
    assert controls.read().learning_rate is None
    controls.follow(drafter.draft(controls.read()))
    assert controls.rate.value == pytest.approx(1e-3)
    assert "usual for head" in controls.rate_hint.value


def test_other_data_have_their_columns_guessed_anew(drafter):
    controls = settled(drafter, SPEC)
    calls = []
    controls.changed = calls.append
    controls.data.list.value = "demo:tweets"
    assert calls == [True]
    assert (controls.read().text, controls.read().label) == (None, None)


def test_the_columns_of_an_entry_further_down_are_kept_when_it_settles(opened, reviews, tmp_path):
    data = [*DATA, Choice("more", "more")]
    controls = Controls(SPEC, MODELS, data)
    controls.data.list.value = "more"
    drafter = Drafter({"more": reviews}, tmp_path)
    controls.follow(drafter.draft(controls.read()))
    assert (controls.read().data, controls.read().text) == ("more", "review")
    assert controls.read().model == "demo:minilm"


def test_a_choice_tells_once_and_following_tells_nothing(drafter):
    controls = Controls(SPEC, MODELS, DATA)
    calls = []
    controls.changed = calls.append
    controls.follow(drafter.draft(controls.read()))
    assert calls == []
    controls.epochs.value = 5
    controls.batch.value = 32
    controls.validation.value = False
    controls.model.list.value = "demo:bert-tiny"
    assert calls == [False, False, False, True]


def test_every_control_is_read(drafter):
    controls = settled(drafter)
    controls.epochs.value = 5
    controls.batch.value = 32
    controls.validation.value = 0.2
    controls.metric.value = "accuracy"
    controls.warmup.value = 0.1
    controls.decay.value = 0.0
    controls.weights.value = "balanced"
    controls.stopping.value = 2
    controls.precision.value = "fp32"
    controls.seed.value = 7
    assert controls.read() == RunSpec(
        model="demo:minilm",
        data="df",
        text="review",
        label="sentiment",
        num_train_epochs=5.0,
        per_device_train_batch_size=32,
        validation=0.2,
        metric_for_best_model="accuracy",
        warmup_steps=0.1,
        weight_decay=0.0,
        class_weights="balanced",
        early_stopping_patience=2,
        precision="fp32",
        seed=7,
    )


def test_another_opens_a_field_and_what_is_typed_becomes_an_entry():
    controls = Controls(SPEC, MODELS, DATA)
    calls = []
    controls.changed = calls.append
    picker = controls.model
    picker.list.value = None
    assert calls == []  # nothing to look at yet
    assert picker.field.layout.display == ""
    picker.field.value = " prajjwal1/bert-tiny "
    assert calls == [True]
    assert controls.read().model == "prajjwal1/bert-tiny"
    picker.settle("BERT, 4.4 M")
    assert picker.list.value == "prajjwal1/bert-tiny"
    assert picker.field.layout.display == "none"
    assert "prajjwal1/bert-tiny · BERT, 4.4 M" in [c.label for c in picker.list.options]


def test_a_settled_entry_keeps_its_place_and_tells_its_size():
    picker = Controls(SPEC, MODELS, DATA).data
    picker.settle("60 rows, 2 columns")
    assert picker.list.options[0] == ("df", "df · 60 rows, 2 columns")
    assert len(picker.list.options) == len(DATA) + 1


def test_the_length_slider_ends_at_the_longest_text(drafter):
    controls = settled(drafter)
    assert controls.length.max == 64


def test_data_without_a_recognisable_label_ask_for_a_choice(opened, tmp_path):
    rows = [{"alpha": f"words {i} and more", "beta": f"other words {i}"} for i in range(30)]
    controls = settled(Drafter({"df": rows}, tmp_path))
    assert controls.columns["label"].value is None
    assert [choice.value for choice in controls.columns["label"].options] == [None, "alpha", "beta"]


def test_controls_that_are_held_cannot_be_used_until_let_go():
    controls = Controls(SPEC, MODELS, DATA)
    controls.set_disabled(True)
    assert controls.rate.disabled and controls.model.list.control.disabled
    assert controls.seed.disabled and controls.technique.control.disabled
    controls.set_disabled(False)
    assert not controls.rate.disabled and not controls.technique.control.disabled


def test_a_choice_of_nothing_can_be_gone_back_to(drafter):
    controls = settled(drafter)
    for value in (0.2, None, False, None):
        controls.validation.value = value
        assert controls.read().validation == value
        assert type(controls.read().validation) is type(value)
        assert controls.validation.control.index is not None
