"""A small model, a machine and data as plans are made of them, and the plan of a spec on these."""

import dataclasses

import numpy as np
import pytest

from nbtransfer.data.card import DataCard
from nbtransfer.data.lengths import Lengths
from nbtransfer.errors import SpecError
from nbtransfer.hardware import Hardware
from nbtransfer.models.card import ModelCard
from nbtransfer.planning import make_plan
from nbtransfer.spec import RunSpec

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
