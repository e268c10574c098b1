"""The notebook on translation, run whole: transfer beats starting from nothing, and it is said."""

from __future__ import annotations

import re

import pytest

from tests.notebooks.running import run_whole

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return run_whole("04_translation", tmp_path_factory.mktemp("translation")).book


def test_what_was_learnt_before_is_worth_more_than_a_start_from_nothing(book):
    (cell,) = [cell for cell in book.cells if cell.id == "compare"]
    table = cell.outputs[0].data["text/plain"]
    chrf = {
        name: float(value)
        for name, value in re.findall(r"^(\S.*?)\s{2,}(\d+\.\d+)", table, re.MULTILINE)
    }
    # Two runs gave 9.5 and 10.6 after, 3.6 and 4.0 from nothing; copying stays ahead, as is said.
    assert chrf["after: and then on Git"] > chrf["from nothing, on Git alone"] + 3
    assert chrf["copy the English"] == pytest.approx(20.3, abs=0.1)


def test_it_leaves_no_widgets_behind(book):
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert not [o for o in outputs if "widget" in " ".join(o.get("data", {}))]
    assert "widgets" not in book.metadata
