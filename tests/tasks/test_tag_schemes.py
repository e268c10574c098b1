"""Ways of writing entities as tags, and what becomes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from nbtransfer.tasks.tag_schemes import entities_of, recognise_scheme, tag_names, to_iob2

# The same two entities side by side, then one of another type: Ada Byron | Alan | in Leeds.
SCHEMES = {
    "IOB2": "B-PER I-PER B-PER O B-LOC",
    "IOB1": "I-PER I-PER B-PER O I-LOC",
    "IOBES": "B-PER E-PER S-PER O S-LOC",
    "BILOU": "B-PER L-PER U-PER O U-LOC",
}


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_is_recognised_and_becomes_iob2(name):
    tags = SCHEMES[name].split()
    scheme = recognise_scheme([tags])
    assert scheme.name == name
    assert to_iob2(tags, name) == SCHEMES["IOB2"].split()


def test_bmes_and_types_without_letters_become_iob2():
    assert recognise_scheme([["B-X", "M-X", "E-X", "O"]]).name == "BMES"
    assert to_iob2(["B-X", "M-X", "E-X", "O"], "BMES") == ["B-X", "I-X", "I-X", "O"]
    assert recognise_scheme([["PER", "PER", "O", "LOC"]]).name == "IO"
    assert to_iob2(["PER", "PER", "O", "LOC"], "IO") == ["B-PER", "I-PER", "O", "B-LOC"]


def test_i_after_o_in_iob2_is_counted_and_begins_an_entity():
    rows = [["B-PER", "O"], ["O", "I-PER"], ["I-LOC", "B-LOC"]]
    assert recognise_scheme(rows) == ("IOB2", 2, 1)
    assert to_iob2(["O", "I-PER", "I-LOC"], "IOB2") == ["O", "B-PER", "B-LOC"]


def test_tags_of_no_scheme_are_returned():
    assert recognise_scheme([["NOUN", "VERB"]]) == ["NOUN", "VERB"]
    assert recognise_scheme([["O", "B-", "B-PER"]]) == ["B-"]
    assert recognise_scheme([["O", "PER", "B-PER"]]) == ["PER"]


def test_types_may_hold_hyphens():
    assert recognise_scheme([["B-creative-work", "I-creative-work"]]).name == "IOB2"
    assert entities_of(["B-creative-work", "I-creative-work"]) == [("creative-work", 0, 2)]


def test_tag_names_are_whole_and_ordered():
    assert tag_names(["b", "a"]) == ("O", "B-a", "I-a", "B-b", "I-b")


TAGS = st.lists(st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y", "B-x-y", "I-x-y"]), max_size=12)


@given(TAGS)
def test_entities_are_seqeval_s(tags):
    assert entities_of(tags) == [(kind, a, b + 1) for kind, a, b in get_entities(tags)]


@st.composite
def entities(draw):
    """Words, and entities in them that do not overlap."""
    lengths = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=5))
    found, place = [], 0
    for gap, size in lengths:
        place += gap
        found.append((draw(st.sampled_from("xy")), place, place + size))
        place += size
    return place + draw(st.integers(0, 2)), found


def _written(num_words, found, scheme):
    tags = ["O"] * num_words
    for i, (kind, start, end) in enumerate(found):
        for word in range(start, end):
            tags[word] = f"I-{kind}"
        beside = i > 0 and found[i - 1][::2] == (kind, start)
        if scheme == "IOB2" or beside or scheme == "IOBES":
            tags[start] = f"B-{kind}"
        if scheme == "IOBES":
            tags[end - 1] = f"E-{kind}" if end - start > 1 else f"S-{kind}"
    return tags


@given(entities(), st.sampled_from(["IOB1", "IOB2", "IOBES"]))
def test_what_is_written_in_any_scheme_is_read_again(case, scheme):
    num_words, found = case
    assert entities_of(to_iob2(_written(num_words, found, scheme), scheme)) == found
