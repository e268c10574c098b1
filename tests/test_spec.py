"""Tests of nbtransfer.spec: every value is checked, all problems come at once."""

from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtransfer.errors import SpecError
from nbtransfer.spec import _CHOICES, _RANGES, ROLES, RunSpec

WHOLE = [name for name, (_, _, _, whole) in _RANGES.items() if whole]
OPTIONAL = (
    "per_device_eval_batch_size",
    "learning_rate",
    "lora_r",
    "lora_alpha",
    "lora_dropout",
    "max_length",
    "max_target_length",
    "eval_generate_rows",
    "early_stopping_patience",
    "eval_steps",
)


def spec(**changes: object) -> RunSpec:
    return RunSpec(model="demo:minilm", data="demo:tweets", **changes)


def only_problem(**changes: object) -> str:
    found = spec(**changes).problems()
    assert len(found) == 1, found
    return found[0]


def test_the_defaults_are_fine():
    assert spec().problems() == []
    spec().check()


def test_every_number_is_checked():
    numbers = {
        f.name for f in dataclasses.fields(RunSpec) if f.type in ("float", "int", "float | None")
    } | {f.name for f in dataclasses.fields(RunSpec) if f.type == "int | None"}
    assert numbers == {*_RANGES, "max_steps"}


@pytest.mark.parametrize("name", _RANGES)
def test_the_bounds_themselves_are_as_the_message_says(name):
    low, high, low_allowed, whole = _RANGES[name]
    assert spec(**{name: high}).problems() == []
    assert (spec(**{name: low}).problems() == []) == low_allowed
    step = 1 if whole else 1e-3
    most = f"{high:,.0f}" if high > 1000 else f"{high:g}"
    assert f"at most {most}." in only_problem(**{name: high * 2 + step})
    bound = "at least" if low_allowed else "above"
    assert f"{bound} {low:g}" in only_problem(**{name: low - step})


@pytest.mark.parametrize("name", [*_RANGES, "max_steps"])
@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, True, False, "3", "3x", [3], {}, 1j, 10**400]
)
def test_what_is_no_finite_number_is_refused_by_name(name, value):
    problem = only_problem(**{name: value})
    assert problem.startswith(f"{name}=")
    assert "must be a" in problem
    assert len(problem) < 200


@pytest.mark.parametrize("name", [n for n in _RANGES if n not in OPTIONAL])
def test_none_stands_only_where_nbtransfer_decides(name):
    assert only_problem(**{name: None}).startswith(f"{name}=None must be")


@pytest.mark.parametrize("name", OPTIONAL)
def test_none_leaves_the_decision_to_the_plan(name):
    assert spec(**{name: None}).problems() == []


@pytest.mark.parametrize("name", [*WHOLE, "max_steps"])
def test_whole_numbers_may_not_have_a_fraction(name):
    assert "whole number" in only_problem(**{name: 5.5})


@pytest.mark.parametrize("name", [*WHOLE, "max_steps"])
@pytest.mark.parametrize("value", [16.0, np.int64(16), np.float32(16), np.uint8(16), Fraction(16)])
def test_sixteen_is_sixteen_whatever_its_type(name, value):
    made = spec(**{name: value})
    assert made.problems() == []
    assert type(getattr(made, name)) is int
    assert getattr(made, name) == 16
    assert json.loads(json.dumps(made.to_json()))[name] == 16


def test_numpy_rates_become_plain_floats():
    made = spec(learning_rate=np.float32(0.25), weight_decay=np.float64(0.5))
    assert type(made.learning_rate) is float
    assert made.learning_rate == 0.25
    assert made.problems() == []


@pytest.mark.parametrize("value", [0, -2, -100, 2.5])
def test_max_steps_is_above_zero_or_minus_one(value):
    assert "or -1 for none" in only_problem(max_steps=value)


@pytest.mark.parametrize("value", [-1, 1, 100_000])
def test_possible_max_steps_pass(value):
    assert spec(max_steps=value).problems() == []


@pytest.mark.parametrize("name", _CHOICES)
def test_a_choice_lists_its_values(name):
    for value in _CHOICES[name]:
        assert spec(**{name: value}).problems() == []
    problem = only_problem(**{name: "nonsense"})
    assert all(repr(choice) in problem for choice in _CHOICES[name][:6])
    assert "Did you mean" not in problem


@pytest.mark.parametrize("name", _CHOICES)
@pytest.mark.parametrize("value", ["", True, 3, math.nan, ["full"], "x" * 10_000])
def test_a_choice_that_is_no_choice_is_refused_in_a_short_line(name, value):
    assert len(only_problem(**{name: value})) < 250


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [
        ("lr_scheduler_type", "Cosine", "cosine"),
        ("lr_scheduler_type", "linaer", "linear"),
        ("technique", "feature", "features"),
        ("precision", "bf-16", "bf16"),
        ("step", "graph", "graphed"),
        ("metric_for_best_model", "f1-macro", "f1_macro"),
    ],
)
def test_the_nearest_choice_is_offered(name, typed, meant):
    assert only_problem(**{name: typed}).endswith(f"Did you mean {meant!r}?")


@pytest.mark.parametrize("technique", ["gradual", "setfit", "layerwise", "setfit:8"])
def test_techniques_of_later_versions_are_named_as_such(technique):
    problem = only_problem(technique=technique)
    assert "not built yet" in problem
    assert "'features'" in problem


def test_the_last_layers_may_be_any_number():
    for technique in ("top:1", "top:2", "top:11"):
        assert spec(technique=technique).problems() == []


@pytest.mark.parametrize("technique", ["top", "top:0", "top:-1", "top:x", "top:1.5", "top:"])
def test_a_wrong_number_of_last_layers_is_refused(technique):
    assert "top:2" in only_problem(technique=technique)


def test_a_task_that_there_is_not_is_named_with_those_there_are():
    assert "'text-classification'" in only_problem(task="parsing")


@pytest.mark.parametrize("value", [0.1, 0.5, 0.999, "dev", "held_out.csv", False, None])
def test_a_validation_that_can_be_meant_passes(value):
    assert spec(validation=value).problems() == []


@pytest.mark.parametrize("value", [0.0, 1.0, 1.5, -0.1, math.nan, math.inf])
def test_a_share_of_validation_rows_lies_between_zero_and_one(value):
    assert "fraction between 0 and 1" in only_problem(validation=value)


@pytest.mark.parametrize("value", [True, 0, 1, 10, ["dev"], {"dev": 1}, b"dev"])
def test_a_validation_of_another_kind_is_refused(value):
    assert "not understood" in only_problem(validation=value)


@pytest.mark.parametrize("value", [None, "balanced", {"bad": 1, "good": 2.5}, {}])
def test_class_weights_that_can_be_meant_pass(value):
    assert spec(class_weights=value).problems() == []


@pytest.mark.parametrize("value", ["equal", 2.0, [1.0, 2.0], True])
def test_class_weights_of_another_kind_are_refused_with_an_example(value):
    problem = only_problem(class_weights=value)
    assert "'balanced'" in problem
    assert "{'negative': 1.0, 'positive': 3.0}" in problem


@pytest.mark.parametrize("weight", [0, -1.0, math.nan, math.inf, "2", None, True])
def test_a_class_weight_is_a_number_above_zero(weight):
    problem = only_problem(class_weights={"bad": 1.0, "good": weight})
    assert problem.startswith("class_weights['good']=")


@pytest.mark.parametrize("name", ["use_cpu", "from_scratch", "keep_head"])
@pytest.mark.parametrize("value", ["no", 0, 1, None])
def test_a_switch_is_true_or_false(name, value):
    assert only_problem(**{name: value}) == f"{name}={value!r} must be True or False."


def test_an_impossible_run_name_is_a_problem_among_the_others():
    found = spec(name="../elsewhere", seed=-1, technique="ful").problems()
    assert len(found) == 3
    assert any(p.startswith("name: '../elsewhere' cannot name a run") for p in found)


def test_check_raises_all_problems_at_once():
    with pytest.raises(SpecError) as caught:
        spec(learning_rate=2.0, num_train_epochs=0, precision="fp8").check()
    assert len(caught.value.problems) == 3
    assert str(caught.value).startswith("3 problems:")


def test_json_gives_the_same_spec_back():
    made = spec(class_weights={"a": 1.5}, validation=0.25, learning_rate=0.1 + 0.2, name="x-1")
    assert RunSpec.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_fields_of_a_newer_version_are_left_out():
    record = {**spec().to_json(), "v": 7, "quantum": True}
    assert RunSpec.from_json(record) == spec()


def test_fields_an_older_version_lacked_take_their_defaults():
    assert RunSpec.from_json({"model": "m", "data": "d"}) == RunSpec(model="m", data="d")


def test_every_field_is_explained():
    section = RunSpec.__doc__.split("Attributes:")[1]
    missing = [f.name for f in dataclasses.fields(RunSpec) if f"        {f.name}:" not in section]
    assert missing == []


words = st.text("ab:/.\0\n\u202e", max_size=20)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    words,
    st.lists(st.integers(), max_size=2),
    st.dictionaries(words, st.floats() | words, max_size=2),
)
FIELDS = [f.name for f in dataclasses.fields(RunSpec) if f.name not in ("model", "data")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(FIELDS), anything, max_size=5))
def test_any_values_give_problems_in_words_and_no_crash(changes):
    found = spec(**changes).problems()
    assert all(isinstance(p, str) and "\n" not in p and len(p) < 400 for p in found)


def test_a_prefix_is_a_text():
    assert spec(prefix="").problems() == []
    assert only_problem(prefix=3) == "prefix=3 must be a text, as in 'summarize: '."


@pytest.mark.parametrize("role", ROLES)
def test_columns_may_be_called_by_numbers_and_nothing_else(role):
    assert getattr(RunSpec(model="m", data="d", **{role: 3}), role) == "3"
    assert getattr(RunSpec(model="m", data="d", **{role: [np.int64(0)]}), role) == "0"
    for wrong in (1.5, True, b"text", {"text": 1}, [None]):
        (problem,) = RunSpec(model="m", data="d", **{role: wrong}).problems()
        assert problem.endswith("must be the name of a column.")
