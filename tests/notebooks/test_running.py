"""What a notebook takes of the processors is counted, in its workers too, and has a limit."""

from __future__ import annotations

import nbformat
import pytest

from tests.notebooks import running

pytestmark = pytest.mark.notebook

# A process in a session of its own, as the worker is: it works for two seconds, and lives on.
WORKING = '''
import subprocess, sys

work = """import sys, time
while time.process_time() < 2:
    pass
print(flush=True)
sys.stdin.read()"""
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
worker = subprocess.Popen([sys.executable, "-c", work], **pipes, start_new_session=True)
worker.stdout.readline()
'''
ENDED = "worker.communicate()"


@pytest.mark.parametrize("cells", [(WORKING,), (WORKING, ENDED)], ids=["it lives", "it has ended"])
def test_a_notebook_fails_whose_worker_takes_longer_than_a_notebook_may(
    tmp_path, monkeypatch, cells
):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(book, tmp_path / "busy.ipynb")
    monkeypatch.setattr(running, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(running, "MOST_PROCESSOR_S", 2)
    monkeypatch.setattr(running, "taken", [])
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(AssertionError, match=r"busy: \d+ s, \d+ processor seconds"):
        running.run_whole("busy", folder)
