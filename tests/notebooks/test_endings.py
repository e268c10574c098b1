"""After any ending the notebook is valid, small, and says in plain text what to type next (R20)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook

from tests.engine.jobs import make_run, start, work, work_until_killed, write_mini_model

pytestmark = [pytest.mark.slow, pytest.mark.notebook]

_LIMIT_BYTES = 200_000
_NEXT = {
    "done": "%evaluate done",
    "stopped": "%evaluate stopped",
    "failed": "%finetune --resume failed",
    "lost": "%finetune --resume lost",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_mini_model(tmp_path_factory.mktemp("mini-model"))


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory, model):
    """A folder with a run of each ending, named by it."""
    folder = tmp_path_factory.mktemp("runs")
    runs = {name: make_run(folder, name=name, model=model, num_rows=40) for name in _NEXT}
    runs["stopped"].stop()
    assert work(str(runs["done"].dir)) and work(str(runs["stopped"].dir))
    runs["failed"].paths.split("train").write_bytes(b"no parquet")
    assert not work(str(runs["failed"].dir))
    start(runs["lost"], work_until_killed, 5).join()
    ended = [run.status for run in runs.values()]
    assert ended == ["completed", "stopped", "failed", "lost"]
    return folder


@pytest.fixture(autouse=True)
def environment(monkeypatch, runs_dir):
    monkeypatch.setenv("NBTRANSFER_RUNS_DIR", str(runs_dir))
    here = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))


def _book(*cells):
    return new_notebook(
        cells=[new_code_cell(source) for source in ("%load_ext nbtransfer", *cells)]
    )


def _text(cell):
    """What of a cell's outputs is plain text."""
    said = [o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell["outputs"]]
    return "\n".join(said)


def _assert_static(book):
    nbformat.validate(book)
    assert "widgets" not in book["metadata"]
    whole = json.dumps(book)
    assert "application/vnd.jupyter.widget" not in whole
    for cell in book["cells"]:
        assert len(json.dumps(cell)) < _LIMIT_BYTES
    html, _ = HTMLExporter().from_notebook_node(nbformat.from_dict(book))
    return html


def test_the_record_of_every_ending_is_static_and_says_what_to_type_next(tmp_path):
    book = _book(*(f"run = %finetune --attach {name}" for name in _NEXT), "%runs")
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    html = _assert_static(book)
    for cell, (name, wanted) in zip(book["cells"][1:], _NEXT.items(), strict=False):
        assert wanted in _text(cell), _text(cell)
        assert name in html
    table = _text(book["cells"][-1])
    for status in ("completed", "stopped", "failed", "lost"):
        assert status in table


_LIVE = """
import os, signal, threading, time
from nbtransfer.runs import launch
from nbtransfer.runs.process import read_process
from nbtransfer.runs.run import Run
launch._WORKER_MODULE = "tests.faults.forking_worker"
rows = [{{"text": f"a {{w}} film", "label": w}} for w in ("warm", "dull")] * 20

def after_steps(name, act):
    run = Run(os.path.join({runs_dir!r}, name))

    def watch():
        while run.state().step < 3:
            time.sleep(0.01)
        act(run)

    threading.Thread(target=watch, daemon=True).start()
"""
_RUN = "run = %finetune {model} rows --epochs 900 --eval-steps 8 --name {name}"
_INTERRUPT = "after_steps('interrupted', lambda run: os.kill(os.getpid(), signal.SIGINT))\n"
_KILL = (
    "after_steps('worker-killed', lambda run: os.kill(read_process(run.paths.process)['pid'], 9))\n"
)


def test_a_cell_that_runs_to_a_bad_end_leaves_a_static_record(tmp_path, model):
    """Interrupted, failed, diverged and lost while the cell waits, in one notebook."""
    runs_dir = tmp_path / "runs"
    runs_dir.mkdir()
    (runs_dir / "cuda.faults").write_text("step.forward:12:cuda")
    (runs_dir / "diverged.faults").write_text("nan")
    cells = {
        "interrupted": (_INTERRUPT, ["Stopped by an interrupt", "%evaluate interrupted"]),
        "cuda": ("", ["CUDA error", "%finetune --resume cuda"]),
        "diverged": ("", ["step 3", "%finetune --resume diverged"]),
        "worker-killed": (_KILL, ["worker is gone", "%finetune --resume worker-killed"]),
    }
    before = {name: cell + _RUN.format(model=model, name=name) for name, (cell, _) in cells.items()}
    book = _book(_LIVE.format(runs_dir=str(runs_dir)), *before.values(), "%runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBTRANSFER_RUNS_DIR", str(runs_dir))
        NotebookClient(
            book, timeout=300, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
        ).execute()
    _assert_static(book)
    assert len(json.dumps(book)) < _LIMIT_BYTES
    for cell, (name, (_, wanted)) in zip(book["cells"][2:], cells.items(), strict=False):
        for words in wanted:
            assert words in _text(cell), _text(cell)
        errors = [o["ename"] for o in cell["outputs"] if o["output_type"] == "error"]
        assert errors == ([] if name == "interrupted" else ["RunError"]), errors


def test_under_papermill_a_run_leaves_a_static_record(tmp_path, model):
    papermill = pytest.importorskip("papermill")
    rows = "rows = [{'text': f'a {w} film', 'label': w} for w in ('warm', 'dull')] * 20"
    line = f"run = %finetune {model} rows --epochs 1 --name milled"
    nbformat.write(_book(rows, line, "print(run.status)"), tmp_path / "in.ipynb")
    papermill.execute_notebook(
        str(tmp_path / "in.ipynb"),
        str(tmp_path / "out.ipynb"),
        cwd=str(tmp_path),
        kernel_name="python3",
        progress_bar=False,
    )
    book = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    _assert_static(book)
    assert "%evaluate milled" in _text(book["cells"][2])
    assert _text(book["cells"][3]) == "completed\n"
