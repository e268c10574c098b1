"""The notebook on several labels and on pairs, run whole: what its two tables say."""

from __future__ import annotations

import io
import re
from pathlib import Path

import nbformat
import pytest

from nbtransfer.headless import execute

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(1200)]

SOURCE = Path(__file__).parents[2] / "notebooks" / "06_several_labels_and_pairs.ipynb"


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    done = execute(SOURCE, tmp_path_factory.mktemp("several"), io.StringIO())
    return nbformat.read(done.notebook, as_version=4)


def shown(book, cell_id):
    (cell,) = [cell for cell in book.cells if cell.id == cell_id]
    return [output.data for output in cell.outputs if "data" in output]


def first_column(book, cell_id):
    """Return the first figure of each row of a cell's table."""
    text = shown(book, cell_id)[-1]["text/plain"]
    rows = re.findall(r"^([A-Za-z].*?)\s{2,}(\d\.\d+)", text, re.MULTILINE)
    return {name: float(value) for name, value in rows}


def test_with_pre_training_all_labels_of_a_sentence_are_found(book):
    f1 = first_column(book, "labels-compare")
    assert f1["fine-tuned"] > 0.85
    assert f1["fine-tuned"] > f1["same network, random weights"] + 0.15
    assert f1["fine-tuned"] > f1["TF-IDF + logistic regression"] + 0.15


def test_with_pre_training_replies_are_graded_and_without_they_are_not(book):
    pearson = first_column(book, "pairs-compare")
    assert pearson["fine-tuned"] > pearson["same network, random weights"] + 0.4
    assert pearson["fine-tuned"] > 0.65


def test_each_question_is_answered_with_a_number(book):
    (text,) = [
        d["text/plain"] for d in shown(book, "pairs-predict") if "captain" in d["text/plain"]
    ]
    scores = [float(value) for value in re.findall(r"(-?\d\.\d+)\s*$", text, re.MULTILINE)]
    assert len(scores) == 3 and scores[2] < max(scores[:2])


def test_no_output_is_an_error_or_a_widget_and_each_has_plain_text(book):
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            assert "widget" not in " ".join(output.get("data", {}))
            assert "data" not in output or "text/plain" in output.data
