"""Tests of nbtransfer.runs.paths: names that may be runs, and that all files lie in the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtransfer.errors import SpecError
from nbtransfer.runs.paths import EvaluationPaths, RunPaths, check_run_name
from tests.runs.attacks import BAD_NAMES, DEVICE_NAMES


@pytest.mark.parametrize(
    "name", ["a", "7", "calm-heron-0712", "A.b_c-D", "x" * 64, "2024-01-01", "v1.0", "a..b", "nul0"]
)
def test_ordinary_names_pass_unchanged(name):
    assert check_run_name(name) == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_other_names_are_refused_with_the_rule(name):
    with pytest.raises(SpecError, match=r"use 1 to 64 letters, digits") as caught:
        check_run_name(name)
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", DEVICE_NAMES)
def test_a_device_s_name_is_refused_and_another_offered(name):
    with pytest.raises(SpecError, match="Windows has a device of that name") as caught:
        check_run_name(name)
    offered = f"run-{name}"
    assert offered in str(caught.value)
    assert check_run_name(offered) == offered


@pytest.mark.parametrize("name", ["console", "nul0", "com", "com10", "lpt", "a.con", "aux-1"])
def test_what_only_begins_like_a_device_passes(name):
    assert check_run_name(name) == name


@pytest.mark.parametrize("name", [None, 3, b"abc", Path("abc"), ["a"], True])
def test_what_is_no_text_is_refused(name):
    with pytest.raises(SpecError, match="cannot name a run"):
        check_run_name(name)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=80))
def test_a_name_that_passes_is_one_plain_folder_name(name):
    try:
        check_run_name(name)
    except SpecError:
        return
    base = Path("/runs")
    assert (base / name).parent == base
    assert (base / name).resolve() == base / name


def test_everything_of_a_run_lies_in_its_folder(tmp_path):
    paths = RunPaths(tmp_path)
    found = [value for value in vars(paths).values() if value != tmp_path]
    found += [paths.split("train"), paths.checkpoint(3)]
    found += vars(paths.evaluation("validation")).values()
    assert all(path.is_relative_to(tmp_path) for path in found)
    assert len({str(path) for path in found}) == len(found)


def test_a_checkpoint_is_named_by_its_step(tmp_path):
    paths = RunPaths(tmp_path)
    assert paths.checkpoint(12) == tmp_path / "checkpoints" / "step-000012"
    assert paths.checkpoint(1_000_000).name == "step-1000000"


@pytest.mark.parametrize("name", ["..", "../x", "/etc", "a/b", ""])
def test_an_evaluation_cannot_lie_elsewhere(tmp_path, name):
    with pytest.raises(SpecError):
        RunPaths(tmp_path).evaluation(name)


def test_asking_for_paths_creates_nothing(tmp_path):
    paths = RunPaths(tmp_path / "run")
    paths.evaluation("validation")
    EvaluationPaths(tmp_path / "evaluation")
    assert list(tmp_path.iterdir()) == []
