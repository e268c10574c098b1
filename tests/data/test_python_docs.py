"""Tests of nbtransfer.data.python_docs: whole topics on one side each, nothing twice."""

from __future__ import annotations

import re

from nbtransfer.data.demo import CORPORA, DEMO_DATA, load_demo
from nbtransfer.data.python_docs import sections, split_of


def test_the_splits_share_no_paragraph_and_no_page():
    splits = load_demo("python-docs").splits
    seen: dict[str, str] = {}
    for split, table in splits.items():
        for text in table["text"].to_pylist():
            for paragraph in re.split(r"\n\n+", text):
                assert seen.setdefault(" ".join(paragraph.split()), split) == split
    pages = [set(table["page"].to_pylist()) for table in splits.values()]
    assert not pages[0] & pages[1] and not pages[0] & pages[2] and not pages[1] & pages[2]


def test_each_split_has_its_share_of_the_text():
    splits = load_demo("python-docs").splits
    sizes = {s: sum(map(len, t["text"].to_pylist())) for s, t in splits.items()}
    assert sum(sizes.values()) > 200_000
    shares = {split: size / sum(sizes.values()) for split, size in sizes.items()}
    assert 0.65 < shares["train"] < 0.9 and shares["validation"] > 0.05 and shares["test"] > 0.04


def test_a_topic_stays_in_its_split_for_good():
    assert [split_of(topic) for topic in ("assert", "if", "lambda", "yield")] == [
        "train",
        "train",
        "validation",
        "train",
    ]


def test_a_section_reaches_to_the_next_underlined_heading():
    topic = "Title\n*****\n\nfirst\n\nPart\n====\n\nsecond\n"
    assert list(sections(topic)) == ["", "Title\n*****\n\nfirst", "Part\n====\n\nsecond"]


def test_the_demo_is_known_as_a_corpus():
    assert set(CORPORA) <= set(DEMO_DATA)
