"""Tests of nbtransfer.plots.data_overview."""

import json

import numpy as np
import pytest

from nbtransfer.data.card import DataCard
from nbtransfer.data.lengths import Lengths
from nbtransfer.plots.data_overview import (
    data_overview_figure,
    data_overview_info,
    data_overview_png,
    data_overview_text,
)


def card_of(labels=("negative", "positive"), **class_counts):
    counts = class_counts or {"train": (780, 720), "validation": (90, 77)}
    return DataCard(
        name="df",
        origin="DataFrame",
        task="text-classification",
        text_column="review",
        label_column="sentiment",
        columns=(),
        num_rows={split: sum(c) for split, c in counts.items()},
        label_names=tuple(labels),
        class_counts=counts,
        num_duplicates=0,
        num_overlap={},
        num_conflicts=0,
        majority_share=0.5,
        fingerprint="0" * 64,
    )


def lengths_of(*tokens):
    return Lengths(np.array(tokens, dtype=np.int32))


def json_of(info):
    return json.loads(data_overview_figure(info).to_json())


def test_classes_come_largest_first_with_the_rows_of_every_split():
    card = card_of(("a", "b", "c"), train=(5, 9, 7), validation=(1, 2, 3))
    info = data_overview_info(card, None)
    assert info.classes == ("b", "c", "a")
    assert info.counts == {"train": (9, 7, 5), "validation": (2, 3, 1)}


def test_of_many_classes_20_are_shown_and_the_rest_counted():
    card = card_of([f"c{i}" for i in range(33)], train=tuple(range(33)))
    info = data_overview_info(card, None)
    assert len(info.classes) == 20 and info.num_hidden == 13
    assert "(13 more)" in json_of(info)["layout"]["xaxis"]["title"]["text"]


def test_every_text_is_in_one_bin_whose_bounds_hold_it():
    tokens = np.random.default_rng(0).poisson(40, 2_000).astype(np.int32) + 2
    bins = data_overview_info(card_of(), Lengths(tokens)).bins
    assert len(bins) <= 40 and sum(b.num_texts for b in bins) == 2_000
    for b in bins:
        assert b.high is not None
        assert b.num_texts == int(((tokens >= b.low) & (tokens <= b.high)).sum())


def test_a_few_far_longer_texts_share_the_last_bin():
    bins = data_overview_info(card_of(), lengths_of(*range(5, 105), *range(5, 105), 9_000)).bins
    assert bins[-1].high is None and bins[-1].num_texts == 1
    assert bins[-1].name.endswith("tokens or more") and bins[-1].low < 200
    assert sum(b.num_texts for b in bins) == 201


@pytest.mark.parametrize("tokens", [(7,), (7, 7, 7), (1, 2), ()])
def test_few_or_equal_lengths_make_bins_too(tokens):
    info = data_overview_info(card_of(), lengths_of(*tokens), 64)
    assert sum(b.num_texts for b in info.bins) == len(tokens)
    assert data_overview_png(info).startswith(b"\x89PNG")
    json_of(info)


def test_max_length_says_what_it_cuts_and_stands_between_the_bars():
    info = data_overview_info(card_of(), lengths_of(10, 20, 30, 40), 25)
    assert (info.share_texts_cut, info.share_tokens_cut) == (0.5, pytest.approx(0.2))
    layout = json_of(info)["layout"]
    assert layout["shapes"][0]["x0"] == 25.5
    assert (
        layout["annotations"][0]["text"] == "max_length 25 cuts 50.0 % of texts, 20.0 % of tokens"
    )


def test_a_max_length_beyond_all_texts_is_told_but_stretches_no_axis():
    layout = json_of(data_overview_info(card_of(), lengths_of(10, 20), 512))["layout"]
    assert "shapes" not in layout and "max_length 512" in layout["annotations"][0]["text"]


def test_without_lengths_there_is_one_plot():
    figure = json_of(data_overview_info(card_of(), None, 64))
    assert "xaxis2" not in figure["layout"] and len(figure["data"]) == 2


def test_class_and_split_names_are_escaped():
    card = card_of(("<img src=x onerror=alert(1)>", "<b>"), **{"train": (1, 2), "<i>": (1, 1)})
    text = json.dumps(json_of(data_overview_info(card, None)))
    assert "<img" not in text and "<b>" not in text and "<i>" not in text


def test_figure_and_png_stay_small():
    card = card_of([f"class {i}" for i in range(40)], train=(9,) * 40, test=(9,) * 40)
    tokens = np.random.default_rng(0).geometric(0.02, 5_000).astype(np.int32)
    info = data_overview_info(card, Lengths(tokens), 128)
    assert len(json.dumps(json_of(info))) < 20_000
    assert len(data_overview_png(info)) < 40_000


def test_the_text_form_holds_the_counts_and_what_is_cut():
    text = data_overview_text(data_overview_info(card_of(), lengths_of(10, 20, 30, 40), 25))
    assert "negative: 780, 90" in text and "tokens of a text: 10 to 40" in text
    assert "max_length 25 cuts 50.0 % of texts" in text
