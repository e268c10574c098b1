"""Tests of nbtransfer.runs.representations: maps, distances between classes, probes by layer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nbtransfer.runs.representations import EmbeddingMap, measure_stage, probe_accuracy


def layers(separations=(0.0, 4.0), num=60, width=12):
    """Two layers of noise; in each, class 1 lies the given way off along one direction."""
    draw = np.random.default_rng(5)
    classes = np.arange(num) % 2
    found = draw.normal(size=(len(separations), num, width))
    for layer, distance in enumerate(separations):
        found[layer, :, 3] += distance * classes
    return found.astype(np.float32), classes


def map_of(**changes):
    vectors, classes = layers()
    values = {
        "run_id": "calm-heron",
        "split": "test",
        "labels": ("bad", "good"),
        "classes": tuple(classes.tolist()),
        "texts": tuple(f"text {i}" for i in range(len(classes))),
        "before": measure_stage(vectors[::-1], classes),
        "after": measure_stage(vectors, classes),
        "majority_share": 0.5,
    }
    return EmbeddingMap(**values | changes)


def test_a_probe_reads_what_is_there_and_guesses_where_nothing_is():
    vectors, classes = layers()
    assert probe_accuracy(vectors[1], classes) > 0.95
    assert 0.25 < probe_accuracy(vectors[0], classes) < 0.75


def test_classes_that_lie_apart_have_the_higher_silhouette():
    vectors, classes = layers()
    apart, mixed = measure_stage(vectors, classes), measure_stage(vectors[::-1], classes)
    assert apart.silhouette > mixed.silhouette + 0.1
    assert abs(mixed.silhouette) < 0.05
    assert [round(share) for share in apart.probe_accuracies] == [round(0.5), 1]


def test_points_are_the_principal_components_whatever_their_sign():
    vectors, classes = layers()
    centred = vectors[1] - vectors[1].mean(0)
    _, sizes, directions = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    wanted = np.abs(centred @ directions[:2].T)
    found = measure_stage(vectors, classes)
    assert np.allclose(np.abs(found.points), wanted, atol=1e-3)
    assert found.explained == pytest.approx(tuple(sizes[:2] ** 2 / (sizes**2).sum()))
    assert measure_stage(vectors, classes).points == found.points


def test_one_class_alone_has_no_silhouette():
    vectors, classes = layers()
    found = measure_stage(vectors, np.zeros_like(classes))
    assert found.silhouette is None
    assert found.probe_accuracies == (1.0, 1.0)


def test_a_class_of_one_text_does_no_harm():
    vectors, classes = layers()
    classes[0] = 7
    assert len(measure_stage(vectors, classes).probe_accuracies) == 2


def test_a_map_is_the_same_after_writing_and_reading():
    found = map_of()
    assert EmbeddingMap.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_the_text_says_before_and_after_layer_by_layer():
    text = str(map_of())
    assert "calm-heron on 60 texts of test" in text
    assert "silhouette" in text and "probe on layer 1" in text
    assert "largest class" in text and "50.0 %" in text
    assert "\n" not in repr(map_of())


def test_texts_that_are_all_the_same_lie_in_one_point():
    found = measure_stage(np.ones((2, 12, 8), np.float32), np.arange(12) % 2)
    assert found.explained == (0.0, 0.0)
    assert set(found.points) == {(0.0, 0.0)}
    assert found.silhouette == 0.0
