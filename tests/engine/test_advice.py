"""Tests of nbtransfer.engine.advice: what a course of losses is said to mean."""

from __future__ import annotations

import math

import pytest

from nbtransfer.engine.advice import evaluation_warning


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [(0.7, 0.6)],
        [(0.7, 0.6), (0.5, 0.5), (0.3, 0.4)],  # both fall
        [(0.5, 0.40), (0.4, 0.405)],  # validation rises by no more than its noise
        [(0.5, 0.40), (0.48, 0.60)],  # training hardly falls
        [(0.5, 0.4), (0.6, 0.5)],  # both rise
    ],
)
def test_an_ordinary_course_is_not_commented_on(losses):
    assert evaluation_warning(losses, 2) is None


def test_training_that_falls_while_validation_rises_is_overfitting():
    warning = evaluation_warning([(0.6, 0.5), (0.4, 0.45), (0.2, 0.55)], 2)
    assert warning.code == "overfitting"
    assert "since evaluation 2." in warning.headline
    assert "best model so far" in warning.advice


def test_the_rise_is_counted_from_the_best_evaluation_of_all():
    losses = [(0.6, 0.40), (0.5, 0.45), (0.4, 0.5), (0.3, 0.55)]
    assert "since evaluation 1." in evaluation_warning(losses, 2).headline


@pytest.mark.parametrize("num_labels", [2, 3, 7, 150])
def test_a_loss_that_stays_at_guessing_is_not_learning(num_labels):
    guessing = math.log(num_labels)
    warning = evaluation_warning([(guessing, guessing), (guessing + 0.01, guessing)], num_labels)
    assert warning.code == "not_learning"
    assert f"among {num_labels} classes" in warning.headline
    assert f"stays at {guessing + 0.01:.2f}," in warning.headline
    assert "higher learning rate" in warning.advice


def test_one_evaluation_is_too_early_to_say_that_nothing_is_learned():
    assert evaluation_warning([(math.log(2), math.log(2))], 2) is None


def test_the_guessing_loss_of_other_classes_is_no_sign():
    assert evaluation_warning([(0.69, 0.69), (0.69, 0.69)], 5) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_loss_that_is_no_number_breaks_nothing(bad, at):
    losses = [(0.6, 0.5), (0.5, 0.45), (0.45, 0.44)]
    losses[at] = (0.5, bad)
    evaluation_warning(losses, 2)
    losses[at] = (bad, 0.5)
    evaluation_warning(losses, 2)
