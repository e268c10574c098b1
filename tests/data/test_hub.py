"""The hub's answers, recorded as exceptions: each becomes one line that says what to do."""

from __future__ import annotations

import datasets
import pytest
from datasets.exceptions import DatasetNotFoundError

from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError

ANSWERS = {
    "offline": (
        ConnectionError("Couldn't reach 'imdb' on the Hub (OfflineModeIsEnabled)"),
        r"'owner/imdb' is neither a file here nor .* no copy is cached. Connect, or give a file",
    ),
    "unknown": (
        DatasetNotFoundError(
            "Dataset 'owner/imdb' doesn't exist on the Hub or cannot be accessed."
        ),
        r"the hub does not know it, or it is private. Check the spelling",
    ),
    "gated": (
        DatasetNotFoundError("Dataset 'owner/imdb' is a gated dataset on the Hub."),
        r"is gated. Accept its terms on its hub page, then log in with `hf auth login`",
    ),
    "configurations": (
        ValueError("Config name is missing.\nPlease pick one among: ['a', 'b']"),
        r"ds = datasets.load_dataset\('owner/imdb', NAME\), then give ds",
    ),
    "script": (
        RuntimeError("Dataset scripts are no longer supported, but found imdb.py"),
        r"scripts are never run. Give its files",
    ),
    "other": (OSError("disk on fire"), r"neither a file here .*OSError: disk on fire"),
}


@pytest.fixture(autouse=True)
def hub(monkeypatch):
    """A hub that answers, so that no test looks for one."""
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *_, **__: None)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_hub_answer_becomes_one_line(monkeypatch, answer):
    error, says = answer

    def load_dataset(reference):
        assert reference == "owner/imdb"
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataError, match=says) as raised:
        load_tables("owner/imdb")
    assert "\n" not in str(raised.value)


def test_hub_dataset_is_read_by_split(monkeypatch):
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    loaded = datasets.DatasetDict({"train": rows, "test": rows})
    monkeypatch.setattr(datasets, "load_dataset", lambda reference: loaded)
    tables = load_tables("imdb")
    assert (tables.name, tables.origin) == ("imdb", "hub dataset imdb")
    assert list(tables.splits) == ["train", "test"]


def test_bug_in_datasets_is_not_dressed_up_as_a_users_error(monkeypatch):
    def load_dataset(reference):
        raise ZeroDivisionError

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(ZeroDivisionError):
        load_tables("imdb")


def test_without_a_network_the_cache_alone_is_asked(monkeypatch):
    from huggingface_hub import HfApi, constants

    asked = []

    def unreachable(*_, **__):
        raise OSError("name or service not known")

    def load_dataset(reference):
        asked.append((datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE))
        raise ConnectionError("Couldn't reach 'imdb' on the Hub (OfflineModeIsEnabled)")

    monkeypatch.setattr(HfApi, "dataset_info", unreachable)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(DataError, match="no copy is cached"):
        load_tables("owner/imdb")
    assert asked == [(True, True)]
    assert (datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE) == (False, False)
