"""Tests of nbtransfer.plots.confusion_matrix."""

import json

import numpy as np
import pytest

from nbtransfer.plots.canvas import contrast, text_on
from nbtransfer.plots.confusion_matrix import (
    Cell,
    confusion_matrix_figure,
    confusion_matrix_info,
    confusion_matrix_png,
    confusion_matrix_text,
)
from tests.runs.reports import class_report


def report_of(labels, actual, predicted):
    actual = np.asarray(actual)
    probabilities = np.eye(len(labels))[np.asarray(predicted)]
    return class_report(
        run_id="r",
        name="validation",
        split="validation",
        labels=labels,
        texts=[""] * len(actual),
        actual=actual,
        probabilities=probabilities,
        loss=0.1,
        rows=range(len(actual)),
        majority_label=0,
        duration_s=1.0,
    )


def info_of(labels, actual, predicted):
    return confusion_matrix_info(report_of(labels, actual, predicted))


def dense_info(num_classes, copies=1):
    pairs = [(i, j) for i in range(num_classes) for j in range(num_classes)] * copies
    actual, predicted = zip(*pairs, strict=True)
    return info_of([f"class {i}" for i in range(num_classes)], actual, predicted)


MOCK_UP = info_of(
    ["negative", "positive"],
    [0] * 750 + [1] * 750,
    [0] * 672 + [1] * 78 + [0] * 101 + [1] * 649,
)


def json_of(info):
    return json.loads(confusion_matrix_figure(info).to_json())


def test_cells_hold_counts_and_shares_of_their_row():
    assert MOCK_UP.labels == ("negative", "positive")
    assert [(c.actual, c.predicted, c.num_texts) for c in MOCK_UP.cells] == [
        (0, 0, 672),
        (0, 1, 78),
        (1, 0, 101),
        (1, 1, 649),
    ]
    assert MOCK_UP.cells[2].share == pytest.approx(101 / 750)
    assert MOCK_UP.notes == ()


def test_empty_cells_and_rows_without_texts_are_left_out():
    info = info_of(["a", "b", "c"], [0, 0], [0, 2])
    assert [(c.actual, c.predicted) for c in info.cells] == [(0, 0), (0, 2)]


def test_right_cells_are_blue_and_wrong_ones_orange():
    right, wrong = Cell(0, 0, 1, 0.9).colour, Cell(0, 1, 1, 0.9).colour
    assert int(right[5:], 16) > int(right[1:3], 16)
    assert int(wrong[1:3], 16) > int(wrong[5:], 16)


def test_text_on_every_cell_keeps_a_contrast_of_4_5():
    for k in range(201):
        for predicted in (0, 1):
            colour = Cell(0, predicted, 1, k / 200).colour
            assert contrast(text_on(colour), colour) >= 4.5


def test_plotly_s_own_colours_are_those_the_text_was_chosen_for():
    # plotly mixes z / zmax between the ends of its scale; the same must come out as Cell.colour.
    from nbtransfer.plots.canvas import mixed

    right, wrong = json_of(MOCK_UP)["data"][:2]
    for trace, cell in ((right, MOCK_UP.cells[0]), (wrong, MOCK_UP.cells[1])):
        (_, low), (_, high) = trace["colorscale"]
        assert mixed(low, high, min(100 * cell.share / trace["zmax"], 1)) == cell.colour


def test_hovering_names_both_classes_the_count_and_the_share():
    right, wrong = json_of(MOCK_UP)["data"][:2]
    k = [(x, y) for x, y in zip(wrong["x"], wrong["y"], strict=True)].index((0, 1))
    assert (wrong["text"][k], wrong["z"][k]) == ("101 texts", 13.5)
    assert wrong["hovertemplate"].startswith("actual %{y}, predicted %{x}:")
    assert "%{text}, %{z:.1f} % of %{y}" in right["hovertemplate"]


def test_numbers_and_shares_stand_in_the_cells():
    texts = [t for trace in json_of(MOCK_UP)["data"][2:] for t in trace["text"]]
    assert sorted(texts)[0] == '<span style="font-size:16px"><b>101</b></span><br>13.5 %'
    assert len(texts) == 4


def test_an_empty_cell_of_few_classes_says_0():
    texts = [
        t
        for trace in json_of(info_of(["a", "b"], [0, 1], [0, 1]))["data"][2:]
        for t in trace["text"]
    ]
    assert texts.count("0") == 2


def test_every_position_is_known_to_both_heatmaps():
    # plotly takes cell widths from the positions that occur: a missing one would stretch others.
    info = info_of([f"c{i}" for i in range(6)], [0, 0, 5], [0, 3, 5])
    for trace in json_of(info)["data"][:2]:
        assert set(trace["x"]) == set(trace["y"]) == set(range(6))


def test_up_to_30_classes_have_numbers_and_more_say_why_not():
    assert dense_info(30).notes == ()
    info = dense_info(31)
    assert "no room for numbers" in info.notes[0]
    assert "no room for numbers" in json_of(info)["layout"]["title"]["text"]
    assert all(trace["type"] == "heatmap" for trace in json_of(info)["data"])


def test_very_many_classes_show_those_with_the_most_texts():
    actual = [c for c in range(150) for _ in range(c + 1)]
    info = info_of([f"class {i}" for i in range(150)], actual, actual)
    assert info.labels == tuple(f"class {i}" for i in range(50, 150))
    assert "the 100 classes with the most texts, of 150" in info.notes


@pytest.mark.parametrize("num_classes", [2, 10, 30, 60, 100])
def test_the_figure_stays_small_even_when_all_is_confused(num_classes):
    text = json.dumps(json_of(dense_info(num_classes)), separators=(",", ":"))
    assert len(text) < 40_000


@pytest.mark.parametrize("num_classes", [1, 2, 12])
def test_the_png_stays_small(num_classes):
    assert len(confusion_matrix_png(dense_info(num_classes))) < 40_000


PAYLOADS = ["<img src=x onerror=alert(1)>", "<b>bold</b>", '<a href="javascript:1">', "a&lt;b"]


def test_labels_reach_plotly_escaped():
    figure = json_of(info_of(PAYLOADS, [0, 1, 2, 3], [1, 0, 3, 2]))
    shown = json.dumps(
        [figure["layout"]["xaxis"]["ticktext"], figure["layout"]["yaxis"]["ticktext"]]
    )
    assert "<" not in shown and ">" not in shown and "a&lt;b" not in shown
    # Hover takes its names from the axes, so nothing else holds a label.
    rest = json.dumps([figure["data"], figure["layout"]["title"]])
    assert "img" not in rest and "href" not in rest


def test_labels_with_mathematics_and_strange_characters_are_drawn():
    labels = ["$\\frac{", "\0\x1b", "\ud800", "価格", "x" * 500, ""]
    png = confusion_matrix_png(info_of(labels, range(6), [1, 2, 3, 4, 5, 0]))
    assert png.startswith(b"\x89PNG")


def test_the_text_form_is_the_table():
    assert confusion_matrix_text(MOCK_UP).splitlines() == [
        "actual / predicted  negative  positive",
        "negative                 672        78",
        "positive                 101       649",
    ]


def test_the_text_form_of_many_classes_is_their_largest_errors():
    labels = [f"c{i}" for i in range(12)]
    text = confusion_matrix_text(info_of(labels, [0, 0, 0, 5], [3, 3, 0, 6]))
    assert text.splitlines()[1:] == [
        "actual c0, predicted c3: 2 texts, 66.7 % of c0",
        "actual c5, predicted c6: 1 text, 100.0 % of c5",
    ]


def test_the_figure_is_as_wide_as_its_place_and_transparent():
    layout = json_of(MOCK_UP)["layout"]
    assert layout["autosize"] is True and "width" not in layout and layout["height"] > 150
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0,0,0,0)"
