"""Reading a dataset of the Hugging Face hub, and saying in one line why it cannot be read."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nbtransfer.data.frames import table_from_object
from nbtransfer.data.tables import Tables, name_splits
from nbtransfer.errors import DataError, MissingPackageError, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_S = 10.0


def load_hub(reference: str) -> Tables:
    """Return the splits of the hub dataset `owner/name` or `name`.

    Raises:
        DataError: if it does not exist, is gated, is several data sets, or cannot be reached.
        MissingPackageError: if the package datasets is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise MissingPackageError("datasets", "Reading a dataset of the hub") from None
    try:
        with _cached_only(not _is_reachable(reference)):
            loaded = datasets.load_dataset(reference)
    except _hub_errors() as error:
        raise DataError(_problem(reference, error)) from None
    splits, notes = name_splits(_tables(loaded, reference), reference)
    return Tables(reference, f"hub dataset {reference}", splits, tuple(notes))


def _is_reachable(reference: str) -> bool:
    """Return whether the hub answers at all, if only to refuse.

    datasets asks six times over 24 s and logs each try before it says that there is no network.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(reference, timeout=_PATIENCE_S)
    except HfHubHTTPError:
        return True
    except _hub_errors():
        return False
    return True


@contextmanager
def _cached_only(is_on: bool) -> Iterator[None]:
    """Let datasets read its cache only, as HF_HUB_OFFLINE does, which is read at import only."""
    import datasets
    from huggingface_hub import constants

    places = (datasets.config, constants)
    former = [place.HF_HUB_OFFLINE for place in places]
    for place, value in zip(places, former, strict=True):
        place.HF_HUB_OFFLINE = value or is_on
    try:
        yield
    finally:
        for place, value in zip(places, former, strict=True):
            place.HF_HUB_OFFLINE = value


def _hub_errors() -> tuple[type[Exception], ...]:
    """Return what datasets and the hub client raise about an id, a connection or a damaged file."""
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    # The client's own HTTP package has errors that are no OSError; its name differs by version.
    clients = [sys.modules.get(name) for name in ("httpx", "httpx2")]
    extra = [client.HTTPError for client in clients if client is not None]
    return (DatasetsError, HfHubHTTPError, OSError, ValueError, RuntimeError, *extra)


def _tables(loaded: Any, reference: str) -> dict[str, Any]:  # noqa: ANN401 -- a DatasetDict
    return {
        str(split): table_from_object(dataset, f"{reference}[{split!r}]")[0]
        for split, dataset in loaded.items()
    }


def _problem(reference: str, error: Exception) -> str:
    kinds = {c.__name__ for c in type(error).__mro__}
    first = (str(error).splitlines() or [type(error).__name__])[0][:160]
    neither = f"{quoted(reference)} is neither a file here nor a dataset that could be read: "
    if "GatedRepoError" in kinds or "gated" in first.casefold():
        return (
            f"the dataset {quoted(reference)} is gated. Accept its terms on its hub page, then "
            "log in with `hf auth login`."
        )
    if "DatasetNotFoundError" in kinds or "RepositoryNotFoundError" in kinds:
        return (
            f"{neither}the hub does not know it, or it is private. Check the spelling of "
            "owner/name; log in with `hf auth login` if it is yours."
        )
    if (
        "OfflineModeIsEnabled" in kinds
        or isinstance(error, ConnectionError)
        or "ConnectError" in kinds
    ):
        return (
            f"{neither}the hub cannot be reached and no copy is cached. Connect, or give a file "
            "or a DataFrame."
        )
    if "Config name is missing" in first or "BuilderConfig" in first:
        return (
            f"the dataset {quoted(reference)} has several configurations. Load one yourself: ds = "
            f"datasets.load_dataset({reference!r}, NAME), then give ds."
        )
    if "scripts are no longer supported" in first:
        return (
            f"the dataset {quoted(reference)} needs a loading script, and scripts are never run. "
            "Give its files, or a converted copy."
        )
    return f"{neither}{type(error).__name__}: {first}"
