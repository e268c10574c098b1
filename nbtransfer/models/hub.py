"""Models of the Hugging Face hub: the cached copy first, then its metadata, never the weights."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtransfer.errors import ModelError, nearest, quoted
from nbtransfer.models.folder import CONFIG_FILE, build_card, embedding_rows, read_folder
from nbtransfer.models.shape import check_no_code, read_config, read_shape
from nbtransfer.models.tokenizer_files import (
    OLDER_FILES,
    SMALL_FILES,
    TOKENIZER_FILE,
    find_tokenizer,
    has_padding_token,
    has_tokenizer,
)
from nbtransfer.models.weights import (
    INDEX_FILE,
    WEIGHTS_FILE,
    Tensor,
    Weights,
    has_whole_weights,
    missing_weights_message,
    summarise,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbtransfer.models.card import ModelCard

# Often asked for; offered as the nearest match of a name that is not found.
WELL_KNOWN = (
    "google-bert/bert-base-uncased",
    "google-bert/bert-base-cased",
    "google-bert/bert-large-uncased",
    "google-bert/bert-base-multilingual-cased",
    "bert-base-uncased",
    "bert-base-cased",
    "distilbert/distilbert-base-uncased",
    "distilbert-base-uncased",
    "FacebookAI/roberta-base",
    "FacebookAI/roberta-large",
    "FacebookAI/xlm-roberta-base",
    "roberta-base",
    "roberta-large",
    "xlm-roberta-base",
    "albert/albert-base-v2",
    "google/electra-small-discriminator",
    "google/electra-base-discriminator",
    "microsoft/deberta-v3-small",
    "microsoft/deberta-v3-base",
    "microsoft/mpnet-base",
    "answerdotai/ModernBERT-base",
    "sentence-transformers/all-MiniLM-L6-v2",
    "sentence-transformers/all-mpnet-base-v2",
    "openai-community/gpt2",
    "gpt2",
    "google-t5/t5-small",
    "google-t5/t5-base",
    "t5-small",
    "Qwen/Qwen3-0.6B",
    "HuggingFaceTB/SmolLM2-135M",
)

_TIMEOUT_S = 10.0
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)


def is_hub_id(reference: str) -> bool:
    """Tell whether `reference` could name a model of the hub: `name` or `owner/name`."""
    return (
        _HUB_ID.fullmatch(reference) is not None and "--" not in reference and ".." not in reference
    )


def open_hub_model(hub_id: str, *, other_names: Iterable[str] = ()) -> ModelCard:
    """Return the card of a hub model.

    Args:
        hub_id: `owner/name`, or `name`.
        other_names: what else the user may have meant, such as runs and demo models.

    Raises:
        ModelError: if it does not exist, is closed to the user, out of reach, or of no use here.
    """
    if (snapshot := _cached_snapshot(hub_id)) is not None:
        return read_folder(
            snapshot, name=hub_id, source="hub", location=hub_id, revision=snapshot.name
        )
    with _explained(hub_id, other_names):
        return _from_hub(hub_id)


def _cached_snapshot(hub_id: str) -> Path | None:
    """Return the cached folder if config, tokenizer and all weights are in it."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(hub_id, CONFIG_FILE)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    return folder if has_tokenizer(folder) and has_whole_weights(folder) else None


def _from_hub(hub_id: str) -> ModelCard:
    from huggingface_hub import HfApi

    shown = f"model {quoted(hub_id)}"
    api = HfApi()
    info = api.model_info(hub_id, files_metadata=True, timeout=_TIMEOUT_S)
    sizes = {item.rfilename: item.size or 0 for item in info.siblings or ()}
    if CONFIG_FILE not in sizes:
        names = [n for n in sizes if "/" not in n]
        if any(n.endswith((".gguf", ".bin")) or n == "adapter_config.json" for n in names):
            raise ModelError(missing_weights_message(hub_id, names, hub_id=hub_id))
        raise ModelError(f"{shown} has no {CONFIG_FILE}, so it is not a model of transformers.")
    folder = _fetch_small_files(hub_id, info.sha, sizes)
    config = read_config(folder / CONFIG_FILE, shown)
    check_no_code(config, CONFIG_FILE, shown)
    shape = read_shape(config, shown)
    if WEIGHTS_FILE not in sizes and INDEX_FILE not in sizes:
        names = [n for n in sizes if "/" not in n]
        raise ModelError(missing_weights_message(hub_id, names, hub_id=hub_id))
    weights = _remote_weights(api, hub_id, info.sha, sizes)
    tokenizer = find_tokenizer(folder, shown, vocab_rows=embedding_rows(shape, weights, shown))
    return build_card(
        config,
        shape,
        weights,
        name=hub_id,
        source="hub",
        location=hub_id,
        revision=info.sha,
        licence=_stated_licence(info),
        tokenizer=tokenizer,
        pads=has_padding_token(folder, shown, config),
    )


def _fetch_small_files(hub_id: str, revision: str | None, sizes: dict[str, int]) -> Path:
    """Fetch config and tokenizer into the hub's cache; return the folder they lie in."""
    from huggingface_hub import hf_hub_download

    older = () if TOKENIZER_FILE in sizes else OLDER_FILES
    for name in (*SMALL_FILES, *older):
        if name in sizes:
            hf_hub_download(hub_id, name, revision=revision)
    return Path(hf_hub_download(hub_id, CONFIG_FILE, revision=revision)).parent


def _remote_weights(
    api: Any,  # noqa: ANN401 -- huggingface_hub is imported inside functions
    hub_id: str,
    revision: str | None,
    sizes: dict[str, int],
) -> Weights | None:
    """Read the weight files' headers by range requests; None where the hub cannot serve them."""
    from huggingface_hub.errors import NotASafetensorsRepoError, SafetensorsParsingError

    try:
        metadata = api.get_safetensors_metadata(hub_id, revision=revision)
    except (NotASafetensorsRepoError, SafetensorsParsingError):
        return None
    tensors = {
        name: Tensor(tensor.dtype, tuple(tensor.shape))
        for file in metadata.files_metadata.values()
        for name, tensor in file.tensors.items()
    }
    num_bytes = sum(sizes.get(name, 0) for name in metadata.files_metadata)
    return summarise(tensors, num_bytes)


def _stated_licence(info: Any) -> str | None:  # noqa: ANN401 -- a ModelInfo
    card_data = getattr(info, "card_data", None)
    licence = getattr(card_data, "license", None)
    return licence if isinstance(licence, str) else None


@contextmanager
def _explained(hub_id: str, other_names: Iterable[str]) -> Iterator[None]:
    """Turn what huggingface_hub raises into one line that says what to do."""
    from huggingface_hub import errors, get_token

    shown = f"model {quoted(hub_id)}"
    try:
        yield
    except errors.GatedRepoError as error:
        ask = f"ask for access at https://huggingface.co/{hub_id}"
        if get_token() is None:
            message = f"{shown} is gated, and no token is stored. First {ask}, then: hf auth login."
        else:
            message = f"{shown} is gated, and your token has no access to it. To get it, {ask}."
        raise ModelError(message) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(_not_found_message(hub_id, other_names)) from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise ModelError(_unreachable_message(hub_id, other_names)) from error
    except errors.HfHubHTTPError as error:
        raise ModelError(_refused_message(hub_id, error)) from error
    except errors.HFValidationError as error:
        raise ModelError(_not_found_message(hub_id, other_names)) from error
    except _transport_errors() as error:
        raise ModelError(_unreachable_message(hub_id, other_names)) from error


def _transport_errors() -> tuple[type[BaseException], ...]:
    """Return what a failed connection raises: the hub's HTTP library differs by version."""
    from huggingface_hub import errors

    names = ("HTTPError", "RequestException")
    bases = [base for base in errors.HfHubHTTPError.__mro__ if base.__name__ in names]
    return (OSError, *bases)


def _not_found_message(hub_id: str, other_names: Iterable[str]) -> str:
    from huggingface_hub import get_token

    close = nearest(hub_id, [*other_names, *WELL_KNOWN])
    hint = f" Did you mean {close!r}?" if close else ""
    private = "" if get_token() else " If it is private, log in first: hf auth login."
    what = f"no model {quoted(hub_id)}: no folder, no run and no model of the hub has this name."
    return what + hint + private


def _unreachable_message(hub_id: str, other_names: Iterable[str]) -> str:
    from huggingface_hub import constants

    close = nearest(hub_id, [*other_names, *WELL_KNOWN])
    hint = f" Or did you mean {close!r}?" if close and close != hub_id else ""

    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub cannot be reached"
    return (
        f"model {quoted(hub_id)} is not in the local cache, and {why}. Fetch it once while online "
        f"(hf download {hub_id}), name a folder, or take demo:minilm.{hint}"
    )


def _refused_message(hub_id: str, error: Any) -> str:  # noqa: ANN401 -- an HfHubHTTPError
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return (
            f"model {quoted(hub_id)}: the hub does not accept the stored token; it may have "
            "expired or been revoked. Log in again: hf auth login."
        )
    what = f"answered with status {status}" if status else "did not answer as expected"
    return f"model {quoted(hub_id)}: the hub {what}. Try again later, or name a folder."
