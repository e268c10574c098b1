"""Tests of nbtransfer.planning with nbtransfer.choices and nbtransfer.advice, through make_plan."""

import dataclasses
import json
import time

import numpy as np
import pytest

from nbtransfer.data.card import DataCard
from nbtransfer.data.lengths import Lengths
from nbtransfer.errors import SpecError
from nbtransfer.hardware import Hardware
from nbtransfer.models.card import ModelCard
from nbtransfer.planning import Plan, make_plan
from nbtransfer.spec import RunSpec
from nbtransfer.tasks.task import Decisions

MODEL = ModelCard(
    name="demo:minilm",
    source="demo",
    location="minilm",
    architecture="BertModel",
    model_type="bert",
    num_parameters=22_713_216,
    num_parameters_exact=True,
    num_embedding_parameters=11_917_824,
    num_layers=6,
    hidden_size=384,
    intermediate_size=1536,
    num_heads=12,
    vocab_size=30522,
    max_positions=512,
    weights_dtype="float32",
    weights_bytes=90_868_376,
)
DATA = DataCard(
    name="df",
    origin="DataFrame",
    task="text-classification",
    text_column="review",
    label_column="sentiment",
    columns=(),
    num_rows={"train": 1000, "validation": 100},
    label_names=("negative", "positive"),
    class_counts={"train": (500, 500), "validation": (52, 48)},
    num_duplicates=0,
    num_overlap={"validation": 0},
    num_conflicts=0,
    majority_share=0.52,
    fingerprint="0",
)
# 980 texts of 20 tokens, 20 of 120: the mean is 22
LENGTHS = Lengths(np.array([20] * 980 + [120] * 20, dtype=np.int32))
CPU = Hardware(
    device="cpu",
    name="AMD EPYC",
    num_devices=1,
    num_cores=2,
    num_threads=2,
    memory_bytes=24 * 10**9,
    free_bytes=20 * 10**9,
    disk_free_bytes=50 * 10**9,
    bf16=False,
)
T4 = dataclasses.replace(
    CPU, device="cuda", name="Tesla T4", memory_bytes=16 * 10**9, free_bytes=15 * 10**9, fp16=True
)
P100 = dataclasses.replace(T4, name="Tesla P100", fp16=False)
A100 = dataclasses.replace(T4, name="NVIDIA A100-SXM4-40GB", bf16=True)


def plan(*, data=DATA, lengths=LENGTHS, model=MODEL, hardware=CPU, **asked):
    spec = RunSpec(model="demo:minilm", data="df", **asked)
    return make_plan(spec, data, lengths, model, hardware)


def problems(**arguments):
    with pytest.raises(SpecError) as caught:
        plan(**arguments)
    return caught.value.problems


def changed(card, **changes):
    return dataclasses.replace(card, **changes)


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


@pytest.mark.parametrize(
    ("asked", "num_steps", "per_epoch", "epochs"),
    [
        ({"per_device_train_batch_size": 32}, 96, 32, 3.0),
        ({"gradient_accumulation_steps": 4}, 48, 16, 3.0),
        ({"num_train_epochs": 0.5}, 32, 63, 0.5),
        ({"max_steps": 126}, 126, 63, 2.0),
        ({"max_steps": 10, "num_train_epochs": 9}, 10, 63, 10 / 63),
        ({"per_device_train_batch_size": 2000}, 3, 1, 3.0),
    ],
)
def test_steps(asked, num_steps, per_epoch, epochs):
    made = plan(**asked)
    assert (made.num_steps, made.steps_per_epoch) == (num_steps, per_epoch)
    assert made.num_train_epochs == pytest.approx(epochs)


@pytest.mark.parametrize(
    ("asked", "warmup"), [(0, 0), (0.5, 94), (1, 1), (20, 20), (500, 500), (0.06, 11)]
)
def test_warm_up_is_a_share_below_one_and_steps_above(asked, warmup):
    assert plan(warmup_steps=asked).warmup_steps == warmup


@pytest.mark.parametrize(
    ("num_parameters", "technique", "rate"),
    [
        (22_713_216, "full", 1e-4),
        (110_000_000, "full", 5e-5),
        (335_000_000, "full", 2e-5),
        (335_000_000, "head", 1e-3),
        (22_713_216, "features", 1e-2),
    ],
)
def test_the_learning_rate_follows_technique_and_size(num_parameters, technique, rate):
    model = changed(MODEL, num_parameters=num_parameters)
    assert plan(model=model, technique=technique).learning_rate == rate
    assert plan(model=model, technique=technique, learning_rate=3e-4).learning_rate == 3e-4


def test_the_length_keeps_99_of_100_texts_whole():
    assert plan().max_length == 120
    assert plan(model=changed(MODEL, max_positions=64)).max_length == 64


def test_what_a_shorter_length_cuts_is_stated():
    made = plan(max_length=70)
    # 20 of 1,000 texts lose 50 tokens each, of 22,000 in all
    assert made.share_texts_cut == pytest.approx(0.02)
    assert made.share_tokens_cut == pytest.approx(1000 / 22000)


def test_without_lengths_texts_are_cut_at_512_and_that_is_noted():
    made = plan(lengths=None, model=changed(MODEL, max_positions=8192))
    assert made.max_length == 512
    assert any("lengths are not known yet" in note for note in made.notes)


@pytest.mark.parametrize(
    ("hardware", "asked", "chosen", "reason"),
    [
        (CPU, "auto", "fp32", "no bf16 units"),
        (changed(CPU, bf16=True), "auto", "fp32", "full precision on a CPU"),
        (CPU, "fp32", "fp32", "as asked"),
        (CPU, "bf16", "bf16", "as asked"),
        (T4, "auto", "fp16", "Tesla T4 has fp16 units and no bf16; the loss is scaled"),
        (P100, "auto", "fp32", "Tesla P100 has neither bf16 nor fp16 units"),
        (A100, "tf32", "tf32", "as asked"),
        (T4, "fp16", "fp16", "as asked"),
        (A100, "auto", "bf16", "NVIDIA A100-SXM4-40GB has bf16 units"),
        (changed(CPU, device="mps"), "auto", "fp32", "full precision on Apple GPUs"),
    ],
)
def test_precision(hardware, asked, chosen, reason):
    made = plan(hardware=hardware, precision=asked)
    assert (made.precision, made.precision_reason) == (chosen, reason)


@pytest.mark.parametrize(
    ("hardware", "asked", "said"),
    [
        (CPU, "fp16", "precision='fp16' cannot train on a CPU"),
        (CPU, "tf32", "precision='tf32' is of NVIDIA GPUs"),
        (T4, "bf16", "Tesla T4 has no bf16 units"),
        (T4, "tf32", "Tesla T4 has no tf32 units"),
        (changed(CPU, device="mps"), "bf16", "not built for Apple GPUs"),
    ],
)
def test_precision_that_the_device_lacks_is_refused(hardware, asked, said):
    (problem,) = problems(hardware=hardware, precision=asked)
    assert said in problem
    assert "auto" in problem


def test_use_cpu_leaves_the_gpu_aside():
    gpu = changed(A100, cpu_name="AMD EPYC", host_memory_bytes=8 * 10**9)
    made = plan(hardware=changed(gpu, host_free_bytes=8 * 10**9), use_cpu=True)
    assert (made.device, made.device_name, made.precision) == ("cpu", "AMD EPYC", "fp32")
    assert made.memory_total_bytes == 8 * 10**9


def test_time_is_what_was_measured_on_two_cores():
    texts = Lengths(np.full(1000, 29, dtype=np.int32))
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
        ({"step": "graphed"}, "step='graphed' is not for this run; it takes padded batches: AMD"),
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


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"),
    [
        ({}, "eager", "works on every device"),
        ({"hardware": A100}, "eager", "works on every device"),
        ({"hardware": A100, "step": "eager"}, "eager", "as asked"),
        ({"hardware": A100, "step": "graphed"}, "graphed", "not measured"),
        ({"step": "graphed"}, "eager", "AMD EPYC has no CUDA graphs"),
        ({"hardware": P100, "step": "graphed"}, "eager", "this run is in fp32"),
        ({"hardware": T4, "step": "graphed", "precision": "fp16"}, "eager", "with fp16 the host"),
        (
            {"hardware": A100, "step": "graphed", "technique": "features"},
            "eager",
            "stored features",
        ),
        (
            {"hardware": A100, "step": "graphed", "model": changed(MODEL, model_type="t5")},
            "eager",
            "t5 models have an attention of their own",
        ),
    ],
)
def test_how_steps_are_taken_is_chosen_with_a_reason(arguments, kind, reason):
    made = plan(**arguments)
    assert made.step_kind == kind
    assert reason in made.step_reason


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


def test_a_constant_rate_is_not_said_never_to_fall():
    (warning,) = plan(warmup_steps=500, lr_scheduler_type="constant").warnings
    assert "never fall" not in warning


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
    assert min(durations) < 0.005


@pytest.mark.parametrize("family", ["t5", "mt5", "umt5"])
def test_t5_refuses_fp16_and_says_why(family):
    model = changed(MODEL, model_type=family)
    (problem,) = problems(model=model, hardware=T4, precision="fp16")
    assert "65,504, the largest of fp16" in problem and "Take 'bf16', 'fp32'" in problem
    made = plan(model=model, hardware=T4)
    assert (made.precision, "overflows in fp16" in made.precision_reason) == ("fp32", True)
    assert plan(model=model, hardware=A100).precision == "bf16"


def test_options_of_written_texts_are_refused_by_a_task_that_writes_none():
    for name, value in {"num_beams": 4, "prefix": "x: ", "max_target_length": 9}.items():
        (problem,) = problems(**{name: value})
        assert problem.startswith(f"{name} is an option of translation and summarization; text")


def test_generation_while_training_is_capped_and_said():
    data = changed(DATA, task="translation", label_names=(), class_counts={}, majority_share=None)
    decided = Decisions(card=data, texts=(), target_tokens=16, mean_target_tokens=8.0)
    t5 = changed(MODEL, model_type="t5")

    def made(num_validation, hardware=CPU, **asked):
        rows = changed(data, num_rows={"train": 1000, "validation": num_validation})
        spec = RunSpec(model="t5-small", data="df", **asked)
        return make_plan(spec, rows, LENGTHS, t5, hardware, decided=decided)

    assert made(80).eval_generate_rows == 80
    capped = made(5000)
    assert capped.eval_generate_rows == 100
    assert any("100 of 5,000 validation rows" in note for note in capped.notes)
    assert made(5000, A100).eval_generate_rows == 1000
    assert made(5000, eval_generate_rows=7).eval_generate_rows == 7
    # What is generated costs time; the vocabulary's scores cost memory.
    assert made(5000, eval_generate_rows=5000).time_s > capped.time_s
    assert capped.metric_for_best_model == "chrf"
    wide = changed(t5, vocab_size=250_000)
    spec = RunSpec(model="m", data="df")
    more = make_plan(spec, data, LENGTHS, wide, CPU, decided=decided).memory_bytes
    assert more - make_plan(spec, data, LENGTHS, t5, CPU, decided=decided).memory_bytes > 500e6
