"""Tests of nbtransfer.models.in_memory: a model in a variable, written, adopted or refused."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from types import SimpleNamespace

import pytest

from nbtransfer.errors import ModelError
from nbtransfer.models import in_memory
from nbtransfer.models.in_memory import adopt, is_model, write_model
from tests.runs.folders import MODEL_CARD


class FakeTokenizer:
    """As a tokenizer of transformers, to the one who saves it."""

    def save_pretrained(self, folder):
        (folder / "tokenizer.json").write_text("{}")


class FakeModel:
    """As a model of transformers, to the one who saves it."""

    def __init__(self, name_or_path=""):
        self.config = SimpleNamespace(model_type="bert")
        self.name_or_path = name_or_path

    def save_pretrained(self, folder):
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """A place for temporary folders that the test can look into."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """Reads a written folder as a card, without a real model in it."""

    def open_model(reference, *, runs_dir):
        return dataclasses.replace(
            MODEL_CARD,
            name=reference,
            source="folder",
            location=reference,
            tokenizer_file=f"{reference}/tokenizer.json",
        )

    monkeypatch.setattr(in_memory, "open_model", open_model)


@pytest.fixture
def transformers(monkeypatch):
    """Stands for the transformers that the user has loaded; says what it was asked for."""
    asked = []

    class AutoTokenizer:
        @staticmethod
        def from_pretrained(origin):
            asked.append(origin)
            if origin == "gone":
                raise OSError("gone does not appear to have a file named tokenizer.json\nmore")
            if origin == "silent":
                raise ValueError
            return FakeTokenizer()

    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(AutoTokenizer=AutoTokenizer))
    return asked


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (FakeModel(), True),
        ((FakeModel(), FakeTokenizer()), True),
        (FakeTokenizer(), False),
        ((FakeTokenizer(), FakeModel()), False),
        ((FakeModel(),), False),
        ([FakeModel(), FakeTokenizer()], False),
        ("demo:minilm", False),
        (None, False),
        ((), False),
    ],
)
def test_a_model_or_a_pair_with_a_model_first_is_a_model(value, expected):
    assert is_model(value) is expected


def test_a_pair_is_written_to_a_folder_and_called_by_its_variable(temporary):
    card = write_model((FakeModel(), FakeTokenizer()), "my_model")
    assert (card.name, card.source) == ("my_model", "variable")
    (folder,) = temporary.iterdir()
    assert card.location == str(folder)
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]


def test_a_models_tokenizer_is_looked_for_where_it_came_from(transformers):
    write_model(FakeModel("owner/model"), "my_model")
    write_model((FakeModel("owner/other"), None), "my_model")
    assert transformers == ["owner/model", "owner/other"]


def test_a_tokenizer_that_is_given_is_taken(transformers):
    write_model((FakeModel("owner/model"), FakeTokenizer()), "my_model")
    assert transformers == []


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ("", "it does not say where it came from"),
        ("gone", "'gone does not appear to have a file named tokenizer.json'"),
        ("silent", "'ValueError'"),
    ],
)
def test_a_tokenizer_that_is_not_found_is_asked_for(transformers, temporary, origin, reason):
    with pytest.raises(
        ModelError, match=r"Give both: a variable holding \(model, tokenizer\)"
    ) as e:
        write_model(FakeModel(origin), "my_model")
    assert reason in str(e.value)
    assert "tokenizer of my_model" in str(e.value)
    assert list(temporary.iterdir()) == []


def test_without_transformers_loaded_there_is_nowhere_to_look(monkeypatch):
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    with pytest.raises(ModelError, match="Give both"):
        write_model(FakeModel("owner/model"), "my_model")
    assert "transformers" not in sys.modules


@pytest.mark.parametrize("value", [FakeTokenizer(), 3, None, [1], (FakeTokenizer(), FakeModel())])
def test_what_is_no_model_is_refused_by_its_type(value, temporary):
    with pytest.raises(ModelError, match=r"not a model\. Give demo:minilm, a folder") as caught:
        write_model(value, "thing")
    article = "an" if value == 3 else "a"
    assert str(caught.value).startswith(f"thing is {article} {type(value).__name__},")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("culprit", ["model", "tokenizer", "card"])
def test_a_model_that_cannot_be_written_leaves_no_folder(monkeypatch, temporary, culprit):
    def fail(*_, **__):
        raise ModelError("broken")

    model, tokenizer = FakeModel(), FakeTokenizer()
    if culprit == "card":
        monkeypatch.setattr(in_memory, "open_model", fail)
    else:
        monkeypatch.setattr(
            {"model": model, "tokenizer": tokenizer}[culprit], "save_pretrained", fail
        )
    with pytest.raises(ModelError, match="broken"):
        write_model((model, tokenizer), "my_model")
    assert list(temporary.iterdir()) == []


def test_adopting_moves_the_folder_and_says_so_in_the_card(tmp_path, temporary):
    card = write_model((FakeModel(), FakeTokenizer()), "my_model")
    target = tmp_path / "base_model"
    adopted = adopt(card, target)
    assert adopted.location == str(target)
    assert adopted.tokenizer_file == str(target / "tokenizer.json")
    assert (target / "model.safetensors").read_bytes() == b"weights"
    assert list(temporary.iterdir()) == []
    assert dataclasses.replace(adopted, location="", tokenizer_file="") == dataclasses.replace(
        card, location="", tokenizer_file=""
    )


def test_a_model_without_a_tokenizer_file_is_adopted_too(tmp_path):
    card = write_model((FakeModel(), FakeTokenizer()), "my_model")
    slow = dataclasses.replace(card, tokenizer_file=None)
    assert adopt(slow, tmp_path / "base_model").tokenizer_file is None


def test_writing_draws_no_bar_in_the_notebook(monkeypatch):
    import types

    from nbtransfer.models.in_memory import _no_progress_bars

    told = []
    logging = types.SimpleNamespace(
        is_progress_bar_enabled=lambda: True,
        disable_progress_bar=lambda: told.append("off"),
        enable_progress_bar=lambda: told.append("on"),
    )
    utils = types.SimpleNamespace(logging=logging)
    monkeypatch.setitem(sys.modules, "transformers.utils", utils)
    with _no_progress_bars():
        assert told == ["off"]
    assert told == ["off", "on"]
