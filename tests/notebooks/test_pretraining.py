"""The notebook on pre-training, run whole: perplexity falls, and the lineage is told."""

from __future__ import annotations

import re

import pytest

from tests.notebooks.running import run_whole

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return run_whole("05_pretraining", tmp_path_factory.mktemp("pretraining")).book


def printed(book):
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error"]
    return "\n".join(output.text for output in outputs if output.output_type == "stream")


def test_perplexity_on_held_out_pages_falls(book):
    (pair,) = re.findall(r"held-out pages: ([\d,]+) before, ([\d,]+) after", printed(book))
    before, after = (int(figure.replace(",", "")) for figure in pair)
    assert after < before / 10


def test_the_fine_tuned_model_says_where_it_comes_from(book):
    assert "demo:python-docs" in printed(book).splitlines()[-1]


def test_what_was_forgotten_is_a_table_of_three_models(book):
    (cell,) = [cell for cell in book.cells if cell.get("id") == "forgot"]
    lines = cell.outputs[0].data["text/plain"].splitlines()
    assert "general text" in lines[1] and "demo:python-docs" in lines[1]
    losses = [re.findall(r"(\d+\.\d{3}) \(", line) for line in lines[2:5]]
    assert all(len(pair) == 2 for pair in losses)
    assert float(losses[1][1]) < float(losses[0][1]) - 2  # the corpus was learnt


def test_samples_stand_beside_those_of_the_model_as_it_was(book):
    (cell,) = [cell for cell in book.cells if cell.get("id") == "pretrain"]
    assert "What the model says" in cell.outputs[0].data["text/html"]


def test_no_output_is_a_widget(book):
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert not [o for o in outputs if "widget" in " ".join(o.get("data", {}))]
