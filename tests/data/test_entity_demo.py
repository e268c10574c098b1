"""A review of demo:entities: every mark is right, and nothing is learnt by heart."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from nbtransfer.data import entity_demo
from nbtransfer.data.demo import load_demo
from nbtransfer.data.entity_demo import read_marked
from nbtransfer.tasks.tagged_data import prepare
from nbtransfer.tasks.words import split_words
from tests.assets.entities.names import MONTHS, WEEKDAYS, names_of
from tests.assets.entities.write import FILE, lines

LABELS = {"PER", "ORG", "LOC", "DATE"}


@pytest.fixture(scope="module")
def rows():
    found = {}
    for split, table in load_demo("entities").splits.items():
        found[split] = list(
            zip(table["text"].to_pylist(), table["entities"].to_pylist(), strict=True)
        )
    return found


def test_the_file_is_what_its_script_writes():
    assert Path(entity_demo.__file__).with_name("entities.txt") == FILE
    assert FILE.read_text("utf-8").splitlines() == lines()


def test_marks_are_read_with_their_places():
    text, spans = read_marked("[Ada|PER] left [Leeds|LOC].")
    assert text == "Ada left Leeds."
    assert [(text[s["start"] : s["end"]], s["label"]) for s in spans] == [
        ("Ada", "PER"),
        ("Leeds", "LOC"),
    ]


def test_there_are_enough_sentences_and_all_types_in_each_split(rows):
    assert sum(map(len, rows.values())) >= 300
    for some in rows.values():
        counts = Counter(span["label"] for _, spans in some for span in spans)
        assert set(counts) == LABELS
        assert min(counts.values()) >= 12


def test_every_entity_is_whole_words_without_space_or_bracket(rows):
    for some in rows.values():
        for text, spans in some:
            starts, ends = map(set, zip(*split_words(text), strict=True))
            assert not re.search(r"[\[\]|{}]", text), text
            for span in spans:
                assert span["start"] in starts and span["end"] in ends, (text, span)


def test_sentences_begin_with_a_capital_and_end_with_a_mark(rows):
    for some in rows.values():
        for text, _ in some:
            assert re.match(r'"?[A-Z0-9@]', text) and re.search(r'[.!?]"?$', text), text
            assert "  " not in text and " ," not in text


def test_no_name_month_or_weekday_stands_unmarked(rows):
    names = {
        split: [n.removeprefix("the ") for pool in names_of(split).values() for n in pool]
        for split in rows
    }
    for split, some in rows.items():
        for text, spans in some:
            rest = text
            for span in reversed(spans):
                rest = rest[: span["start"]] + "_" + rest[span["end"] :]
            # "May I" and "he may march" are no months; a capital inside a sentence tells.
            words = [*names[split], *(m for m in MONTHS if m != "May"), *WEEKDAYS]
            left = [n for n in words if re.search(rf"\b{re.escape(n)}\b", rest)]
            assert not left, (text, left)
            assert not re.search(r"\b(1[89]|20)\d\d\b", rest), text


def test_no_sentence_or_pattern_stands_twice_across_splits(rows):
    texts = [text for some in rows.values() for text, _ in some]
    assert len(set(texts)) == len(texts)

    def pattern(text, spans):
        for span in reversed(spans):
            text = text[: span["start"]] + span["label"] + text[span["end"] :]
        return re.sub(r"\b[Tt]he (?=[A-Z]{3})", "", text)

    seen = {split: {pattern(*row) for row in some} for split, some in rows.items()}
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["validation"]


def test_names_of_the_test_part_are_new(rows):
    def named(split):
        return {
            (text[s["start"] : s["end"]], s["label"])
            for text, spans in rows[split]
            for s in spans
            if s["label"] != "DATE"
        }

    assert not named("test") & named("train")
    assert not named("validation") & named("train")


def test_words_of_people_s_names_are_new_too(rows):
    def words(split):
        return {
            word
            for text, spans in rows[split]
            for s in spans
            if s["label"] == "PER"
            for word in text[s["start"] : s["end"]].split()
        }

    assert not words("test") & words("train")


def test_it_is_prepared_without_a_single_mending():
    card = prepare(load_demo("entities"), {}).card
    assert card.label_names == (
        "O", "B-DATE", "I-DATE", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER",
    )  # fmt: skip
    assert (card.num_duplicates, card.num_conflicts, card.warnings) == (0, 0, ())
    assert not [note for note in card.notes if "left out" in note or "widened" in note]
