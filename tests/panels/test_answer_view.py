"""Answers in their contexts: marked, underlined, escaped, and in words."""

import pytest

from nbtransfer.panels.answer_view import (
    answers_markup,
    answers_text,
    marked_context,
    wrong_answers,
)
from nbtransfer.panels.report_panel import report_card
from nbtransfer.runs.report import Report
from nbtransfer.tasks.answer_findings import excerpt
from nbtransfer.tasks.findings import AnswerRow, Mistake
from nbtransfer.tasks.question_answering import Answer

TEXT = "Ann Lee opened the mill."


@pytest.mark.parametrize(
    ("right", "said", "html"),
    [
        ([(0, 7)], None, "<mark>Ann Lee</mark> opened the mill."),
        ([], (0, 3), "<u>Ann</u> Lee opened the mill."),
        ([(0, 7)], (4, 14), "<mark>Ann </mark><mark><u>Lee</u></mark><u> opened</u> the mill."),
        ([(0, 4), (4, 7)], (0, 7), "<mark><u>Ann </u></mark><mark><u>Lee</u></mark>" + TEXT[7:]),
        ([], None, TEXT),
    ],
)  # fmt: skip
def test_right_answers_are_marked_and_the_given_one_is_underlined(right, said, html):
    assert marked_context(TEXT, right, said) == html


def row(**changes):
    values = {
        "question": "Who opened the mill?",
        "context": TEXT,
        "right": ((0, 7),),
        "predicted": (15, 23),
        "f1": 0.0,
        "probability": 0.5,
        "row": 1234,
    }
    return AnswerRow(**values | changes)


def report(*rows):
    return Report(
        run_id="r",
        name="validation",
        split="validation",
        num_rows=9,
        metrics={"eval_f1": 0.5, "eval_exact_match": 0.25, "eval_loss": 1.0},
        duration_s=1.0,
        task="question-answering",
        answers=rows,
        mistakes=tuple(Mistake(r.question, "Ann Lee", "the mill", 0.5, r.row) for r in rows),
        num_wrong=len(rows),
    )


def test_a_report_s_wrong_answers_say_what_was_said_and_what_is_right():
    html = wrong_answers(report(row(), row(predicted=None)))
    assert "The surest 2 of 2 wrong answers" in html
    assert "<mark>Ann Lee</mark> opened <u>the mill</u>." in html
    assert "50 % the mill, is <b>Ann Lee</b> · F1 0.00 · row 1,234" in html
    assert "50 % no answer, is <b>Ann Lee</b>" in html
    assert "<mark>Ann Lee</mark>" in report_card(report(row()))


def test_a_report_in_plain_text_says_the_same():
    text = str(report(row()))
    assert "F1 0.500 · exact match 25.0 %" in text
    assert "Who opened the mill? 50.0 % 'the mill', is 'Ann Lee' (row 1,234)" in text


def test_a_report_survives_its_file():
    kept = report(row(), row(predicted=None))
    assert Report.from_json(kept.to_json()) == kept


def test_text_of_users_is_escaped():
    nasty = "<img src=x onerror=alert(1)>"
    shown = report(row(question=nasty, context=nasty, right=((0, 4),), predicted=(2, 9)))
    assert "<img" not in wrong_answers(shown)
    asked = [{"question": nasty, "context": nasty}]
    assert "<img" not in answers_markup(asked, [Answer(nasty, 1.0, 0, len(nasty))])


def test_predictions_show_question_answer_probability_and_place():
    asked = [{"question": "Who?", "context": TEXT}, {"question": "When?", "context": TEXT}]
    found = [Answer("Ann Lee", 0.75, 0, 7), Answer("", 0.5, 0, 0, 0.5)]
    html = answers_markup(asked, found)
    assert "<u>Ann Lee</u> opened the mill." in html and "no answer" in html
    lines = answers_text(asked, found).splitlines()
    assert lines[1].split() == ["Who?", "Ann", "Lee", "75.0", "%"]
    assert "no answer" in lines[2] and "50.0 %" in lines[2]


def test_an_excerpt_keeps_the_places_it_shows():
    context = "word " * 200 + "Ann Lee" + " word" * 200
    text, right, said = excerpt(context, [(1000, 1007)], (1004, 1007))
    assert len(text) < 400 and text.startswith("… word") and text.endswith("word …")
    assert text[slice(*right[0])] == "Ann Lee" and text[slice(*said)] == "Lee"


def test_an_excerpt_of_answers_far_apart_shows_the_right_one():
    context = "Ann " + "word " * 800 + "Lee"
    text, right, said = excerpt(context, [(0, 3)], (len(context) - 3, len(context)))
    assert len(text) < 1000 and right == [(0, 3)] and said is None
    text, right, said = excerpt(context, [], None)
    assert text.startswith("Ann") and not right and said is None
