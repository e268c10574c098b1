"""Tests of nbtransfer.models.weights."""

import json
import struct

import pytest

from nbtransfer.errors import ModelError
from nbtransfer.models.weights import missing_weights_message, read_header, read_weights

# Embeddings: 40 + 64 + 8. Others: 32 + 8, pooler 16. Position ids are no weights.
NUM_EMBEDDING, NUM_PARAMETERS = 112, 168


@pytest.fixture
def weights_file(tmp_path, as_safetensors, tensors):
    file = tmp_path / "model.safetensors"
    file.write_bytes(as_safetensors(tensors))
    return file


def with_header(header, num_data_bytes=0):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(num_data_bytes)


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_parameters_are_counted_without_buffers(weights_file):
    found = read_weights(weights_file.parent)
    assert (found.num_parameters, found.num_embedding_parameters) == (NUM_PARAMETERS, NUM_EMBEDDING)
    assert found.vocab_rows == 10
    assert found.dtype == "float32"
    assert found.num_bytes == weights_file.stat().st_size
    assert found.has_pooler
    assert not found.has_classifier


def test_heads_are_not_counted(weights_file, as_safetensors, tensors):
    heads = {
        "cls.predictions.bias": ("F32", [10]),
        "classifier.weight": ("F32", [3, 4]),
        "lm_head.weight": ("F32", [10, 4]),
    }
    weights_file.write_bytes(as_safetensors({**tensors, **heads}))
    found = read_weights(weights_file.parent)
    assert found.num_parameters == NUM_PARAMETERS
    assert found.has_classifier


def test_a_stored_causal_mask_is_not_counted(weights_file, as_safetensors):
    weights_file.write_bytes(
        as_safetensors(
            {
                "wte.weight": ("F32", [5, 2]),
                "h.0.attn.bias": ("F32", [1, 1, 8, 8]),
                "h.0.attn.c_attn.bias": ("F32", [6]),
            }
        )
    )
    assert read_weights(weights_file.parent).num_parameters == 16


def test_copies_of_a_shared_embedding_count_once(weights_file, as_safetensors):
    weights_file.write_bytes(
        as_safetensors(
            {
                "shared.weight": ("F32", [5, 2]),
                "encoder.embed_tokens.weight": ("F32", [5, 2]),
                "decoder.embed_tokens.weight": ("F32", [5, 2]),
            }
        )
    )
    assert read_weights(weights_file.parent).num_parameters == 10


def test_the_commonest_type_is_named(weights_file, as_safetensors, tensors):
    halves = {name: ("BF16", shape) for name, (_, shape) in tensors.items()}
    weights_file.write_bytes(as_safetensors({**halves, "norm.weight": ("F32", [4])}))
    assert read_weights(weights_file.parent).dtype == "bfloat16"


def test_shards_add_up(tmp_path, as_safetensors, tensors):
    names = list(tensors)
    parts = {"a.safetensors": names[:3], "b.safetensors": names[3:]}
    for file, held in parts.items():
        (tmp_path / file).write_bytes(as_safetensors({n: tensors[n] for n in held}))
    index = {"weight_map": {n: file for file, held in parts.items() for n in held}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert read_weights(tmp_path).num_parameters == NUM_PARAMETERS
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks b\.safetensors, one of the 2 weight files"):
        read_weights(tmp_path)


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "sub/x.safetensors", "x.bin"])
def test_an_index_may_not_name_files_elsewhere(tmp_path, name):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ModelError, match="not a file beside it"):
        read_weights(tmp_path)


@pytest.mark.parametrize("index", ["{}", "[]", "{", '{"weight_map": []}', '{"weight_map": {}}'])
def test_a_broken_index_is_refused(tmp_path, index):
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ModelError, match="damaged or cut short"):
        read_weights(tmp_path)


def test_every_truncation_is_found(weights_file):
    whole = weights_file.read_bytes()
    for length in (0, 4, 8, 20, len(whole) // 2, len(whole) - 1):
        weights_file.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"damaged or cut short.*[Dd]ownload"):
            read_header(weights_file)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (struct.pack("<Q", 2**62) + b"{}", "its header should have"),
        (with_header(b"{nonsense"), "its header is not JSON"),
        (with_header(b"[" * 100_000), "its header is not JSON"),
        (with_header(b"\xff\xfe"), "its header is not JSON"),
        (with_header([]), "not a table"),
        (with_header({}), "it holds no tensors"),
        (with_header({"a": 1}), "unknown type None"),
        (with_header({"a": entry(dtype="Q9")}), "unknown type 'Q9'"),
        (with_header({"a": entry(shape=(-1,))}), "no sound shape"),
        (with_header({"a": entry(shape=(1,) * 17)}), "no sound shape"),
        (with_header({"a": entry(offsets=(0,))}), "no sound shape"),
        (with_header({"a": entry(shape=(3,))}, 8), "does not fill the place"),
        (with_header({"a": entry(), "b": entry()}, 8), "overlap or leave a gap"),
        (with_header({"a": entry(offsets=(8, 16))}, 16), "overlap or leave a gap"),
        (with_header({"a": entry()}, 9), r"should take 8 bytes, the file has 9"),
    ],
)
def test_damage_is_named(weights_file, content, reason):
    weights_file.write_bytes(content)
    with pytest.raises(ModelError, match=reason):
        read_header(weights_file)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["pytorch_model.bin", "config.json"], r"only as a pickle \(pytorch_model\.bin\)"),
        (["model.gguf"], r"only as GGUF \(model\.gguf\)"),
        (["tf_model.h5"], "only as TensorFlow"),
        (["adapter_config.json"], "is an adapter"),
        (["training_args.bin"], r"has no model\.safetensors\. Found: training_args\.bin"),
        ([], "Found: nothing"),
    ],
)
def test_other_formats_are_refused_by_name(files, said):
    import re

    assert re.search(said, missing_weights_message("m", files))


def test_a_pickle_on_the_hub_points_to_a_converted_copy():
    message = missing_weights_message("who/what", ["pytorch_model.bin"], hub_id="who/what")
    assert "snapshot_download('who/what', revision='refs/pr/1')" in message
