"""The quickstart, run whole as `nbtransfer demo` runs it: what it shows, says and leaves."""

from __future__ import annotations

import json
import re

import pytest

from tests.notebooks.running import run_whole

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(1200)]

ROWS = (
    "fine-tuned",
    "frozen features",
    "TF-IDF + logistic regression",
    "same network, random weights",
    "majority class",
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    return run_whole("01_quickstart", tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def executed(ran):
    return ran.executed


@pytest.fixture(scope="module")
def book(ran):
    return ran.book


def accuracies(table: str) -> dict[str, float]:
    found = re.findall(r"^(\S.*?)\s+(\d+\.\d) %", table, re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_table_names_every_contestant_and_the_fine_tuned_model_leads(executed):
    found = accuracies(executed.table)
    assert tuple(found) == ROWS
    # The floors are three standard errors below what three seeds gave.
    assert found["fine-tuned"] >= 84
    assert found["fine-tuned"] > found["TF-IDF + logistic regression"]
    assert found["frozen features"] > found["same network, random weights"] + 10
    assert found["majority class"] == 50


def test_table_gives_a_paired_interval_for_frozen_and_tfidf(executed):
    for name in ROWS[1:3]:
        said = [line for line in executed.table.splitlines() if f" {name}" in line]
        assert [line for line in said if "points" in line], name


def test_no_cell_raises_and_every_output_has_plain_text(book):
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert not [o for o in outputs if o.output_type == "error"]
    shown = [o for o in outputs if o.output_type in ("display_data", "execute_result")]
    assert shown
    assert not [o for o in shown if "text/plain" not in o.data]


def test_notebook_holds_no_widget_and_at_most_200_kb_a_run(book):
    text = json.dumps(book)
    assert "application/vnd.jupyter.widget" not in text
    trained = [cell for cell in book.cells if re.search(r"= %finetune", cell.source)]
    assert len(trained) == 3
    assert all(len(json.dumps(cell)) < 200_000 for cell in trained)


def test_every_run_shows_its_two_figures_once(book):
    for cell in book.cells:
        if "= %finetune" in cell.source:
            figures = [o for o in cell.outputs if "image/png" in o.get("data", {})]
            assert len(figures) == 2
            assert all("application/vnd.plotly.v1+json" in o.data for o in figures)


def test_page_reads_without_scripts(executed):
    page = executed.page.read_text("utf-8")
    body = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "TF-IDF + logistic regression" in body
    assert body.count("data:image/png;base64,") >= 6


def test_map_and_numbers_show_that_the_classes_moved_apart_and_where(book):
    (drawn,) = [cell for cell in book.cells if cell.id == "inside"]
    assert [sorted(o.data)[1:] for o in drawn.outputs] == [["image/png", "text/plain"]]
    (cell,) = [cell for cell in book.cells if cell.id == "inside-numbers"]
    number = r"(-?\d+\.\d+)(?: %)?"
    rows = re.findall(rf"^(\S.*?)\s+{number}\s+{number}$", cell.outputs[0].text, re.MULTILINE)
    numbers = {name: (float(before), float(after)) for name, before, after in rows}
    before, after = numbers["silhouette"]
    assert after > before + 0.3
    before, after = numbers["probe on layer 6"]
    assert after > before + 2
    assert after > numbers["probe on the embeddings"][1] + 4
