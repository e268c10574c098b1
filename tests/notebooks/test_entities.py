"""The notebook on entities, run whole: what its table says and what is marked."""

from __future__ import annotations

import re

import pytest

from tests.notebooks.running import run_whole

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return run_whole("02_entities", tmp_path_factory.mktemp("entities")).book


def texts(book):
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    return [output.data.get("text/plain", "") for output in outputs if "data" in output]


def test_the_pre_trained_model_finds_names_it_never_saw_and_the_others_do_not(book):
    (table,) = [text for text in texts(book) if "word list" in text and "entity F1" in text]
    f1 = {
        name: float(value)
        for name, value in re.findall(r"^([a-z].*?)\s{2,}(\d\.\d+)", table, re.MULTILINE)
    }
    assert f1["fine-tuned"] > 0.7
    assert f1["fine-tuned"] > f1["same network, random weights"] + 0.3
    assert f1["fine-tuned"] > f1["word list"] + 0.3


def test_entities_are_marked_in_their_text(book):
    marked = [text for text in texts(book) if "Hyacinth Okafor" in text]
    assert marked and any("Durban" in text for text in marked)


def test_no_output_is_an_error_or_a_widget(book):
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            assert "widget" not in " ".join(output.get("data", {}))
