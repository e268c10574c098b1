"""Tests of nbtransfer.plots.embedding_map."""

from __future__ import annotations

import json

import pytest

from nbtransfer.plots.embedding_map import (
    embedding_map_figure,
    embedding_map_info,
    embedding_map_png,
)
from nbtransfer.runs.representations import EmbeddingMap, Stage


def map_of(classes, labels, text="a text"):
    points = tuple((float(i), float(-i)) for i in range(len(classes)))
    before = Stage(points, (0.4, 0.2), 0.01, (0.5, 0.6))
    after = Stage(points[::-1], (0.6, 0.1), 0.42, (0.5, 0.9))
    return EmbeddingMap(
        run_id="r",
        split="test",
        labels=tuple(labels),
        classes=tuple(classes),
        texts=(text,) * len(classes),
        before=before,
        after=after,
        majority_share=0.6,
    )


def test_each_class_has_its_points_on_both_maps_the_largest_first():
    info = embedding_map_info(map_of([1, 0, 1, 1], ["bad", "good"]))
    assert [group.name for group in info.groups] == ["good", "bad"]
    assert info.groups[1].before == [(1.0, -1.0)]
    assert info.groups[1].after == [(2.0, -2.0)]
    assert info.title_after == "after training: silhouette 0.42"
    assert len({group.colour for group in info.groups}) == 2


def test_the_classes_beyond_eight_colours_share_one():
    info = embedding_map_info(map_of(range(12), [f"c{i}" for i in range(12)]))
    assert len(info.groups) == 8
    assert info.groups[-1].name == "5 other classes"
    assert sum(len(group.before) for group in info.groups) == 12


def test_texts_and_classes_cannot_become_markup():
    nasty = "<img src=x onerror=alert(1)>"
    info = embedding_map_info(map_of([0, 1], [nasty, "b"], text=nasty))
    assert "<img" not in json.dumps(json.loads(embedding_map_figure(info).to_json()))


@pytest.mark.parametrize("num_classes", [1, 2, 12])
def test_the_figure_and_its_picture_are_drawn(num_classes):
    info = embedding_map_info(map_of(range(num_classes), [f"c{i}" for i in range(num_classes)]))
    figure = embedding_map_figure(info)
    assert len(figure.data) == 2 * len(info.groups) + 2
    assert embedding_map_png(info)[:4] == b"\x89PNG"
