"""Tests of nbtransfer.models.lora_targets, and of what plans say of LoRA."""

from __future__ import annotations

import dataclasses
import json

import pytest

from nbtransfer.errors import SpecError
from nbtransfer.models.card import ModelCard
from nbtransfer.models.folder import read_folder
from nbtransfer.models.lora_targets import (
    LinearLayers,
    adapter_weights,
    attention_targets,
    matches,
    plan_lora,
    takes_adapters,
)
from nbtransfer.spec import RunSpec
from tests.test_planning import MODEL, plan, problems

LAYERS = (
    LinearLayers("encoder.layer.*.attention.self.query", 6, 6 * 768),
    LinearLayers("encoder.layer.*.attention.self.value", 6, 6 * 768),
    LinearLayers("encoder.layer.*.attention.output.dense", 6, 6 * 768),
    LinearLayers("encoder.layer.*.output.dense", 6, 6 * (384 + 1536)),
)
KNOWN = dataclasses.replace(MODEL, linear_layers=LAYERS)
HEAD = 2 * 384 + 2


def lora(**asked):
    return plan(model=KNOWN, technique="lora", **asked)


def test_a_header_tells_the_linear_layers_by_place(save_model):
    folder = save_model(
        tensors={
            "encoder.layer.0.attention.self.query.weight": ("F32", [4, 4]),
            "encoder.layer.1.attention.self.query.weight": ("F32", [4, 4]),
            "encoder.layer.0.attention.output.LayerNorm.weight": ("F32", [4]),
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": ("F32", [8, 2]),
            "classifier.weight": ("F32", [3, 4]),
        }
    )
    card = read_folder(folder, name="tiny", source="folder")
    assert card.linear_layers == (
        LinearLayers("encoder.layer.*.intermediate.dense", 1, 12),
        LinearLayers("pooler.dense", 1, 8),
        LinearLayers("encoder.layer.*.attention.self.query", 2, 16),
    )
    assert ModelCard.from_json(json.loads(json.dumps(card.to_json()))) == card


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["model.layers.*.self_attn.q_proj", "model.layers.*.self_attn.v_proj"], "q_proj v_proj"),
        (["layer.*.attention.self.query", "layer.*.attention.self.value"], "query value"),
        (["block.*.SelfAttention.q", "block.*.SelfAttention.v", "block.*.wo"], "q v"),
        (["h.*.attn.c_attn", "h.*.mlp.c_fc"], "c_attn"),
        (["layers.*.attn.Wqkv", "layers.*.mlp.Wi"], "Wqkv"),
        (["layers.*.fourier"], ""),
        (["layers.*.q_proj"], ""),
    ],
)
def test_attention_is_found_by_the_names_families_use(paths, found):
    assert " ".join(attention_targets(paths)) == found


def test_names_match_whole_or_by_their_end():
    assert matches("encoder.layer.*.output.dense", ["output.dense"])
    assert matches("output.dense", ["output.dense"])
    assert not matches("encoder.put.dense", ["t.dense"])
    assert matches("anything", ["all-linear"])


def test_the_plan_counts_what_learns():
    made = lora()
    assert made.num_trainable_parameters == 8 * 12 * 768 + HEAD
    assert any(
        note.startswith("LoRA r=8, alpha=16 on query and value: 74,498") for note in made.notes
    )
    assert lora(lora_r=16).num_trainable_parameters == 2 * 8 * 12 * 768 + HEAD
    dense = lora(lora_target_modules="output.dense")
    assert dense.num_trainable_parameters == 8 * (6 * 768 + 6 * 1920) + HEAD
    every = lora(lora_target_modules=["all-linear"])
    assert every.num_trainable_parameters == 8 * sum(layer.width for layer in LAYERS) + HEAD


def test_without_a_header_the_plan_estimates_and_says_so():
    made = plan(technique="lora")
    assert made.num_trainable_parameters == 8 * 4 * 384 * 6 + HEAD
    assert any("about 74,498 weights" in note for note in made.notes)
    assert plan_lora(RunSpec(model="m", data="d", technique="lora"), MODEL).targets == ()


@pytest.mark.parametrize(("size", "rate"), [(22e6, 3e-3), (130e6, 1e-3), (1e9, 2e-4)])
def test_lora_takes_a_higher_rate_the_smaller_the_model(size, rate):
    model = dataclasses.replace(KNOWN, num_parameters=int(size))
    made = plan(model=model, technique="lora")
    assert made.learning_rate == rate >= 10 * plan(model=model).learning_rate


def test_lora_takes_less_of_everything():
    made, whole = lora(), plan(model=KNOWN)
    assert made.memory_bytes < whole.memory_bytes
    assert made.time_s < whole.time_s
    # Checkpoints hold what learns: a weight and two moments of four bytes each.
    assert made.disk_bytes == 3 * 12 * made.num_trainable_parameters + 4 * KNOWN.num_parameters


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"lora_r": 0}, "lora_r=0 must be a whole number at least 1 and at most 512."),
        ({"lora_alpha": -1}, "lora_alpha=-1 must be a whole number at least 1"),
        ({"lora_dropout": 1}, "lora_dropout=1 must be a number at least 0 and at most 0.9."),
        ({"lora_target_modules": " , "}, "must name layers, as in 'query,value'"),
        ({"lora_target_modules": 3}, "must name layers, as in 'query,value'"),
        (
            {"lora_target_modules": "query,valeu"},
            "lora_target_modules: 'demo:minilm' has no linear layer 'valeu'. It has: query, value, "
            "dense, or 'all-linear'. Did you mean 'value'?",
        ),
        ({"lora_target_modules": "all_linear"}, "Did you mean 'all-linear'?"),
        ({"step": "fast"}, "step='fast'"),
    ],
)
def test_bad_values_are_told_in_one_line(asked, said):
    (problem,) = problems(model=KNOWN, technique="lora", **asked)
    assert said in problem


def test_options_of_lora_belong_to_lora():
    (problem,) = problems(model=KNOWN, lora_r=4)
    assert problem == (
        "lora_r is an option of LoRA, and technique='full' adds no adapters. Take "
        "technique='lora', or leave it out."
    )
    (problem,) = problems(model=KNOWN, technique="head", lora_r=4, lora_target_modules="query")
    assert problem.startswith("lora_r, lora_target_modules are options of LoRA")


def test_a_model_without_attention_layers_says_which_it_has():
    odd = dataclasses.replace(MODEL, linear_layers=(LinearLayers("layer.*.fourier.mix", 2, 8),))
    (problem,) = problems(model=odd, technique="lora")
    assert "has none of the attention layers" in problem and "its linear layers: mix" in problem
    assert not takes_adapters(odd) and takes_adapters(KNOWN) and takes_adapters(MODEL)
    named = plan(model=odd, technique="lora", lora_target_modules="mix")
    assert named.num_trainable_parameters == 8 * 8 + HEAD


def test_language_models_learn_by_adapters_alone():
    assert adapter_weights(KNOWN) == 8 * 12 * 768
    with pytest.raises(SpecError, match="'full', 'lora'"):
        plan(
            data=dataclasses.replace(
                plan_data(), task="masked-language-modeling", label_names=(), class_counts={}
            ),
            technique="head",
        )


def plan_data():
    from tests.test_planning import DATA

    return DATA
