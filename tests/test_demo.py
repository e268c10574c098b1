"""Baselines, the paired interval and the comparison's table."""

from __future__ import annotations

import random

import pytest

from nbtransfer.demo import (
    Answers,
    answers_of,
    comparison,
    majority_baseline,
    paired_interval,
    tfidf_baseline,
)
from nbtransfer.errors import DataError

WARM = ("the soup was hot and good", "good bread", "a good warm evening", "hot tea, good talk")
COLD = ("the soup was cold and bad", "bad bread", "a bad cold evening", "cold tea, bad talk")


def rows(texts: dict[str, tuple[str, ...]]) -> list[dict[str, str]]:
    return [{"text": t, "label": label} for label, some in texts.items() for t in some]


def meals() -> dict[str, list[dict[str, str]]]:
    return {
        "train": rows({"warm": (*WARM, "good stew"), "cold": COLD}),
        "validation": rows({"warm": ("good cake",), "cold": ("bad cake",)}),
        "test": rows({"warm": ("good hot rice",), "cold": ("bad cold rice", "cold and bad")}),
    }


def counts(both: int, only_first: int, only_second: int, neither: int):
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return first, second


@pytest.mark.parametrize(
    ("table", "low", "high"),
    # Newcombe (1998), table II: method 10.
    [((36, 12, 2, 0), 0.0569, 0.3404), ((54, 0, 0, 0), -0.0664, 0.0664)],
)
def test_paired_interval_gives_the_figures_of_the_paper(table, low, high):
    found = paired_interval(*counts(*table))
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_paired_interval_of_the_other_way_round_is_the_mirror_image():
    first, second = counts(400, 90, 40, 70)
    there, back = paired_interval(first, second), paired_interval(second, first)
    assert there.difference == pytest.approx(50 / 600)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert not there.includes_zero


def test_paired_interval_covers_the_true_difference_about_95_times_in_100():
    draw = random.Random(7)
    covered = 0
    for _ in range(400):
        pairs = draw.choices(range(4), weights=(70, 14, 8, 8), k=200)
        found = paired_interval([p in (0, 1) for p in pairs], [p in (0, 2) for p in pairs])
        covered += found.low <= 0.06 <= found.high
    assert 0.92 < covered / 400 < 0.99


def test_paired_interval_is_narrower_for_answers_that_go_together():
    alike = paired_interval(*counts(450, 30, 20, 100))
    unlike = paired_interval(*counts(370, 110, 100, 20))
    assert alike.difference == unlike.difference
    assert alike.high - alike.low < unlike.high - unlike.low


def test_paired_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no rows"):
        paired_interval([], [])


def test_tfidf_learns_words_from_the_training_rows_and_answers_the_test_rows():
    found = tfidf_baseline(meals())
    assert found.accuracy == 1
    assert len(found.rows) == 3


def test_majority_takes_the_largest_class_of_the_training_rows():
    assert majority_baseline(meals()).correct == (True, False, False)


def test_unknown_split_is_refused_with_the_splits_there_are():
    with pytest.raises(DataError, match=r"no split 'dev'. Splits: train, validation, test"):
        majority_baseline(meals(), split="dev")


def answers(correct: str, note: str = "") -> Answers:
    return Answers(tuple(range(len(correct))), tuple(c == "1" for c in correct), note)


def test_comparison_measures_the_first_against_each_other():
    found = comparison(
        {
            "tuned": answers("1" * 90 + "0" * 10),
            "near": answers("1" * 89 + "0" * 11),
            "far": answers("1" * 50 + "0" * 50, "guesses"),
        }
    )
    tuned, near, far = found.rows
    assert tuned.interval is None and near.interval.includes_zero
    assert far.accuracy == 0.5 and far.interval.difference == pytest.approx(0.4)
    said = found.sentences()
    assert "includes zero" in said[0] and "cannot be told apart" in said[0]
    assert said[1].startswith("tuned is ahead of far by +")


def test_comparison_says_when_the_first_is_behind():
    found = comparison({"tuned": answers("0" * 50 + "1" * 50), "simple": answers("1" * 100)})
    assert "tuned is behind simple" in found.sentences()[0]
    assert "\N{MINUS SIGN}" in found.sentences()[0]


def test_comparison_matches_rows_by_number_not_by_place():
    turned = Answers((2, 1, 0), (False, True, True))
    found = comparison({"a": answers("110"), "b": turned})
    assert found.rows[1].interval.difference == 0


def test_comparison_of_other_rows_is_refused():
    with pytest.raises(DataError, match="same split of the same data"):
        comparison({"a": answers("110"), "b": answers("11")})
    with pytest.raises(DataError, match="at least two"):
        comparison({"a": answers("110")})


def test_comparison_as_text_has_a_line_for_each_row_and_one_for_each_interval():
    text = repr(comparison({"tuned": answers("111", "all layers"), "plain": answers("110")}))
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["3", "rows", "accuracy"]
    assert lines[1].split() == ["tuned", "100.0", "%"]
    assert "tuned: all layers." in lines
    assert "<" not in text


def test_comparison_as_html_escapes_names_and_notes():
    found = comparison({"<b>x": answers("111", "<script>"), "y": answers("110")})
    html = found._repr_html_()
    assert "<b>x" not in html and "&lt;b&gt;x" in html
    assert "<script>" not in html


def test_answers_of_a_report_are_read_from_its_predictions():
    import pyarrow as pa

    class Evaluated:
        def predictions(self):
            return pa.table({"row": [4, 9], "label": ["a", "b"], "predicted": ["a", "a"]})

    assert answers_of(Evaluated(), "note") == Answers((4, 9), (True, False), "note")
