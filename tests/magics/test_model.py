from types import SimpleNamespace

import pytest

from nbtransfer.errors import ModelError


@pytest.fixture
def shown(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "nbtransfer.panels.model_panel.show_model",
        lambda reference, *, runs_dir: seen.append((reference, runs_dir)),
    )
    return seen


def test_a_reference_is_handed_on(cells, shown, runs_dir):
    cells.ok("%model demo:minilm")
    assert shown == [("demo:minilm", runs_dir)]


def test_a_model_in_a_variable_is_written_shown_and_removed(cells, monkeypatch, tmp_path):
    folder = tmp_path / "written"
    seen = []

    def write_model(value, name):
        folder.mkdir()
        return SimpleNamespace(location=str(folder), name=name)

    monkeypatch.setattr("nbtransfer.models.in_memory.write_model", write_model)
    monkeypatch.setattr("nbtransfer.hardware.detect_hardware", lambda runs_dir: None)
    monkeypatch.setattr(
        "nbtransfer.panels.model_panel.show_model_card", lambda card, _: seen.append(card.name)
    )
    cells.names["m"] = SimpleNamespace(save_pretrained=None, config=None)
    cells.ok("%model m")
    assert seen == ["m"] and not folder.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "%model needs MODEL. There is: demo:minilm."),
        ("n", "n is an int, not a model. Models in this notebook: none. Or give demo:minilm"),
    ],
)
def test_a_mistake_is_named(cells, shown, line, message):
    cells.names["n"] = 3
    error = cells.run(f"%model {line}").error
    assert isinstance(error, ModelError) and message in str(error)
