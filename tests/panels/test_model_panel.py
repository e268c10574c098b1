import dataclasses

import pytest

from nbtransfer.models.card import ModelCard
from nbtransfer.panels import model_panel
from nbtransfer.panels.model_panel import memory_rows, model_markup, model_text, shape_rows


@pytest.fixture
def hardware(opened):
    from nbtransfer.hardware import detect_hardware

    return detect_hardware(None)


@pytest.fixture
def model(opened) -> ModelCard:
    from nbtransfer.models.catalog import open_model

    return open_model("demo:minilm", runs_dir=None)


def test_a_model_is_shown_as_one_card_with_text(opened, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(model_panel, "display", lambda data, raw: shown.append(data))
    model_panel.show_model("demo:minilm", runs_dir=tmp_path)
    assert [set(data) for data in shown] == [{"text/html", "text/plain"}]
    for words in shown[0].values():
        for part in ("BertModel (bert)", "22.7 M", "30,522", "512", "Apache-2.0", "features"):
            assert part in words


def test_training_less_of_a_model_never_takes_more_memory(model, hardware):
    rows = {row.technique: row.num_bytes for row in memory_rows(model, hardware)}
    assert list(rows) == ["full", "top:2", "head", "features", "lora"]
    assert rows["full"] > rows["top:2"] > rows["head"] >= rows["features"] > 0


def test_what_does_not_fit_into_the_free_memory_is_said(model, hardware):
    full = dataclasses.replace(hardware, free_bytes=1_000_000)
    assert not any(row.fits for row in memory_rows(model, full))
    assert "does not fit" in model_text(model, full, memory_rows(model, full))


def test_an_estimated_size_and_an_unknown_licence_are_told_as_such(model):
    rows = dict(shape_rows(dataclasses.replace(model, num_parameters_exact=False, licence=None)))
    assert rows["parameters"].startswith("about 22.7 M")
    assert rows["licence"] == "not stated"


def test_the_name_of_a_model_cannot_become_markup(model, hardware):
    named = dataclasses.replace(model, name="<script>x</script>", notes=("<b>note</b>",))
    markup = model_markup(named, hardware, memory_rows(named, hardware))
    assert "<script>" not in markup and "<b>note" not in markup
    assert "&lt;script&gt;" in markup


def test_a_demo_model_says_its_name_on_the_hub(model, hardware):
    assert "sentence-transformers/all-MiniLM-L6-v2" in model_text(model, hardware, [])
    other = dataclasses.replace(model, name="demo:other")
    assert "on the hub" not in model_text(other, hardware, [])
