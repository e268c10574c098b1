"""Tests of nbtransfer.keywords: what Trainer's users type, and what becomes of it."""

from __future__ import annotations

import enum

import pytest

from nbtransfer.errors import SpecError
from nbtransfer.keywords import DROPPED, RENAMED, sort_keywords
from nbtransfer.spec import RunSpec

# Fields of transformers.TrainingArguments, by the versions that have them.
IN_4_AND_5 = set(
    """
    output_dir do_train do_eval do_predict eval_strategy prediction_loss_only
    per_device_train_batch_size per_device_eval_batch_size gradient_accumulation_steps
    eval_accumulation_steps eval_delay learning_rate weight_decay adam_beta1 adam_beta2
    adam_epsilon max_grad_norm num_train_epochs max_steps lr_scheduler_type lr_scheduler_kwargs
    warmup_steps log_level logging_strategy logging_first_step logging_steps
    logging_nan_inf_filter save_strategy save_steps save_total_limit use_cpu seed data_seed bf16
    fp16 tf32 eval_steps dataloader_num_workers dataloader_drop_last dataloader_pin_memory
    run_name disable_tqdm remove_unused_columns label_names load_best_model_at_end
    metric_for_best_model greater_is_better label_smoothing_factor optim length_column_name
    report_to push_to_hub hub_model_id gradient_checkpointing torch_compile full_determinism
    """.split()  # noqa: SIM905 -- a list of 60 strings says no more
)
IN_4_ONLY = {
    "overwrite_output_dir",
    "evaluation_strategy",
    "per_gpu_train_batch_size",
    "per_gpu_eval_batch_size",
    "logging_dir",
    "warmup_ratio",
    "save_safetensors",
    "no_cuda",
    "group_by_length",
}
# Arguments of transformers.Trainer itself.
OF_TRAINER = {"tokenizer", "processing_class", "data_collator", "compute_metrics"}
# Short forms from everyday speech.
EVERYDAY = {"batch_size", "epochs", "lr"}

# What the quick tour of Trainer passed for years, and the issue asks to accept as it stands.
RECIPE = {
    "output_dir": "./results",
    "num_train_epochs": 3,
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 64,
    "warmup_steps": 500,
    "weight_decay": 0.01,
    "logging_dir": "./logs",
}


class IntervalStrategy(enum.Enum):
    """As transformers has it."""

    NO = "no"
    STEPS = "steps"
    EPOCH = "epoch"


def refused(**keywords: object) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        sort_keywords(keywords)
    return caught.value.problems


def test_the_quick_tours_recipe_passes_and_says_what_is_dropped():
    fields, notes = sort_keywords(RECIPE)
    assert fields == {k: v for k, v in RECIPE.items() if k not in ("output_dir", "logging_dir")}
    assert RunSpec(model="m", data="d", **fields).problems() == []
    assert [note.split()[0] for note in notes] == ["output_dir", "logging_dir"]
    assert all("is not used: " in note for note in notes)


@pytest.mark.parametrize("name", [*DROPPED, *RENAMED])
def test_every_name_that_is_translated_is_one_that_trainer_has(name):
    assert name in IN_4_AND_5 | IN_4_ONLY | OF_TRAINER | EVERYDAY


@pytest.mark.parametrize("name", DROPPED)
def test_a_dropped_name_sets_nothing_and_says_why(name):
    fields, notes = sort_keywords({name: "anything"})
    assert fields == {}
    assert notes == (f"{name} is not used: {DROPPED[name]}.",)


@pytest.mark.parametrize("name", RENAMED)
def test_a_renamed_name_sets_a_field_that_is_there(name):
    fields, _ = sort_keywords({name: 1})
    assert fields == {RENAMED[name]: 1}
    assert RENAMED[name] in RunSpec.__dataclass_fields__


def test_no_name_is_in_two_tables():
    fields = set(RunSpec.__dataclass_fields__)
    assert not fields & set(DROPPED)
    assert not fields & set(RENAMED)
    assert not set(DROPPED) & set(RENAMED)


def test_old_names_are_noted_and_everyday_ones_are_not():
    _, notes = sort_keywords({"warmup_ratio": 0.1, "lr": 1e-4, "epochs": 2, "batch_size": 8})
    assert notes == ("warmup_ratio is warmup_steps here.",)


@pytest.mark.parametrize("name", ["fp16", "bf16", "tf32"])
def test_a_precision_switch_sets_the_precision_only_when_on(name):
    assert sort_keywords({name: True}).fields == {"precision": name}
    assert sort_keywords({name: False}) == ({}, ())


@pytest.mark.parametrize("name", ["eval_strategy", "evaluation_strategy"])
@pytest.mark.parametrize("value", ["no", IntervalStrategy.NO])
def test_no_evaluation_is_no_validation_data(name, value):
    fields, notes = sort_keywords({name: value})
    assert fields == {"validation": False}
    assert notes == (f"{name}='no' is validation=False here.",)


@pytest.mark.parametrize("value", ["epoch", IntervalStrategy.EPOCH])
def test_evaluation_by_epoch_is_the_default(value):
    assert sort_keywords({"eval_strategy": value}) == ({}, ())


@pytest.mark.parametrize("value", ["steps", IntervalStrategy.STEPS])
def test_evaluation_by_steps_needs_their_number(value):
    assert sort_keywords({"eval_strategy": value, "eval_steps": 50}) == ({"eval_steps": 50}, ())
    fields, notes = sort_keywords({"eval_strategy": value})
    assert fields == {}
    assert "needs eval_steps=" in notes[0]


def test_another_strategy_is_refused_with_the_choices():
    (problem,) = refused(eval_strategy="epochs")
    assert "'epoch', 'steps', 'no'" in problem


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("num_epochs", "num_train_epochs"),
        ("learningrate", "learning_rate"),
        ("Warmup_Steps", "warmup_steps"),
        ("eval_stategy", "eval_strategy"),
        ("loging_dir", "logging_dir"),
        ("bf_16", "bf16"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(typed, meant):
    assert refused(**{typed: 1}) == (f"no option {typed!r}. Did you mean {meant!r}?",)


def test_all_unknown_names_come_at_once():
    assert refused(zzz=1, qqq=2) == ("no option 'zzz'.", "no option 'qqq'.")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("lr", "learning_rate"),
        ("batch_size", "per_device_train_batch_size"),
        ("warmup_ratio", "warmup_steps"),
        ("fp16", "bf16"),
        ("precision", "fp16"),
    ],
)
def test_one_option_under_two_names_is_refused_rather_than_one_ignored(first, second):
    (problem,) = refused(**{first: 0.1, second: 0.2})
    assert first in problem
    assert second in problem


@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_tf32_beside_half_precision_is_dropped_with_a_note(half):
    fields, notes = sort_keywords({"tf32": True, half: True})
    assert fields == {"precision": half}
    assert "tf32 is not used: products are in half precision already." in notes


def test_a_switch_that_is_off_is_no_second_name():
    assert sort_keywords({"fp16": False, "bf16": True}).fields == {"precision": "bf16"}


@pytest.mark.parametrize("value", [2, 0, "2", None])
def test_more_processes_than_one_are_refused_by_name(value):
    with pytest.raises(SpecError, match=r"num_processes=.* is not built: .* Leave it out"):
        sort_keywords({"num_processes": value})
    assert sort_keywords({"num_processes": 1}) == ({}, ())
