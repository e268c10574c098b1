from nbtransfer.api import Prediction
from nbtransfer.panels.prediction_view import (
    MAX_ROWS,
    MAX_TEXT,
    prediction_rows,
    predictions_markup,
)


def prediction(label, **probabilities):
    return Prediction(label, probabilities[label], probabilities)


def test_a_row_says_text_class_and_probability():
    headings, rows = prediction_rows(["not\nbad"], [prediction("good", bad=0.2, good=0.8)])
    assert headings == ["text", "class", "probability"]
    assert rows == [["not bad", "good", "80.0 %"]]


def test_a_few_classes_each_have_a_column():
    headings, rows = prediction_rows(["x"], [prediction("b", a=0.1, b=0.6, c=0.3)])
    assert headings[3:] == ["a", "b", "c"]
    assert rows[0][3:] == ["10.0 %", "60.0 %", "30.0 %"]


def test_long_lists_and_texts_are_cut():
    count = MAX_ROWS + 5
    _, rows = prediction_rows(["x" * 1000] * count, [prediction("a", a=1.0)] * count)
    assert len(rows) == MAX_ROWS
    assert len(rows[0][0]) == MAX_TEXT


def test_texts_and_classes_are_escaped():
    nasty = "<img src=x onerror=alert(1)>"
    headings, rows = prediction_rows([nasty], [Prediction(nasty, 1.0, {nasty: 1.0})])
    assert "<img" not in predictions_markup(headings, rows, "and 3 more")
