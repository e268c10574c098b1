"""Tests of nbtransfer.panels.forgetting_view: the table, what it says it is, and escaping."""

from __future__ import annotations

import dataclasses

from nbtransfer.panels.forgetting_view import forgetting_bundle, forgetting_card
from nbtransfer.runs.forgetting import Stage
from tests.runs.test_forgetting import FOUND


def test_each_stage_is_a_row_with_its_change():
    html = str(forgetting_card(FOUND))
    assert html.index("demo:minilm") < html.index("adapted to") < html.index("fine-tuned on")
    assert "+0.500" in html and "2.500 (12.2)" in html and "3.250" in html
    assert "72 short paragraphs" in html and "550 tokens" in html and "nats a token" in html


def test_where_nothing_could_be_measured_that_is_said():
    html = str(forgetting_card(dataclasses.replace(FOUND, num_general=0, num_corpus=0)))
    assert "Nothing could be measured." in html and "0 tokens" not in html


def test_names_are_escaped():
    odd = dataclasses.replace(
        FOUND, corpus_name="<img src=x>", stages=(Stage("<b>x</b>", 1.0, 1.0),), notes=("<i>",)
    )
    html = str(forgetting_card(odd))
    assert "<img" not in html and "<b>x" not in html and "<i>" not in html


def test_without_a_corpus_there_is_no_column_of_it():
    alone = dataclasses.replace(FOUND, corpus_name="", num_corpus=0)
    html = str(forgetting_card(alone))
    assert html.count('scope="col"') == 3
    assert forgetting_bundle(alone).data["text/plain"] == str(alone)
