"""Tests of nbtransfer.models.shape."""

import json
from pathlib import Path

import pytest

from nbtransfer.errors import ModelError
from nbtransfer.models.shape import (
    CLASSIFIABLE,
    check_no_code,
    estimate_parameters,
    read_config,
    read_shape,
)

ASSETS = Path(__file__).parents[1] / "assets" / "models"


def config_of(name):
    return json.loads((ASSETS / name / "config.json").read_text())


@pytest.mark.parametrize(
    ("name", "num_parameters", "num_embedding", "num_layers", "max_positions"),
    [  # parameters as transformers 5 counts them in AutoModel
        ("bert-base", 109_482_240, 23_835_648, 12, 512),
        ("roberta-base", 124_645_632, 38_999_040, 12, 512),
        ("distilbert-base", 66_362_880, 23_834_112, 6, 512),
        ("electra-small", 13_483_008, 3_972_608, 12, 512),
        ("mpnet-base", 109_486_464, 23_839_488, 12, 512),
        ("gpt2", 124_439_808, 39_383_808, 12, 1024),
        ("smollm2-135m", 134_515_008, 28_311_552, 30, 8192),
        ("t5-small", 60_506_624, 16_449_536, 12, 512),
    ],
)
def test_parameters_of_the_usual_families(
    name, num_parameters, num_embedding, num_layers, max_positions
):
    config = config_of(name)
    shape = read_shape(config, "model 'm'")
    assert estimate_parameters(shape, config) == (num_parameters, num_embedding)
    assert (shape.num_layers, shape.max_positions) == (num_layers, max_positions)


def test_a_missing_inner_width_is_four_times_the_width():
    assert read_shape(config_of("gpt2"), "m").intermediate_size == 4 * 768


def test_a_model_without_stated_positions_gets_512():
    config = config_of("t5-small")
    del config["n_positions"]
    assert read_shape(config, "m").max_positions == 512


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": None}, "has no model_type"),
        ({"model_type": 3}, "has no model_type"),
        ({"model_type": "whisper"}, "'whisper'.*no head for text classification"),
        ({"quantization_config": {"bits": 4}}, "is quantised"),
        ({"hidden_size": None}, "does not state hidden_size"),
        ({"hidden_size": "768"}, "hidden_size='768'.*whole number above 0"),
        ({"hidden_size": 0}, "hidden_size=0"),
        ({"hidden_size": 2**40}, "hidden_size="),
        ({"num_hidden_layers": True}, "num_hidden_layers=True"),
    ],
)
def test_impossible_configs_are_refused(change, said):
    with pytest.raises(ModelError, match=said):
        read_shape({**config_of("bert-base"), **change}, "model 'm'")


def test_a_misspelt_dimension_is_pointed_at():
    config = config_of("bert-base")
    config["hiden_size"] = config.pop("hidden_size")
    with pytest.raises(ModelError, match=r"does not state hidden_size \(it has 'hiden_size'\)"):
        read_shape(config, "m")


@pytest.mark.parametrize(
    ("auto_map", "module"),
    [
        ({"AutoModel": "modeling_odd.OddModel"}, "modeling_odd.py"),
        ({"AutoModel": "who/what--modeling_odd.OddModel"}, "modeling_odd.py"),
        ({"AutoTokenizer": ["tokenization_odd.Odd", None]}, "tokenization_odd.py"),
        ("modeling_odd.OddModel", "modeling_odd.py"),
        ({"AutoModel": None}, "?.py"),
    ],
)
def test_code_of_its_own_is_refused_by_file(auto_map, module):
    with pytest.raises(ModelError) as caught:
        check_no_code({"auto_map": auto_map}, "config.json", "model 'm'")
    assert f"'{module}'" in str(caught.value)
    assert "is refused" in str(caught.value)


def test_an_outside_kernel_is_refused():
    config = {"_attn_implementation": "who/fast-attention"}
    with pytest.raises(ModelError, match=r"outside kernel.*'who/fast-attention'"):
        check_no_code(config, "config.json", "m")
    check_no_code({"_attn_implementation": "sdpa"}, "config.json", "m")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1,\n "b" 2}', r"not valid JSON \(line 2, column 6"),
        (b"", "not valid JSON"),
        (b"\xff\xfe\x00", "not a readable JSON"),
        (b"[" * 100_000, "not a readable JSON"),
        (b"[]", "no table of settings"),
    ],
)
def test_a_broken_config_says_where(tmp_path, content, said):
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=said):
        read_config(file, "model 'm'")


@pytest.mark.slow
def test_every_family_has_a_head_in_transformers():
    from transformers.models.auto import modeling_auto

    assert set(modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES) >= CLASSIFIABLE
