"""Weight files, read no further than their headers: counts, types, and whether a file is whole.

A safetensors file is an 8-byte little-endian length, a JSON header of that length, then the
tensors' bytes without gaps. The header alone tells parameters and types, and where the file ends.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.errors import ModelError, quoted
from nbtransfer.models.lora_targets import LinearLayers

if TYPE_CHECKING:
    from collections.abc import Iterable

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

# The format's own cap; a damaged length must not become a huge allocation.
_MAX_HEADER_BYTES = 100_000_000
_MAX_INDEX_BYTES = 100_000_000
_MAX_AXES = 16

_DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "F8_E4M3": ("float8", 1),
    "F8_E5M2": ("float8", 1),
    "I64": ("int64", 8),
    "U64": ("uint64", 8),
    "I32": ("int32", 4),
    "U32": ("uint32", 4),
    "I16": ("int16", 2),
    "U16": ("uint16", 2),
    "I8": ("int8", 1),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}

# Formats that run code when read (pickle), or that need torch or another framework to read.
_PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_FOREIGN_SUFFIXES = {".h5": "TensorFlow", ".msgpack": "Flax", ".onnx": "ONNX", ".gguf": "GGUF"}

# Parts that pre-training or another task put on top; the task's own head replaces them.
_HEAD_PREFIXES = (
    "cls.",
    "lm_head",
    "score.",
    "classifier",
    "pre_classifier",
    "classification_head",
    "qa_outputs",
    "vocab_",
    "generator_",
    "discriminator_predictions",
    "lm_predictions",
    "mask_predictions",
    "decoder.bias",
    "decoder.weight",
)
_LM_HEAD_PREFIXES = (
    "cls.predictions",
    "lm_head",
    "vocab_",
    "generator_",
    "lm_predictions",
    "mask_predictions",
    "decoder.bias",
    "decoder.weight",
    "embed_out",
    "predictions.",
)
_CLASSIFIER_PREFIXES = ("classifier", "score.", "classification_head")
# Constants that some checkpoints store beside the weights.
_BUFFER_SUFFIXES = ("position_ids", "token_type_ids", "attn.masked_bias", "inv_freq")
_WORD_EMBEDDINGS = (
    "word_embeddings.weight",
    "word_embedding.weight",
    "tok_embeddings.weight",
    "wte.weight",
    "embed_tokens.weight",
    "shared.weight",
)
_OTHER_EMBEDDINGS = (
    "position_embeddings.weight",
    "token_type_embeddings.weight",
    "wpe.weight",
    "embed_positions.weight",
)
# In the names of matrices whose rows are looked up, not multiplied.
_LOOKED_UP = ("embed", "wte.", "wpe.", "shared.", "relative_attention_bias")
_NUMBER = re.compile(r"\.\d+\.")


class Tensor(NamedTuple):
    """One entry of a header: the format's name of the type, and the shape."""

    dtype: str
    shape: tuple[int, ...]


class Weights(NamedTuple):
    """What the headers of a model's weight files add up to.

    `num_parameters` and `num_embedding_parameters` are without heads; `vocab_rows` is the height of
    the word embedding, None where it was not recognised; `has_classifier`, `has_pooler`,
    `has_lm_head`: such a layer is among the weights; `linear_layers` are those of the backbone.
    """

    num_parameters: int
    num_embedding_parameters: int
    vocab_rows: int | None
    dtype: str
    num_bytes: int
    has_classifier: bool
    has_pooler: bool
    has_lm_head: bool = False
    linear_layers: tuple[LinearLayers, ...] = ()


def read_weights(folder: Path) -> Weights:
    """Return what the weight files in `folder` hold: one file, or several listed in an index.

    Raises:
        ModelError: if there are none, they are of a format that is refused, or one is damaged.
    """
    if (folder / WEIGHTS_FILE).is_file():
        files = [folder / WEIGHTS_FILE]
    elif (folder / INDEX_FILE).is_file():
        files = _indexed_files(folder)
    else:
        raise ModelError(missing_weights_message(str(folder), [p.name for p in folder.iterdir()]))
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors.update(read_header(file))
    return summarise(tensors, sum(file.stat().st_size for file in files))


def has_whole_weights(folder: Path) -> bool:
    """Tell whether all weight files are there, without reading them."""
    try:
        return (folder / WEIGHTS_FILE).is_file() or bool(_indexed_files(folder))
    except ModelError:
        return False


def missing_weights_message(model: str, files: Iterable[str], *, hub_id: str | None = None) -> str:
    """Return what to say of a model without safetensors, given the files it does have."""
    names = sorted(files)
    pickles = [n for n in names if n.endswith(_PICKLE_SUFFIXES) and n != "training_args.bin"]
    if pickles:
        fetch = (
            "Many repositories keep a converted copy in a pull request: "
            f"huggingface_hub.snapshot_download({hub_id!r}, revision='refs/pr/1'), then name that "
            "folder"
            if hub_id
            else "Convert it where you trust it, with save_pretrained"
        )
        return (
            f"{quoted(model)} holds its weights only as a pickle ({pickles[0]}), which can run "
            f"code when it is read, so it is refused. Use a revision that has {WEIGHTS_FILE}. "
            f"{fetch}."
        )
    for name in names:
        if (kind := _FOREIGN_SUFFIXES.get(Path(name).suffix)) is not None:
            return (
                f"{quoted(model)} holds its weights only as {kind} ({name}); nbtransfer reads "
                f"{WEIGHTS_FILE}. Use the version of this model that has it."
            )
    if "adapter_config.json" in names:
        return (
            f"{quoted(model)} is an adapter, not a whole model. Merge it into its base model and "
            "save that, then name the saved folder."
        )
    found = ", ".join(names[:6]) or "nothing"
    return f"{quoted(model)} has no {WEIGHTS_FILE}. Found: {found}."


def read_header(file: Path) -> dict[str, Tensor]:
    """Return the tensors that a safetensors file declares, having checked that the file is whole.

    Raises:
        ModelError: naming what does not fit.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length_bytes = stream.read(8)
            if len(length_bytes) < 8:
                raise _damaged(file, f"it has {size} bytes, too few for a header")
            (length,) = struct.unpack("<Q", length_bytes)
            if length > min(size - 8, _MAX_HEADER_BYTES):
                raise _damaged(
                    file, f"its header should have {length:,} bytes, the file has {size:,}"
                )
            text = stream.read(length)
    except OSError as error:
        raise ModelError(f"{quoted(str(file))} cannot be read: {error.strerror}.") from error
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(file, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _damaged(file, "its header is not a table of tensors")
    return _checked_tensors(file, header, num_data_bytes=size - 8 - length)


def summarise(tensors: dict[str, Tensor], num_bytes: int) -> Weights:
    """Add up the tensors of a model: parameters without heads, embeddings, the commonest type."""
    by_dtype: Counter[str] = Counter()
    num_parameters = num_embedding = 0
    vocab_rows = None
    has_shared = any(name.endswith("shared.weight") for name in tensors)
    for name, tensor in tensors.items():
        if not _is_weight(name, tensor):
            continue
        count = math.prod(tensor.shape)
        by_dtype[_DTYPES[tensor.dtype][0]] += count
        is_word = name.endswith(_WORD_EMBEDDINGS)
        # T5 and BART store the shared embedding once more for each side; in memory it is one.
        is_copy = has_shared and name.endswith("embed_tokens.weight")
        if name.startswith(_HEAD_PREFIXES) or is_copy:
            continue
        num_parameters += count
        if is_word or name.endswith(_OTHER_EMBEDDINGS):
            num_embedding += count
        if is_word and vocab_rows is None and len(tensor.shape) == 2:
            vocab_rows = tensor.shape[0]
    return Weights(
        num_parameters=num_parameters,
        num_embedding_parameters=num_embedding,
        vocab_rows=vocab_rows,
        dtype=by_dtype.most_common(1)[0][0] if by_dtype else "float32",
        num_bytes=num_bytes,
        has_classifier=any(name.startswith(_CLASSIFIER_PREFIXES) for name in tensors),
        has_pooler=any("pooler" in name for name in tensors),
        has_lm_head=any(name.startswith(_LM_HEAD_PREFIXES) for name in tensors),
        linear_layers=_linear_layers(tensors),
    )


def _linear_layers(tensors: dict[str, Tensor]) -> tuple[LinearLayers, ...]:
    """Return the linear layers of the backbone by place: matrices that are no lookup tables."""
    found: dict[str, LinearLayers] = {}
    for name, tensor in tensors.items():
        if not name.endswith(".weight") or len(tensor.shape) != 2:
            continue
        if name.startswith(_HEAD_PREFIXES) or any(word in name for word in _LOOKED_UP):
            continue
        path = _NUMBER.sub(".*.", name.removesuffix(".weight"))
        before = found.get(path, LinearLayers(path, 0, 0))
        found[path] = LinearLayers(path, before.num_layers + 1, before.width + sum(tensor.shape))
    return tuple(found.values())


def _is_weight(name: str, tensor: Tensor) -> bool:
    if not _DTYPES[tensor.dtype][0].startswith(("float", "bfloat")):
        return False
    # GPT-2's files hold the causal mask as `attn.bias` of shape (1, 1, T, T).
    is_mask = name.endswith("attn.bias") and len(tensor.shape) == 4
    return not is_mask and not name.endswith(_BUFFER_SUFFIXES)


def _checked_tensors(
    file: Path, header: dict[str, Any], *, num_data_bytes: int
) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        tensor, span = _checked_entry(file, name, entry)
        tensors[name] = tensor
        spans.append(span)
    if not tensors:
        raise _damaged(file, "it holds no tensors")
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise _damaged(file, "its tensors overlap or leave a gap")
        end = stop
    if end != num_data_bytes:
        raise _damaged(
            file, f"its tensors should take {end:,} bytes, the file has {num_data_bytes:,} for them"
        )
    return tensors


def _checked_entry(file: Path, name: str, entry: object) -> tuple[Tensor, tuple[int, int]]:
    fields = entry if isinstance(entry, dict) else {}
    dtype = fields.get("dtype")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _damaged(file, f"tensor {quoted(name)} has the unknown type {quoted(dtype)}")
    shape, span = _counts(fields.get("shape")), _counts(fields.get("data_offsets"))
    if shape is None or len(shape) > _MAX_AXES or span is None or len(span) != 2:
        raise _damaged(file, f"tensor {quoted(name)} has no sound shape or place")
    if span[1] - span[0] != math.prod(shape) * _DTYPES[dtype][1]:
        raise _damaged(file, f"tensor {quoted(name)} does not fill the place it is given")
    return Tensor(dtype, shape), (span[0], span[1])


def _counts(values: object) -> tuple[int, ...] | None:
    if not isinstance(values, list) or not all(type(v) is int and 0 <= v < 2**63 for v in values):
        return None
    return tuple(values)


def _indexed_files(folder: Path) -> list[Path]:
    index = folder / INDEX_FILE
    try:
        if index.stat().st_size > _MAX_INDEX_BYTES:
            raise _damaged(index, "it is too large to be an index")
        names = set(json.loads(index.read_bytes())["weight_map"].values())
    except OSError as error:
        raise ModelError(f"{quoted(str(index))} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(index, "it has no weight_map") from error
    if not names:
        raise _damaged(index, "its weight_map is empty")
    files = []
    for name in sorted(map(str, names)):
        # An index may only name files beside it: a path would read whatever it points to.
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelError(
                f"{quoted(str(index))} names {quoted(name)}, which is not a file beside it."
            )
        if not (folder / name).is_file():
            raise ModelError(
                f"{quoted(str(folder))} lacks {name}, one of the {len(names)} weight files its "
                "index names. Download the model again."
            )
        files.append(folder / name)
    return files


def _damaged(file: Path, reason: str) -> ModelError:
    return ModelError(
        f"{quoted(str(file))} is damaged or cut short: {reason}. Download or save the model again."
    )
