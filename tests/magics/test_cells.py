"""The magics in a real kernel, as nbclient runs a notebook."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

pytestmark = pytest.mark.notebook


def execute(*cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    client = NotebookClient(notebook, timeout=120, kernel_name="python3")
    try:
        client.execute()
    except CellExecutionError as error:
        return notebook, error
    return notebook, None


def test_a_mistake_fails_the_cell_with_one_line():
    notebook, error = execute("%load_ext nbtransfer", "%finetune demo:minilm dff --epochs 2")
    assert error is not None
    (output,) = notebook.cells[1].outputs
    assert output.output_type == "error"
    assert output.ename == "DataError"
    assert output.traceback == [f"DataError: {output.evalue}"]
    assert output.evalue.startswith("no variable or file named 'dff'.")


def test_a_bug_keeps_its_traceback():
    notebook, error = execute(
        "%load_ext nbtransfer",
        "import nbtransfer.api\nnbtransfer.api.list_runs = lambda **_: 1 / 0",
        "%runs",
    )
    assert error is not None
    (output,) = notebook.cells[2].outputs
    assert output.ename == "ZeroDivisionError" and len(output.traceback) > 3


def test_help_and_code_are_outputs_that_read_as_text():
    notebook, error = execute(
        "%load_ext nbtransfer",
        "%finetune --help",
        "%%finetune demo:minilm demo:tweets\n# twice over\n--epochs 2\n--as-code",
    )
    assert error is None
    (help_output,), (code,) = (cell.outputs for cell in notebook.cells[1:])
    assert "--epochs NUMBER" in help_output.data["text/plain"]
    assert "num_train_epochs=2" in code.data["text/plain"]
    assert "widgets" not in notebook.metadata
