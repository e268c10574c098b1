"""Running a notebook without a front end: progress, files written, what a failing cell leaves."""

from __future__ import annotations

import io
import json

import nbformat
import pytest

from nbtransfer import headless
from nbtransfer.errors import MissingPackageError
from nbtransfer.headless import CellFailedError, check_packages, execute, find_notebook


def test_quickstart_is_found_beside_the_package_of_an_editable_install():
    assert find_notebook().name == "01_quickstart.ipynb"
    assert nbformat.read(find_notebook(), as_version=4).cells


def test_notebook_that_is_nowhere_is_said_to_be_missing():
    with pytest.raises(headless.NbTransferError, match="Install nbtransfer anew"):
        find_notebook("99_none.ipynb")


def test_first_missing_package_is_named_with_the_extra_that_has_it(monkeypatch):
    monkeypatch.setattr(headless.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r'pip install "nbtransfer\[demo\]"'):
        check_packages()


def write_notebook(path, *cells):
    book = nbformat.v4.new_notebook(cells=list(cells))
    nbformat.write(book, path)
    return path


def code(source, *tags):
    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)})


# A run folder as a worker would leave it, written by the notebook itself.
MAKE_RUN = """
import json, os, pathlib, time
folder = pathlib.Path(os.environ["NBTRANSFER_RUNS_DIR"]) / "brave-owl-0001"
folder.mkdir(parents=True)
ended = {"v": 1, "seq": 0, "time": 1.0, "type": "run_completed", "step": 2, "reason": "finished",
         "train_runtime_s": 3.0}
(folder / "events.jsonl").write_text(json.dumps(ended) + "\\n")
(folder / "spec.json").write_text(json.dumps({"model": "m", "data": "d", "v": 1}))
time.sleep(1)
"""


@pytest.mark.notebook
def test_notebook_is_run_written_twice_and_its_marked_table_returned(tmp_path):
    source = write_notebook(
        tmp_path / "small.ipynb",
        nbformat.v4.new_markdown_cell("# Title"),
        code("# a comment\nx = 20"),
        code("'named ' + str(x + 1)", "comparison"),
        code("import os\nprint(os.getcwd())"),
    )
    out = io.StringIO()
    done = execute(source, tmp_path / "out", out)
    assert done.table == "'named 21'"
    assert done.duration_s > 0
    book = json.loads(done.notebook.read_text())
    assert book["cells"][3]["outputs"][0]["text"] == [f"{tmp_path / 'out'}\n"]
    assert "named 21" in done.page.read_text() and "<html" in done.page.read_text()
    assert [line[:5] for line in out.getvalue().splitlines()] == ["[1/3]", "[2/3]", "[3/3]"]
    assert out.getvalue().splitlines()[0].endswith("Title")
    assert nbformat.read(source, as_version=4).cells[1].outputs == []


@pytest.mark.notebook
def test_runs_of_the_notebook_are_told_while_it_works(tmp_path):
    source = write_notebook(tmp_path / "run.ipynb", code(MAKE_RUN), code("print('after')"))
    out = io.StringIO()
    execute(source, tmp_path / "out", out)
    lines = out.getvalue().splitlines()
    told = [i for i, line in enumerate(lines) if "Run brave-owl-0001: completed" in line]
    assert len(told) == 1 and told[0] < next(i for i, line in enumerate(lines) if "[2/2]" in line)


@pytest.mark.notebook
def test_failing_cell_is_named_and_the_notebook_up_to_it_is_written(tmp_path):
    source = write_notebook(tmp_path / "bad.ipynb", code("print('kept')"), code("1 / 0"))
    with pytest.raises(CellFailedError, match="ZeroDivisionError: division by zero"):
        execute(source, tmp_path / "out", io.StringIO())
    written = json.loads((tmp_path / "out" / "bad.ipynb").read_text())
    assert written["cells"][0]["outputs"][0]["text"] == ["kept\n"]
    assert written["cells"][1]["outputs"][0]["ename"] == "ZeroDivisionError"
