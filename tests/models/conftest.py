"""Small models on disk, made byte by byte: no torch, no safetensors package."""

from __future__ import annotations

import json
import math
import struct

import pytest

SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}

# A BERT of width 4 with one block of inner width 8, 10 word pieces and 16 positions.
CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 4,
    "intermediate_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "vocab_size": 10,
    "pad_token_id": 0,
}
TENSORS = {
    "embeddings.position_ids": ("I64", [1, 16]),
    "embeddings.word_embeddings.weight": ("F32", [10, 4]),
    "embeddings.position_embeddings.weight": ("F32", [16, 4]),
    "embeddings.token_type_embeddings.weight": ("F32", [2, 4]),
    "encoder.layer.0.intermediate.dense.weight": ("F32", [8, 4]),
    "encoder.layer.0.intermediate.dense.bias": ("F32", [8]),
    "pooler.dense.weight": ("F32", [4, 4]),
}
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "very", "not"]


def safetensors_bytes(tensors):
    """A whole file: the header's length, the header, zeros for the data."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in tensors.items():
        start, end = end, end + math.prod(shape) * SIZES[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


@pytest.fixture
def as_safetensors():
    return safetensors_bytes


@pytest.fixture
def tensors():
    return dict(TENSORS)


@pytest.fixture
def save_model(tmp_path):
    """Write a folder; files given as None are left out, others replace the usual content."""

    def save(name="tiny", *, config=None, tensors=None, vocab=None, **files):
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        pieces = VOCAB if vocab is None else vocab
        content = {
            "config.json": json.dumps({**CONFIG, **(config or {})}),
            "model.safetensors": safetensors_bytes({**TENSORS, **(tensors or {})}),
            "tokenizer.json": json.dumps(
                {"model": {"type": "WordPiece", "vocab": {p: i for i, p in enumerate(pieces)}}}
            ),
        }
        content |= {file.replace("__", "."): text for file, text in files.items()}
        for file, text in content.items():
            if text is not None:
                (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder

    return save
