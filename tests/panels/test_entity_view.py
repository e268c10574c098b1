"""Texts with marks: what is marked, beside it in plain text, and nothing but marks."""

from __future__ import annotations

from html.parser import HTMLParser

from nbtransfer.panels.entity_view import (
    Mark,
    examples_markup,
    examples_text,
    found_bundle,
    marked_markup,
    marked_text,
)
from nbtransfer.panels.report_panel import report_card
from nbtransfer.runs.report import Report
from nbtransfer.tasks.findings import ClassRow, MarkedSpan, MarkedText
from nbtransfer.tasks.token_classification import Entities, Entity

EVIL = '<img src=x onerror="alert(1)"> Ada & co'
EXAMPLE = MarkedText(
    "Ada met Alan in Leeds",
    gold=(MarkedSpan(0, 3, "PER"), MarkedSpan(8, 12, "PER")),
    predicted=(MarkedSpan(0, 3, "PER"), MarkedSpan(16, 21, "ORG")),
    row=4,
)


class Tags(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)

    def handle_data(self, data):
        self.text += data


def test_marks_stand_at_their_places_and_name_their_type():
    marks = [Mark(0, 3, "PER"), Mark(16, 21, "LOC", "wrong")]
    text = "Ada met Alan in Leeds."
    assert marked_text(text, marks) == "[Ada PER] met Alan in [Leeds LOC ✗]."
    page = Tags(marked_markup(text, marks))
    assert page.text == "Ada PER met Alan in Leeds LOC ✗."
    assert page.names == ["mark", "b", "mark", "b"]


def test_text_and_labels_are_escaped():
    page = Tags(marked_markup(EVIL, [Mark(30, 33, "<script>")]))
    assert set(page.names) == {"mark", "b"}
    assert EVIL[:30] in page.text and "<script>" in page.text


def test_what_is_there_stands_above_what_was_found_with_both_mistakes_marked():
    assert examples_text([EXAMPLE]).splitlines() == [
        "is     [Ada PER] met [Alan PER ✗] in Leeds",
        "found  [Ada PER] met Alan in [Leeds ORG ✗]  (row 4)",
    ]
    html = examples_markup([EXAMPLE])
    assert html.count("nbt-missed") == html.count("nbt-wrong") == 1
    assert "row 4" in html


def test_control_characters_do_not_reach_the_terminal():
    assert marked_text("a\x1b[31m\nb", []) == "a\N{REPLACEMENT CHARACTER}[31m b"


def test_found_entities_are_shown_with_their_probability_and_as_text():
    entity = Entity("PER", "Ada", 0, 3, 0.91)
    bundle = found_bundle([Entities("Ada & co", (entity,)), Entities(EVIL, ())])
    assert bundle["text/plain"].splitlines()[0] == "[Ada PER] & co"
    assert 'title="PER, 91.0 %"' in bundle["text/html"]
    assert "img" not in Tags(bundle["text/html"]).names


def test_very_many_texts_are_shown_in_part():
    bundle = found_bundle([Entities("a", ())] * 25)
    assert "and 5 more in the list that %predict returns" in bundle["text/plain"]
    assert "and 5 more" in bundle["text/html"]


def report(**changed) -> Report:
    values = {
        "run_id": "r",
        "name": "validation",
        "split": "validation",
        "num_rows": 2,
        "metrics": {"eval_f1": 0.5, "eval_accuracy": 0.9, "eval_loss": 0.3},
        "duration_s": 1.0,
        "task": "token-classification",
        "labels": ("O", "B-PER", "I-PER"),
        "per_class": (ClassRow("PER", 0.5, 0.5, 0.5, 2),),
        "confusion_matrix": ((9, 0, 0), (1, 1, 0), (0, 0, 0)),
        "majority_accuracy": 0.8,
        "marked": (EXAMPLE,),
    }
    return Report(**values | changed)


def test_report_card_shows_f1_first_types_and_marked_sentences():
    page = Tags(report_card(report()))
    text = page.text
    assert text.index("F1") < text.index("0.500") < text.index("accuracy")
    assert "Entities" in text and "accuracy of finding none" in text
    assert "Alan PER ✗" in text and "Leeds ORG ✗" in text
    assert "No wrong entity" in Tags(report_card(report(marked=()))).text


def test_report_with_marks_is_the_same_after_writing_and_reading():
    import json

    whole = report()
    assert Report.from_json(json.loads(json.dumps(whole.to_json()))) == whole
    assert whole.num_mistakes == 1
