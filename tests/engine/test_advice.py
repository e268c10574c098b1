"""Tests of nbtransfer.engine.advice: what a course of losses is said to mean."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace

import pytest

from nbtransfer.engine.advice import RateWatch, evaluation_warning, guessing_loss


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
    assert evaluation_warning(losses, math.log(2)) is None


def test_training_that_falls_while_validation_rises_is_overfitting():
    warning = evaluation_warning([(0.6, 0.5), (0.4, 0.45), (0.2, 0.55)], math.log(2))
    assert warning.code == "overfitting"
    assert "since evaluation 2." in warning.headline
    assert "best model so far" in warning.advice


def test_the_rise_is_counted_from_the_best_evaluation_of_all():
    losses = [(0.6, 0.40), (0.5, 0.45), (0.4, 0.5), (0.3, 0.55)]
    assert "since evaluation 1." in evaluation_warning(losses, math.log(2)).headline


@pytest.mark.parametrize("guessing", [0.2, math.log(2), math.log(150)])
def test_a_loss_that_stays_at_guessing_is_not_learning(guessing):
    warning = evaluation_warning([(guessing, 1.0), (guessing + 0.01, 1.0)], guessing)
    assert warning.code == "not_learning"
    assert f"stays at {guessing + 0.01:.2f}: guessing" in warning.headline
    assert f"gives {guessing:.2f}." in warning.headline
    assert "higher learning rate" in warning.advice


def test_a_loss_that_stays_above_guessing_is_not_learning_either():
    """As one among ten classes of which one is common: it begins at ln 10."""
    losses = [(math.log(10), 2.3), (math.log(10) - 0.01, 2.3)]
    assert evaluation_warning(losses, 0.5).code == "not_learning"


def test_a_loss_above_guessing_that_falls_is_on_its_way():
    assert evaluation_warning([(2.3, 2.3), (2.1, 2.1)], 0.5) is None


def test_little_of_a_small_loss_is_much():
    assert evaluation_warning([(0.05, 0.05), (0.04, 0.04)], 0.056) is None


def test_one_evaluation_is_too_early_to_say_that_nothing_is_learned():
    assert evaluation_warning([(math.log(2), math.log(2))], math.log(2)) is None


def test_the_guessing_loss_of_other_classes_is_no_sign():
    assert evaluation_warning([(0.69, 0.69), (0.69, 0.69)], math.log(5)) is None


def card(counts, task="text-classification", num_rows=0):
    return SimpleNamespace(task=task, class_counts={"train": counts}, num_rows={"train": num_rows})


def test_guessing_costs_the_entropy_of_the_shares():
    assert guessing_loss(card((5, 5, 5))) == pytest.approx(math.log(3))
    skewed = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert guessing_loss(card((90, 10))) == pytest.approx(skewed)
    assert guessing_loss(card((90, 10, 0))) == pytest.approx(skewed)


def test_with_weights_that_balance_the_classes_it_costs_as_much_as_among_equal_ones():
    assert guessing_loss(card((90, 10)), [1 / 9, 1.0]) == pytest.approx(math.log(2))


def test_of_several_classes_a_row_each_is_a_question_of_its_own():
    several = card((50, 50, 50, 50), "multi-label-classification", 100)
    assert guessing_loss(several) == pytest.approx(math.log(2))
    rare = card((10, 0), "multi-label-classification", 100)
    assert guessing_loss(rare) == pytest.approx(-(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) / 2)


def test_without_classes_there_is_nothing_to_guess():
    assert guessing_loss(card(())) is None
    assert evaluation_warning([(1.0, 1.0), (1.0, 1.0)], None) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_loss_that_is_no_number_breaks_nothing(bad, at):
    losses = [(0.6, 0.5), (0.5, 0.45), (0.45, 0.44)]
    losses[at] = (0.5, bad)
    evaluation_warning(losses, math.log(2))
    losses[at] = (bad, 0.5)
    evaluation_warning(losses, math.log(2))


def watch(losses, norms=None, *, warmup_steps=0, rate=1e-3):
    """The step at which a series was commented on first, and what was said."""
    watching = RateWatch(warmup_steps)
    found = []
    for step, loss in enumerate(losses, 1):
        norm = 1.0 if norms is None else norms[step - 1]
        said = watching.see(step=step, loss=loss, grad_norm=norm, learning_rate=rate)
        if said is not None:
            found.append((step, said))
    assert len(found) <= 1, "said more than once"
    return found[0] if found else None


def noisy(mean, num_steps, spread, seed=0):
    draw = random.Random(seed)
    return [max(0.001, draw.gauss(mean, spread)) for _ in range(num_steps)]


@pytest.mark.parametrize("seed", range(20))
def test_a_loss_that_falls_with_noise_is_not_commented_on(seed):
    falling = [0.7 * 0.98**n + noise for n, noise in enumerate(noisy(0.05, 200, 0.08, seed))]
    assert watch(falling, noisy(2.0, 200, 1.0, seed)) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_loss_that_stays_with_noise_is_not_commented_on(seed):
    assert watch(noisy(0.69, 300, 0.1, seed)) is None


def test_one_bad_step_is_no_reason():
    assert watch([0.7] * 20 + [1.8] + [0.7] * 20) is None


def test_a_loss_well_above_its_start_is_a_rate_too_high():
    step, said = watch([0.7] * 10 + [1.6] * 10, rate=5e-3)
    assert 10 < step <= 14, "found too late to act on"
    assert said.code == "learning_rate_too_high"
    assert f"by step {step}; it began at 0.70." in said.headline
    assert "learning rate (0.005) is probably too high" in said.advice
    assert "--lr 0.001" in said.advice


def test_of_many_classes_the_loss_may_move_more():
    assert watch([5.0] * 10 + [5.9] * 50) is None
    assert watch([5.0] * 10 + [7.0] * 50) is not None


def test_gradients_far_beyond_their_first_are_a_rate_too_high():
    step, said = watch([0.7] * 40, [2.0] * 10 + [200.0] * 30)
    assert said.code == "learning_rate_too_high"
    assert "gradient norm grew" in said.headline and "it began at 2." in said.headline
    assert step < 25


def test_gradients_that_fall_and_rise_again_are_no_reason():
    assert watch([0.3] * 60, [2.0] * 10 + [0.01] * 25 + [3.0] * 25) is None


def test_within_the_warm_up_nothing_is_said_and_after_it_at_once():
    losses = [0.7] * 10 + [1.6] * 20
    assert watch(losses, warmup_steps=30) is None
    assert watch(losses, warmup_steps=20)[0] == 21


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_figure_that_is_no_number_is_passed_over(bad):
    assert watch([0.7, bad, *[0.7] * 20], [bad, 1.0, 0.0, *[1.0] * 19]) is None
