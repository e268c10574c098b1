"""The notebook on several labels and on pairs, run whole: what its two tables say."""

from __future__ import annotations

import re

import pytest

from tests.notebooks.running import run_whole

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return run_whole("06_several_labels_and_pairs", tmp_path_factory.mktemp("several")).book


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


def test_of_two_questions_one_is_ranked_right_and_one_by_its_words_as_the_prose_says(book):
    (text,) = [d["text/plain"] for d in shown(book, "pairs-predict") if "clock" in d["text/plain"]]
    scores = [float(value) for value in re.findall(r"(-?\d\.\d+)\s*$", text, re.MULTILINE)]
    answer, subject, elsewhere = scores[:3]
    assert answer > subject > elsewhere
    answer, subject, elsewhere = scores[3:]
    assert subject > answer > elsewhere


def test_share_of_questions_whose_right_sentence_is_first_is_in_the_table(book):
    text = shown(book, "pairs-compare")[-1]["text/plain"]
    rows = re.findall(r"^([a-zA-Z].*?)\s{2,}.*(\d\.\d+)$", text, re.MULTILINE)
    first = {name: float(share) for name, share in rows}
    assert first["fine-tuned"] > 0.85 and first["share of common words"] > 0.85
    assert first["same network, random weights"] < 0.7


def test_no_output_is_an_error_or_a_widget_and_each_has_plain_text(book):
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            assert "widget" not in " ".join(output.get("data", {}))
            assert "data" not in output or "text/plain" in output.data
