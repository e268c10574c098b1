"""The notebook on questions, run whole: what it shows and what its table says."""

from __future__ import annotations

import re

import pytest

from tests.notebooks.running import run_whole

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return run_whole("03_questions", tmp_path_factory.mktemp("questions")).book


def shown(book, cell_id):
    (cell,) = [cell for cell in book.cells if cell.id == cell_id]
    return [o.data for o in cell.outputs if "data" in o]


def test_the_table_shows_what_the_earlier_training_was_worth(book):
    text = shown(book, "rule")[-1]["text/plain"]
    f1 = {
        name.strip(): float(value)
        for name, value in re.findall(r"^([a-z].*?)\s{2,}(\d\.\d+)", text, re.MULTILINE)
    }
    assert f1["fine-tuned"] > f1["the likeliest sentence"]
    assert f1["fine-tuned"] > f1["same network, random weights"] + 0.2
    assert f1["fine-tuned"] > 0.38


def test_answers_are_shown_in_their_context(book):
    for cell_id in ("ask", "ask-again"):
        data = shown(book, cell_id)[0]
        assert "ferry" in data["text/html"] and "question" in data["text/plain"]
    assert "<mark>" in shown(book, "judge")[0]["text/html"]


def test_every_output_has_plain_text_and_none_is_a_widget(book):
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            if "data" in output:
                assert "text/plain" in output.data
                assert not [kind for kind in output.data if "widget" in kind]
