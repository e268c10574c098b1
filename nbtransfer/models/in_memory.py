"""A model that lives in a variable: written to a folder, so that the worker can load it."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtransfer.data.columns import with_article
from nbtransfer.errors import ModelError, quoted
from nbtransfer.models.catalog import ModelCard, open_model

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_model(value: object) -> bool:
    """Return whether `value` is a model of transformers, or a (model, tokenizer) pair."""
    model = value[0] if isinstance(value, tuple) and len(value) == 2 else value
    return hasattr(model, "save_pretrained") and hasattr(model, "config")


def write_model(value: object, name: str) -> ModelCard:
    """Write a model and its tokenizer to a temporary folder and return its card.

    Args:
        value: a (model, tokenizer) pair, or a model whose tokenizer lies where the model came from.
        name: what the user calls it.

    Raises:
        ModelError: if it is no model, or its tokenizer cannot be found.
    """
    if not is_model(value):
        raise ModelError(
            f"{name} is {with_article(type(value).__name__)}, not a model. Give demo:minilm, a "
            "folder, a hub id, or a variable that holds a model of transformers or a pair (model, "
            "tokenizer)."
        )
    model, tokenizer = value if isinstance(value, tuple) else (value, None)
    tokenizer = tokenizer or _tokenizer_of(model, name)
    folder = Path(tempfile.mkdtemp(prefix="nbtransfer-model-"))
    with contextlib.ExitStack() as clearing:
        clearing.callback(shutil.rmtree, folder, ignore_errors=True)  # gigabytes, perhaps
        with _no_progress_bars():
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        card = open_model(str(folder), runs_dir=folder)
        clearing.pop_all()
    return dataclasses.replace(card, name=name, source="variable")


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Keep transformers, which made the model, from leaving a widget in the notebook."""
    logging = getattr(sys.modules.get("transformers.utils"), "logging", None)
    if logging is None or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def adopt(card: ModelCard, target: Path) -> ModelCard:
    """Move the folder `write_model` made to `target` and return the card of it there."""
    shutil.move(card.location, target)
    return card.at(target)


def _tokenizer_of(model: Any, name: str) -> Any:  # noqa: ANN401 -- nothing of transformers here
    # The user's model is there, so transformers is loaded already.
    transformers = sys.modules.get("transformers")
    origin = getattr(model, "name_or_path", "")
    try:
        if transformers is None or not origin:
            raise OSError("it does not say where it came from")
        return transformers.AutoTokenizer.from_pretrained(origin)
    except (OSError, ValueError) as error:
        reason = quoted(next(iter(str(error).splitlines()), type(error).__name__))
        raise ModelError(
            f"the tokenizer of {name} was not found ({reason}). Give both: a variable holding "
            "(model, tokenizer)."
        ) from None
