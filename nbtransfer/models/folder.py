"""Model cards of folders: saved models, demo models, runs' models, the hub's cache."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nbtransfer.errors import ModelError, quoted
from nbtransfer.models.card import ModelCard, Source
from nbtransfer.models.shape import (
    Shape,
    check_no_code,
    estimate_parameters,
    language_modeling_of,
    read_config,
    read_shape,
)
from nbtransfer.models.tokenizer_files import find_tokenizer, has_padding_token
from nbtransfer.models.weights import Weights, missing_weights_message, read_weights

if TYPE_CHECKING:
    from pathlib import Path

CONFIG_FILE = "config.json"
_MAX_README_CHARS = 20_000
# Families whose classification head reads the backbone's pooling layer. Masked-language-model
# checkpoints are often saved without it.
_POOLED = frozenset(
    (
        *("albert", "bert", "ernie", "fnet", "luke", "megatron-bert", "mobilebert", "rembert"),
        *("roc_bert", "squeezebert"),
    )
)
_CHECKPOINT_FILES = ("optimizer.safetensors", "state.json", "manifest.json")


def read_folder(
    folder: Path,
    *,
    name: str,
    source: Source,
    location: str | None = None,
    revision: str | None = None,
    licence: str | None = None,
) -> ModelCard:
    """Return the card of the model in `folder`.

    Args:
        folder: holds config.json, weights and tokenizer.
        name: the model as the user typed it.
        source: how the name was understood.
        location: what the worker loads from, if not the folder.
        revision: the hub's commit.
        licence: where it is known without the folder's README.md.

    Raises:
        ModelError: if something is missing, damaged, refused, or does not belong together.
    """
    shown = f"model {quoted(name)}"
    _check_is_model(folder, shown)
    config = read_config(folder / CONFIG_FILE, shown)
    check_no_code(config, CONFIG_FILE, shown)
    shape = read_shape(config, shown)
    weights = read_weights(folder)
    rows = embedding_rows(shape, weights, shown)
    tokenizer = find_tokenizer(folder, shown, vocab_rows=rows)
    return build_card(
        config,
        shape,
        weights,
        name=name,
        source=source,
        location=location or str(folder),
        revision=revision,
        licence=licence or read_licence(folder / "README.md"),
        tokenizer=tokenizer,
        pads=has_padding_token(folder, shown, config),
    )


def build_card(
    config: dict[str, Any],
    shape: Shape,
    weights: Weights | None,
    *,
    name: str,
    source: Source,
    location: str,
    revision: str | None,
    licence: str | None,
    tokenizer: Path | None,
    pads: bool,
) -> ModelCard:
    """Put the parts together; without weights, parameters are estimated from the config."""
    estimated = estimate_parameters(shape, config)
    dtype = (
        weights.dtype
        if weights
        else str(config.get("dtype") or config.get("torch_dtype") or "float32")
    )
    head_labels = _head_labels(config, shape) if weights is None or weights.has_classifier else ()
    lacks_pooler = weights is not None and not weights.has_pooler and shape.model_type in _POOLED
    notes = []
    if dtype not in ("float32", "float64"):
        notes.append(f"The weights are stored as {dtype}; they are loaded as float32.")
    if head_labels:
        notes.append(f"It carries a head for the classes {_listed(head_labels)}.")
    if lacks_pooler:
        notes.append("The weights hold no pooling layer: it starts at random.")
    if not pads:
        notes.append(
            "The tokenizer has no padding token: its end-of-text token pads, and is masked."
        )
    if tokenizer is None:
        notes.append("There is no tokenizer.json: token lengths are counted when the run starts.")
    if weights is None:
        notes.append("The number of parameters is estimated from config.json.")
    return ModelCard(
        name=name,
        source=source,
        location=location,
        revision=revision,
        architecture=shape.architecture,
        model_type=shape.model_type,
        num_parameters=weights.num_parameters if weights else estimated[0],
        num_parameters_exact=weights is not None,
        num_embedding_parameters=weights.num_embedding_parameters if weights else estimated[1],
        num_layers=shape.num_layers,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_heads=shape.num_heads,
        vocab_size=shape.vocab_size,
        max_positions=shape.max_positions,
        weights_dtype=dtype,
        weights_bytes=weights.num_bytes if weights else 4 * estimated[0],
        licence=licence,
        tokenizer_file=str(tokenizer) if tokenizer else None,
        head_labels=head_labels,
        lacks_pooler=lacks_pooler,
        lacks_lm_head=_lacks_lm_head(config, shape, weights),
        linear_layers=weights.linear_layers if weights else (),
        notes=tuple(notes),
    )


def embedding_rows(shape: Shape, weights: Weights | None, shown: str) -> int:
    """Return the height of the word embedding.

    Raises:
        ModelError: if config.json and the weights disagree on it.
    """
    if weights is None or weights.vocab_rows is None:
        return shape.vocab_size
    if weights.vocab_rows != shape.vocab_size:
        raise ModelError(
            f"{shown}: config.json says vocab_size={shape.vocab_size:,}, but the weights hold "
            f"{weights.vocab_rows:,} rows. They do not belong together; save or download the model "
            "again."
        )
    return weights.vocab_rows


def read_licence(readme: Path) -> str | None:
    """Return the licence that the front matter of a model's README.md names, if any."""
    try:
        with readme.open(encoding="utf-8", errors="replace") as stream:
            text = stream.read(_MAX_README_CHARS)
    except OSError:
        return None
    if not text.startswith("---"):
        return None
    front = text[3:].split("\n---", 1)[0]
    found = re.search(
        r"^licen[sc]e:\s*['\"]?([A-Za-z0-9][\w.+-]{0,40})['\"]?\s*$", front, re.MULTILINE
    )
    return found.group(1) if found else None


def is_checkpoint(folder: Path) -> bool:
    """Tell whether `folder` is a checkpoint that a run of nbtransfer left."""
    return not (folder / CONFIG_FILE).exists() and all(
        (folder / name).exists() for name in _CHECKPOINT_FILES
    )


def _check_is_model(folder: Path, shown: str) -> None:
    if is_checkpoint(folder):
        run_dir = folder.resolve().parent.parent
        raise ModelError(
            f"{shown} is a checkpoint of the run {quoted(run_dir.name)}, not a model. Continue the "
            f"run with %finetune --resume {run_dir.name}, or start from its model with %finetune "
            f"{run_dir.name}."
        )
    try:
        names = [p.name for p in folder.iterdir()]
    except OSError as error:
        raise ModelError(f"{shown}: the folder cannot be read: {error.strerror}.") from error
    if CONFIG_FILE in names:
        return
    if "adapter_config.json" in names or any(n.endswith(".gguf") for n in names):
        raise ModelError(missing_weights_message(str(folder), names))
    inside = sorted(p.parent.name for p in folder.glob(f"*/{CONFIG_FILE}"))
    hint = f" Did you mean {str(folder / inside[0])!r}?" if inside else ""
    found = ", ".join(sorted(names)[:6]) or "nothing"
    raise ModelError(f"{shown} has no {CONFIG_FILE}. Found: {found}.{hint}")


def _lacks_lm_head(config: dict[str, Any], shape: Shape, weights: Weights | None) -> bool:
    if weights is None or weights.has_lm_head:
        return False
    # A decoder's head can be its word embedding itself; a masked model's has a layer before that.
    is_tied = config.get("tie_word_embeddings", True) is not False
    itself = ("causal-language-modeling", "span-corruption")
    return not (is_tied and language_modeling_of(shape.model_type) in itself)


def _head_labels(config: dict[str, Any], shape: Shape) -> tuple[str, ...]:
    if not shape.architecture.endswith(("ForSequenceClassification", "ForTokenClassification")):
        return ()
    names = config.get("id2label")
    if not isinstance(names, dict):
        return ("LABEL_0", "LABEL_1")  # what transformers assumes where a config is silent
    try:
        return tuple(str(names[key]) for key in sorted(names, key=int))
    except ValueError:
        return tuple(map(str, names.values()))


def _listed(labels: tuple[str, ...], limit: int = 6) -> str:
    shown = ", ".join(quoted(label, 30) for label in labels[:limit])
    more = len(labels) - limit
    return f"{shown} and {more} more" if more > 0 else shown
