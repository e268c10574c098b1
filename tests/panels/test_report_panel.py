"""Tests of nbtransfer.panels.report_panel and nbtransfer.panels.figure_bundle."""

import base64
import json
from html.parser import HTMLParser

import numpy as np
import pytest

from nbtransfer.panels import figure_bundle as bundles
from nbtransfer.panels import report_panel
from nbtransfer.panels.figure_bundle import figure_bundle
from nbtransfer.panels.report_panel import report_card, show_report
from nbtransfer.panels.style import STYLE
from nbtransfer.plots.confusion_matrix import (
    confusion_matrix_figure,
    confusion_matrix_info,
    confusion_matrix_png,
)
from tests.runs.reports import class_report

VOID = {"br", "hr", "img", "col"}


class Outline(HTMLParser):
    """The elements of a card with their texts, and whether all were closed in order."""

    def __init__(self, html):
        super().__init__()
        self.open = []
        self.texts = {}
        self.names = []
        self.attributes = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, name, attributes):
        self.names.append(name)
        self.attributes |= {key for key, _ in attributes}
        if name not in VOID:
            self.open.append(name)
            self.texts.setdefault(name, []).append("")

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        for name in set(self.open):
            self.texts[name][-1] += data


def report_of(num_right=8, num_wrong=2, labels=("negative", "positive"), text="so so", **changes):
    num = num_right + num_wrong
    actual = np.zeros(num, dtype=int)
    probabilities = np.tile([0.9, 0.1] + [0.0] * (len(labels) - 2), (num, 1))
    probabilities[:num_wrong, :2] = [0.03, 0.97]
    arguments = {
        "run_id": "calm-heron-0712",
        "name": "validation",
        "split": "validation",
        "labels": labels,
        "texts": [text] * num,
        "actual": actual,
        "probabilities": probabilities,
        "loss": 0.25,
        "rows": range(num),
        "majority_label": 0,
        "duration_s": 65.0,
    }
    return class_report(**arguments | changes)


@pytest.fixture
def outputs(monkeypatch):
    """What is displayed, in order, as (data, metadata)."""
    shown = []

    def display(data, raw, metadata=None):
        assert raw
        shown.append((data, metadata or {}))

    monkeypatch.setattr(report_panel, "display", display)
    monkeypatch.setattr(bundles, "display", display)
    return shown


def test_the_card_reads_well_without_styles():
    outline = Outline(report_card(report_of(baselines={"TF-IDF + logistic": 0.81})))
    assert outline.open == []
    assert outline.texts["h3"] == ["calm-heron-0712"]
    assert outline.texts["h4"] == ["Classes", "The surest 2 of 2 mistakes"]
    assert outline.texts["li"][0] == "“so so” 97 % positive, is negative · row 0"
    values = dict(zip(outline.texts["th"][:6], outline.texts["td"][:6], strict=True))
    assert values["macro F1"] == "0.444" and values["TF-IDF + logistic"] == "81.0 %"
    assert values["majority class"] == "100.0 %"


def test_the_card_says_accuracy_its_interval_and_how_long_it_took():
    html = report_card(report_of())
    assert "80.0 %" in html and "95 %: 49.0 to 94.3" in html
    assert "on validation · 10 rows </span>" in html and "evaluated in 1:05" in html


def test_title_and_note_may_be_given():
    html = report_card(report_of(), title="Fine-tuned", note="saved and verified by reloading")
    assert "Fine-tuned" in html and "verified by reloading" in html
    assert "evaluated in" not in html


def test_a_class_without_rows_has_no_figures():
    html = report_card(report_of(labels=("negative", "positive", "neutral")))
    cells = Outline(html).texts["td"]
    assert cells[-4:] == ["–", "–", "–", "0"]


def test_of_many_classes_the_worst_are_shown():
    rng = np.random.default_rng(0)
    actual = rng.integers(0, 40, 800)
    probabilities = np.eye(40)[np.where(rng.random(800) < 0.8, actual, 0)]
    report = class_report(
        run_id="r",
        name="test",
        split="test",
        labels=[f"class {i}" for i in range(40)],
        texts=["x"] * 800,
        actual=actual,
        probabilities=probabilities,
        loss=1.0,
        rows=range(800),
        majority_label=0,
        duration_s=1.0,
    )
    outline = Outline(report_card(report))
    assert outline.texts["h4"][0] == "20 of 40 classes, lowest F1 first"
    assert len([t for t in outline.texts["th"] if t.startswith("class ")]) == 20


def test_no_mistake_and_one_mistake_are_said_in_words():
    assert "No mistakes on these rows" in report_card(report_of(num_wrong=0))
    assert "The one mistake" in report_card(report_of(num_wrong=1))


def test_at_most_8_mistakes_of_240_characters_are_shown():
    outline = Outline(report_card(report_of(num_wrong=50, text="word " * 4_000)))
    items = outline.texts["li"]
    assert len(items) == 8 and outline.texts["h4"][1] == "The surest 8 of 50 mistakes"
    assert items[0].split("”")[0].endswith("…") and len(items[0].split("”")[0]) == 241


PAYLOAD = "</style></b><script>alert(1)</script><img src=x onerror=alert(1)>\" onclick='x"


def test_payloads_in_every_field_stay_text():
    report = report_of(
        run_id=PAYLOAD,
        split=PAYLOAD,
        labels=(PAYLOAD, PAYLOAD + "2"),
        text=PAYLOAD,
        baselines={PAYLOAD: 0.5},
    )
    plain = Outline(report_card(report_of(baselines={"x": 0.5}), title="t", note="n"))
    outline = Outline(report_card(report, title=PAYLOAD, note=PAYLOAD))
    assert outline.names == plain.names and outline.attributes == plain.attributes


def test_two_outputs_are_shown_the_card_and_one_figure(outputs):
    show_report(report_of())
    assert [set(data) for data, _ in outputs] == [
        {"text/html", "text/plain"},
        {"application/vnd.plotly.v1+json", "image/png", "text/plain"},
    ]
    assert outputs[0][0]["text/plain"].startswith("calm-heron-0712 on validation: 10 rows")


def test_a_png_drawn_by_the_worker_is_used(outputs):
    png = confusion_matrix_png(confusion_matrix_info(report_of(num_wrong=1)))
    show_report(report_of(), png=png)
    assert base64.b64decode(outputs[1][0]["image/png"]) == png


def test_a_report_with_50_long_mistakes_stays_below_120_kb(outputs):
    show_report(report_of(num_wrong=60, text="価格が高い。 " * 200))
    assert len(json.dumps(outputs)) < 120_000
    assert len(outputs[0][0]["text/html"]) < len(STYLE) + 12_000


def bundle_of(report):
    info = confusion_matrix_info(report)
    return figure_bundle(confusion_matrix_figure(info), confusion_matrix_png(info), "the text")


def test_the_bundle_holds_plain_json_of_moderate_size():
    data = bundle_of(report_of()).data
    text = json.dumps(data["application/vnd.plotly.v1+json"])
    assert len(text) < 10_000 and "bdata" not in text and '"template"' not in text
    assert data["text/plain"] == "the text"


def test_the_png_is_shown_as_large_as_the_figure():
    bundle = bundle_of(report_of())
    height = bundle.data["application/vnd.plotly.v1+json"]["layout"]["height"]
    assert bundle.metadata["image/png"]["height"] == height


def test_no_figure_offers_to_send_the_data_away():
    config = bundle_of(report_of()).data["application/vnd.plotly.v1+json"]["config"]
    assert config["showSendToCloud"] is False
    assert "sendChartToCloud" in config["modeBarButtonsToRemove"]
