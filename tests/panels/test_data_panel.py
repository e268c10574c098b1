import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from nbtransfer.data.lengths import Lengths
from nbtransfer.data.sources import load_tables
from nbtransfer.errors import MissingPackageError, ModelError
from nbtransfer.panels import data_panel
from nbtransfer.panels.data_view import LengthFacts, TokenizedText, cut, data_markup, data_text


class Reader(HTMLParser):
    """What a page shows, and its elements."""

    def __init__(self, source):
        super().__init__()
        self.words, self.elements = [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


@pytest.fixture
def shown(monkeypatch):
    """What show_dataset displays; the figure is counted, not drawn."""
    outputs = []

    class Handle:
        def update(self, data, raw):
            outputs.append(data)

    def display(data, raw, display_id):
        outputs.append(data)
        return Handle()

    monkeypatch.setattr(data_panel, "display", display)
    monkeypatch.setattr(data_panel, "_show_figure", lambda *args: outputs.append(args))
    return outputs


def test_a_data_set_is_one_card_and_one_figure(shown, reviews):
    data_panel.show_dataset(reviews, name="df", model=None)
    card, figure = shown
    assert set(card) == {"text/html", "text/plain"}
    assert figure[0].card.name == "df"


def test_each_of_several_columns_of_classes_is_said_to_be_one(shown):
    rows = {"text": ["a", "b", "c", "d"], "rude": [0, 1, 0, 1], "kind": [1, 0, 1, 1]}
    data_panel.show_dataset(rows, name="df", model=None, columns={"label": "rude,kind"})
    text = shown[0]["text/plain"]
    for column, role in (("text", "text"), ("rude", "label"), ("kind", "label")):
        assert re.search(rf"^\s*{column} +{role} ", text, re.MULTILINE), text


def test_the_card_states_columns_task_classes_and_rows(shown, reviews):
    data_panel.show_dataset(reviews, name="df", model=None)
    for words in (Reader(shown[0]["text/html"]).text, shown[0]["text/plain"]):
        assert "text-classification" in words
        for part in ("review", "sentiment", "string", "good", "bad", "number 3 is fine and warm"):
            assert part in words
    assert "54 train rows" in shown[0]["text/plain"]
    assert "6 validation rows" in shown[0]["text/plain"]


def test_lengths_are_in_words_where_the_demo_model_is_not_installed(shown, reviews, monkeypatch):
    def refuse(reference, *, runs_dir):
        raise MissingPackageError("some-package", "demo:minilm")

    monkeypatch.setattr("nbtransfer.models.catalog.open_model", refuse)
    data_panel.show_dataset(reviews, name="df")
    text = shown[0]["text/plain"]
    assert "6 words a text" in text
    assert "Lengths are in words: demo:minilm needs the package 'some-package'" in text


def test_a_model_that_was_named_and_is_not_there_is_an_error(shown, reviews, opened):
    with pytest.raises(ModelError, match="no model 'missing'"):
        data_panel.show_dataset(reviews, name="df", model="missing")
    assert shown == []


def test_data_that_cannot_be_classified_show_rows_and_the_reason(shown):
    rows = [{"title": f"only a title {i}", "price": i / 2} for i in range(5)]
    data_panel.show_dataset(rows, name="prices", model=None)
    assert len(shown) == 1
    text = shown[0]["text/plain"]
    assert "no label column in prices" in text
    assert "only a title 3" in text
    assert "5 train rows" in text


def test_very_many_rows_are_shown_before_they_are_counted(shown, reviews, monkeypatch):
    monkeypatch.setattr(data_panel, "_MANY_ROWS", 50)
    prepare = data_panel._prepare
    monkeypatch.setattr(
        data_panel, "_prepare", lambda *args: (shown.append("counted"), prepare(*args))[1]
    )
    data_panel.show_dataset(reviews, name="df", model=None)
    assert shown[1] == "counted"
    assert "Counting 60 rows" in shown[0]["text/plain"]
    assert "number 3 is fine and warm" in shown[0]["text/plain"]
    assert "Counting" not in shown[2]["text/plain"]
    assert "text-classification" in shown[2]["text/plain"]


def test_repetition_overlap_and_conflicts_are_counted(shown):
    rows = [{"text": f"number {i} of these", "label": i % 2} for i in range(20)]
    validation = [{"text": "number 1 of these", "label": 1}, {"text": "another one", "label": 0}]
    rows += [{"text": "number 2 of these", "label": 1}]
    tables = load_tables(rows, name="df")
    held_out = load_tables(validation, name="df").splits["train"]
    tables = tables._replace(splits={**tables.splits, "validation": held_out})
    prepared = data_panel._prepare(tables, None, {})
    view = data_panel.make_view(tables, prepared, None, None, (), ())
    text = data_text(view)
    assert "1 duplicates in train" in text
    assert "1 validation texts also in train" in text
    assert "1 texts with two labels" in text


def test_text_of_the_data_cannot_become_markup(shown):
    bad = "<img src=x onerror=alert(1)>"
    rows = [{"text": f"{bad} {i}", "label": f"<b>{i % 2}</b>", "<script>": bad} for i in range(20)]
    data_panel.show_dataset(
        rows, name="<i>df</i>", columns={"text": "text", "label": "label"}, model=None
    )
    page = Reader(shown[0]["text/html"])
    names = {name for name, _ in page.elements}
    assert not names & {"img", "script", "i"}
    assert not any(key.startswith("on") for _, attrs in page.elements for key in attrs)
    assert bad in page.text


def test_long_cells_and_long_texts_are_cut(shown):
    rows = [{"text": f"word{i} " * 50_000, "label": i % 2} for i in range(6)]
    data_panel.show_dataset(rows, name="df", model=None)
    assert len(shown[0]["text/html"]) < 30_000
    assert len(shown[0]["text/plain"]) < 6_000


def test_many_classes_are_cut_to_the_largest_and_the_rest_is_summed(shown):
    rows = [{"text": f"text number {i}", "label": f"class {i % 50}"} for i in range(500)]
    data_panel.show_dataset(rows, name="df", model=None)
    assert "30 more" in shown[0]["text/plain"]
    assert shown[0]["text/plain"].count("\nclass ") == 21  # 20 and the heading


def test_the_suggested_length_is_stated_with_what_it_cuts(opened, reviews, monkeypatch):
    tokens = Lengths(np.array([10] * 990 + [500] * 10, dtype=np.int32))
    monkeypatch.setattr(data_panel, "measure_lengths", lambda texts, file: tokens)
    prepared = data_panel._prepare(load_tables(reviews, name="df"), None, {})
    from nbtransfer.models.catalog import open_model

    card = open_model("demo:minilm", runs_dir=None)
    facts = data_panel.measure(prepared, card, 16).facts
    assert (facts.max_length, facts.median, facts.longest) == (16, 10, 500)
    assert facts.share_texts_cut == pytest.approx(0.01)
    assert facts.share_tokens_cut == pytest.approx(4840 / 14900)


def test_words_of_very_many_texts_are_counted_on_evenly_spread_ones(monkeypatch):
    monkeypatch.setattr(data_panel, "MAX_MEASURED_TEXTS", 10)
    texts = pa.chunked_array([["one"] * 50 + ["one two three"] * 50])
    counts = data_panel.word_counts(texts)
    assert counts.tolist() == [1] * 5 + [3] * 5


def test_lengths_of_a_sample_are_said_to_be_so(reviews, monkeypatch):
    monkeypatch.setattr(data_panel, "MAX_MEASURED_TEXTS", 10)
    tables = load_tables(reviews, name="df")
    prepared = data_panel._prepare(tables, None, {})
    measured = data_panel.measure(prepared, None, {})
    view = data_panel.make_view(tables, prepared, measured, None, (), ())
    assert "Lengths were counted on 10 of 54 texts." in view.notes


def test_tokens_are_separate_marks_and_those_cut_off_are_told(reviews):
    tables = load_tables(reviews, name="df")
    prepared = data_panel._prepare(tables, None, {})
    view = data_panel.make_view(tables, prepared, None, None, (), ())
    view = view._replace(
        tokenizer="demo:minilm",
        tokenized=(TokenizedText("fine <text>", ("[CLS]", "fine", "<text>", "[SEP]"), 3),),
    )
    page = Reader(data_markup(view))
    assert [a["class"] for name, a in page.elements if name == "code"] == [
        "nbt-token",
        "nbt-token",
        "nbt-token",
        "nbt-token nbt-token-cut",
    ]
    assert "4 tokens, the last 1 are cut off" in page.text
    assert "[CLS] fine <text> [SEP]" in data_text(view)


def test_a_tokenizer_file_shows_a_text_before_and_after(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"fine": 0, "day": 1, "[UNK]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(1)
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    (shown,) = data_panel.tokenize_for_show(["fine day"], str(file), 8)
    assert shown == TokenizedText("fine day", ("fine", "day"), 8)


def test_missing_cells_are_empty_and_long_ones_on_one_line():
    table = pa.table({"a": ["x\ny", None], "b": [[1, 2], [3]]})
    assert data_panel.head_rows(table) == (("x y", "[1, 2]"), ("", "[3]"))
    assert cut("a" * 500).endswith("…") and len(cut("a" * 500)) <= 160


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (LengthFacts("tokens", 5, 40, 100, 16, 0.02, 0.01), "2.0 % of texts and 1.0 % of tokens"),
        (LengthFacts("tokens", 5, 16, 100, 16), "no text is cut at 16"),
    ],
)
def test_what_the_length_cuts_is_told_in_words(reviews, facts, words):
    tables = load_tables(reviews, name="df")
    prepared = data_panel._prepare(tables, None, {})
    measured = data_panel.Measured(None, facts)
    assert words in data_text(data_panel.make_view(tables, prepared, measured, None, (), ()))


def test_a_question_and_its_context_count_together_and_are_not_cut():
    from nbtransfer.data.sources import load_tables
    from nbtransfer.tasks.question_answering import QuestionAnswering

    rows = [{"question": "who is it", "context": "it is Ann Lee", "answers": "Ann Lee"}] * 3
    prepared = QuestionAnswering().prepare(load_tables(rows), {})
    facts = data_panel.measure(prepared, None, None).facts
    assert (facts.unit, facts.median, facts.max_length) == ("words", 7, 0)
