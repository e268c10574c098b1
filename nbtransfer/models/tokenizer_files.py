"""A model's tokenizer files: which there are, how many ids they use, and whether one pads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nbtransfer.errors import ModelError, quoted
from nbtransfer.models.shape import check_no_code, read_config

if TYPE_CHECKING:
    from pathlib import Path

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
SMALL_FILES = (TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, "special_tokens_map.json")

# transformers builds a tokenizer from any of these; the kernel only with tokenizer.json.
OLDER_FILES = (
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "source.spm",
)
# What else decides how texts become ids.
_BESIDES = (
    "merges.txt",
    "added_tokens.json",
    "target.spm",
    "chat_template.jinja",
    "chat_template.json",
)
ALL_FILES = (*SMALL_FILES, *OLDER_FILES, *_BESIDES)
_PADDING_TOKENS = ("[PAD]", "<pad>", "<|pad|>")
_MAX_TOKENIZER_BYTES = 200_000_000


def find_tokenizer(folder: Path, model: str, *, vocab_rows: int) -> Path | None:
    """Return the tokenizer.json in `folder`, or None where only older files are there.

    Args:
        folder: holds the tokenizer's files.
        model: the model as the user typed it, quoted, for messages.
        vocab_rows: rows of the model's word embedding.

    Raises:
        ModelError: if there is none, it needs code of its own, or its ids pass the embedding.
    """
    if (folder / TOKENIZER_CONFIG_FILE).is_file():
        config = read_config(folder / TOKENIZER_CONFIG_FILE, model)
        check_no_code(config, TOKENIZER_CONFIG_FILE, model)
    file = folder / TOKENIZER_FILE
    if not file.is_file():
        if has_tokenizer(folder):
            return None
        raise ModelError(
            f"{model} has no tokenizer: no {TOKENIZER_FILE} nor vocabulary in "
            f"{quoted(str(folder))}. Save the tokenizer it was trained with into the same folder "
            "(tokenizer.save_pretrained)."
        )
    largest = _largest_id(_read_tokenizer(file, model))
    if largest >= vocab_rows:
        raise ModelError(
            f"{model}: its tokenizer makes ids up to {largest:,}, but its embedding has only "
            f"{vocab_rows:,} rows. Tokenizer and weights do not belong together; use the tokenizer "
            "saved with this model."
        )
    return file


def has_tokenizer(folder: Path) -> bool:
    """Tell whether transformers finds a tokenizer in `folder`."""
    return any((folder / name).is_file() for name in (TOKENIZER_FILE, *OLDER_FILES))


def has_padding_token(folder: Path, model: str, config: dict[str, Any]) -> bool:
    """Tell whether a padding token is stated, or one of the usual ones is in the vocabulary."""
    if config.get("pad_token_id") is not None:
        return True
    for name in SMALL_FILES[1:]:
        if (folder / name).is_file() and read_config(folder / name, model).get("pad_token"):
            return True
    file = folder / TOKENIZER_FILE
    if not file.is_file():
        return (folder / "vocab.txt").is_file()  # BERT's vocabularies all have [PAD]
    known = _tokens(_read_tokenizer(file, model))
    return any(token in known for token in _PADDING_TOKENS)


def _read_tokenizer(file: Path, model: str) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MAX_TOKENIZER_BYTES:
            raise ModelError(f"{model}: {file.name} is too large to be a tokenizer.")
        tokenizer = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{model}: {file.name} is not valid JSON. Download or save the model again."
        ) from error
    except OSError as error:
        raise ModelError(f"{model}: {file.name} cannot be read: {error.strerror}.") from error
    if not isinstance(tokenizer, dict) or not isinstance(tokenizer.get("model"), dict):
        raise ModelError(
            f"{model}: {file.name} holds no tokenizer. Save the model's tokenizer again."
        )
    return tokenizer


def _largest_id(tokenizer: dict[str, Any]) -> int:
    vocab = tokenizer["model"].get("vocab")
    ids = [-1]
    if isinstance(vocab, dict):
        ids.extend(v for v in vocab.values() if type(v) is int)
    elif isinstance(vocab, list):  # Unigram: the place in the list is the id
        ids.append(len(vocab) - 1)
    ids.extend(e["id"] for e in _added(tokenizer) if type(e.get("id")) is int)
    return max(ids)


def _tokens(tokenizer: dict[str, Any]) -> set[str]:
    vocab = tokenizer["model"].get("vocab")
    tokens = {str(e.get("content")) for e in _added(tokenizer)}
    if isinstance(vocab, dict):
        tokens.update(vocab)
    return tokens


def _added(tokenizer: dict[str, Any]) -> list[dict[str, Any]]:
    added = tokenizer.get("added_tokens")
    return [e for e in added if isinstance(e, dict)] if isinstance(added, list) else []
