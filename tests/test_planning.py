"""Tests of nbtransfer.planning with nbtransfer.advice, through make_plan."""

import json
import time

import numpy as np
import pytest

from nbtransfer.data.lengths import Lengths
from nbtransfer.planning import Plan
from tests.plans import A100, CPU, DATA, MODEL, T4, changed, plan, problems


def without_validation():
    return changed(
        DATA, num_rows={"train": 1000}, class_counts={"train": (500, 500)}, num_overlap={}
    )


def test_a_plain_spec_gives_a_plan_without_warnings():
    made = plan()
    assert (made.num_steps, made.steps_per_epoch, made.num_train_epochs) == (189, 63, 3.0)
    assert (made.warmup_steps, made.learning_rate) == (11, 1e-4)
    assert made.eval_every_steps == 63
    assert (made.num_train_rows, made.num_validation_rows) == (1000, 100)
    assert made.num_trainable_parameters == 22_713_216 + 2 * 384 + 2
    assert (made.baseline_accuracy, made.time_is_estimate) == (0.52, True)
    assert made.warnings == ()


def test_a_plan_survives_json():
    made = plan(warmup_steps=500)
    assert made.warnings
    record = json.loads(json.dumps(made.to_json()))
    assert Plan.from_json({**record, "from_a_newer_version": 1}) == made


def test_time_is_what_was_measured_on_two_cores():
    texts = Lengths(np.full(1000, 29, dtype=np.int32))  # evaluated with a tenth of padding
    data = without_validation()
    made = plan(lengths=texts, data=data, per_device_train_batch_size=32, num_train_epochs=2)
    assert made.num_steps == 64
    assert made.time_s == pytest.approx(64 * 0.85, rel=0.1)


def test_frozen_techniques_are_planned_cheaper():
    full, head, features = (plan(technique=t) for t in ("full", "head", "features"))
    assert full.time_s > 2.5 * head.time_s > 2.5 * 2 * features.time_s
    assert full.memory_bytes > head.memory_bytes
    assert full.disk_bytes > 2 * head.disk_bytes


def test_an_epoch_of_accumulated_steps_costs_no_more_than_one_of_single_steps():
    assert plan(gradient_accumulation_steps=4).time_s < plan().time_s


def test_memory_is_that_of_the_longest_batch():
    # 500 MB of runtime; 16 bytes a weight; activations of 6 blocks x 16 texts x 120 tokens
    activations = 6 * 16 * 120 * (4 * (8 * 384 + 2 * 1536) + 2 * 384 + 9 * 12 * 120)
    assert plan().memory_bytes == 500_000_000 + 16 * (22_713_216 + 770) + activations
    shorter = plan(max_length=64)
    assert shorter.memory_bytes < plan().memory_bytes
    assert plan(max_length=512).memory_bytes == plan().memory_bytes  # no text is longer than 120


@pytest.mark.parametrize(
    ("task", "family", "said"),
    [
        ("text-classification", "marian", "has no head for text classification. Take a model of"),
        ("token-classification", "bart", "has no head for token classification"),
        ("question-answering", "marian", "has no head for question answering"),
    ],
)
def test_a_family_without_the_head_is_refused_in_words(task, family, said):
    found = problems(model=changed(MODEL, model_type=family), data=changed(DATA, task=task))
    assert any(f"is of the family {family!r}, which {said}" in problem for problem in found)


@pytest.mark.parametrize(
    ("family", "technique"), [("t5", "top:1"), ("albert", "top:1"), ("t5", "features")]
)
def test_a_technique_that_a_family_has_no_layers_for_is_refused(family, technique):
    found = problems(model=changed(MODEL, model_type=family), technique=technique)
    assert any(
        f"{technique!r} is not built for models of the family {family!r}" in p for p in found
    )


HEAD = changed(MODEL, head_labels=("positive", "negative"))


@pytest.mark.parametrize(
    ("model", "asked", "said"),
    [
        (MODEL, {}, "keep_head: 'demo:minilm' carries no head for classes. Leave it out."),
        (
            changed(MODEL, head_labels=("good", "bad")),
            {},
            "has the classes 'good', 'bad'; the data has 'negative', 'positive'. Name the data's",
        ),
        (HEAD, {"technique": "features"}, "keep_head and technique='features' do not go together"),
        (HEAD, {"from_scratch": True}, "keep_head and from_scratch do not go together"),
    ],
)
def test_a_head_that_cannot_be_kept_is_refused_in_words(model, asked, said):
    (found,) = problems(model=model, keep_head=True, **asked)
    assert said in found


def test_a_head_of_the_same_classes_in_another_order_is_offered_to_be_kept():
    assert any("keep_head=True goes on with its own" in note for note in plan(model=HEAD).notes)
    kept = plan(model=HEAD, keep_head=True)
    assert not any("head" in note for note in kept.notes)


def test_all_problems_are_listed_at_once():
    found = problems(
        data=without_validation(),
        technique="fulll",
        learning_rate=float("nan"),
        num_train_epochs="three",
        max_length=513,
        precision="fp16",
        early_stopping_patience=2,
        class_weights={"positve": 2.0},
    )
    assert len(found) == 7
    text = "\n".join(found)
    assert "Did you mean 'full'?" in text
    assert "learning_rate=nan" in text
    assert "num_train_epochs='three'" in text
    assert "max_length=513 is beyond the 512 positions of 'demo:minilm'. Take at most 512." in text
    assert "early_stopping_patience=2 needs validation data" in text
    assert "no class 'positve'. Classes: 'negative', 'positive'. Did you mean 'positive'?" in text


def test_a_model_that_cannot_fit_is_a_problem_with_both_sizes():
    large = changed(MODEL, num_parameters=7_000_000_000)
    (problem,) = problems(model=large, hardware=changed(CPU, disk_free_bytes=10**12))
    assert "needs 112 GB for technique='full' at any batch size" in problem
    assert "AMD EPYC has 24 GB, of which 20 GB are free" in problem
    assert "technique='head'" in problem


def test_a_disk_without_room_for_one_checkpoint_is_a_problem():
    (problem,) = problems(hardware=changed(CPU, disk_free_bytes=300_000_000))
    assert "has 300 MB free; one checkpoint and the model take 3" in problem


@pytest.mark.parametrize(
    ("arguments", "warning"),
    [
        (
            {"warmup_steps": 500},
            "500 warm-up steps, but the run has only 189: the learning rate would rise to 38 % of "
            "its peak and never fall.",
        ),
        ({"warmup_steps": 150}, "150 of the run's 189 steps are warm-up: only 39 are left"),
        ({"learning_rate": 1e-3}, "a learning rate of 1.0e-3 is high for training every layer"),
        ({"eval_steps": 200}, "eval_steps=200 is more than the run's 189 steps"),
        ({"max_steps": 1}, "the run has only 1 optimizer step."),
        ({"max_length": 24}, None),
        (
            {"max_length": 16},
            "max_length=16 cuts 100 % of the texts and loses 27 % of all tokens.",
        ),
        (
            {"data": without_validation(), "validation": False},
            "there is no validation data: the last model is kept",
        ),
        (
            {"data": changed(DATA, num_overlap={"validation": 12})},
            "12 validation texts are also in train.",
        ),
        ({"data": changed(DATA, num_overlap={"test": 1})}, "1 test text is also in train."),
        (
            {"data": changed(DATA, class_counts={"train": (997, 3)})},
            "class 'positive' has only 3 training rows",
        ),
        (
            {
                "data": changed(
                    DATA, label_names=("a", "b", "c"), class_counts={"train": (500, 460, 40)}
                )
            },
            "class 'a' has 12 times the rows of 'c'",
        ),
        ({"data": changed(DATA, warnings=("2 texts carry two labels.",))}, "2 texts carry two"),
        ({"from_scratch": True, "technique": "head"}, "freezes random weights"),
        (
            {"model": changed(MODEL, lacks_pooler=True), "technique": "head"},
            "'demo:minilm' has no pooling layer",
        ),
        ({"model": changed(MODEL, lacks_pooler=True)}, None),
        ({"precision": "bf16"}, "this processor has no bf16 units"),
        (
            {"step": "graphed"},
            "step='graphed' is not for this run; it takes batches without padding: AMD",
        ),
        ({"hardware": A100, "step": "graphed"}, "never measured on a GPU in this release"),
        ({"hardware": CPU, "step": "eager"}, None),
        ({"hardware": changed(CPU, advice="Install it.")}, "Install it."),
        (
            {"hardware": changed(CPU, disk_free_bytes=700_000_000)},
            "the run folder may grow to 909 MB and 700 MB are free",
        ),
        (
            {"hardware": changed(T4, free_bytes=10**9, gpu_users=("process 7 holds 14.0 GB",))},
            "and 1.0 GB are free (process 7 holds 14.0 GB).",
        ),
    ],
)
def test_warnings_say_what_and_what_to_do(arguments, warning):
    made = plan(**arguments)
    wanted = 0 if warning is None else 1
    assert len(made.warnings) == wanted, made.warnings
    assert warning is None or warning in made.warnings[0]


def test_a_warning_of_the_data_is_not_given_twice():
    overlap = changed(
        DATA,
        num_overlap={"validation": 12},
        warnings=("12 validation texts are also in train.",),
    )
    assert plan(data=overlap).warnings == ("12 validation texts are also in train.",)


def test_class_weights_silence_the_imbalance():
    data = changed(DATA, label_names=("a", "b", "c"), class_counts={"train": (500, 460, 40)})
    assert plan(data=data, class_weights="balanced").warnings == ()


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        ({"model": changed(MODEL, head_labels=("a", "b"))}, "a new head is trained"),
        ({"hardware": changed(A100, num_devices=4)}, "One of 4 devices is used."),
        ({"class_weights": {"positive": 2.0}}, "Classes without a weight take 1.0: negative."),
        ({}, "Learning rate 1.0e-4, the default for technique 'full'"),
    ],
)
def test_choices_are_noted(arguments, note):
    assert any(note in said for said in plan(**arguments).notes)


def test_without_validation_nothing_is_evaluated():
    assert plan(data=without_validation(), eval_steps=10).eval_every_steps == 0


def test_evaluations_can_be_asked_for_by_steps():
    assert plan(eval_steps=10).eval_every_steps == 10


def test_a_plan_for_a_hundred_thousand_texts_is_made_while_a_slider_moves():
    tokens = np.random.default_rng(0).integers(3, 200, 100_000).astype(np.int32)
    durations = []
    for max_length in (64, 72, 80, 88, 96):
        start = time.perf_counter()
        plan(lengths=Lengths(tokens), max_length=max_length)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 0.05  # 2 ms on a quiet machine; a slider is let go of at 250


def test_rows_with_answers_come_in_any_order_and_older_plans_keep_theirs():
    made = plan()
    assert (made.grouped_steps, made.packed) == (1, True)
    record = made.to_json()
    del record["grouped_steps"], record["packed"]
    older = Plan.from_json(record)
    assert (older.grouped_steps, older.packed) == (50, False)
