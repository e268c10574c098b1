"""Tests of nbtransfer.choices, through make_plan: what is decided where nothing was asked."""

import pytest

from nbtransfer.planning import make_plan
from nbtransfer.spec import RunSpec
from nbtransfer.tasks.task import Decisions
from tests.plans import A100, CPU, DATA, LENGTHS, MODEL, P100, T4, changed, plan, problems


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


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"),
    [
        ({}, "eager", "batches without padding"),
        ({"model": changed(MODEL, model_type="mpnet")}, "eager", "padded batches"),
        ({"technique": "top:2"}, "eager", "batches without padding"),
        ({"technique": "head"}, "eager", "padded batches"),
        (
            {"technique": "head", "model": changed(MODEL, model_type="gpt2")},
            "eager",
            "batches without padding",
        ),
        ({"hardware": A100}, "eager", "graphed steps are unmeasured"),
        ({"hardware": A100, "model": changed(MODEL, model_type="mpnet")}, "eager", "mpnet models"),
        ({"hardware": A100, "model": changed(MODEL, model_type="deberta-v2")}, "eager", "deberta"),
        ({"hardware": A100, "precision": "fp32"}, "eager", "this run is in fp32"),
        ({"hardware": A100, "technique": "head"}, "eager", "frozen layers say is computed once"),
        ({"hardware": A100, "technique": "top:2"}, "eager", "frozen layers say is computed once"),
        ({"hardware": A100, "technique": "head", "step": "graphed"}, "graphed", "not measured"),
        ({"hardware": A100, "step": "eager"}, "eager", "as asked"),
        ({"hardware": A100, "step": "graphed"}, "graphed", "not measured"),
        ({"hardware": A100, "step": "graphed", "technique": "lora"}, "graphed", "not measured"),
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


def test_a_constant_rate_is_not_said_never_to_fall():
    (warning,) = plan(warmup_steps=500, lr_scheduler_type="constant").warnings
    assert "never fall" not in warning


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
