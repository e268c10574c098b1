"""An IPython shell with the magics loaded, and a way to run cells in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from nbtransfer.magics import extension


class Ran(NamedTuple):
    """What a cell did: its value, its error, what it showed in words, what it printed, and all."""

    value: Any
    error: BaseException | None
    shown: str
    printed: str
    outputs: list[Any]


class Cells:
    """Runs cells in one shell, as a notebook does."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.names = shell.user_ns

    def run(self, cell: str) -> Ran:
        with capture_output() as captured:
            result = self.shell.run_cell(cell)
        shown = "\n".join(o.data.get("text/plain", "") for o in captured.outputs)
        error = result.error_before_exec or result.error_in_exec
        printed = captured.stdout + captured.stderr
        return Ran(result.result, error, shown, printed, captured.outputs)

    def ok(self, cell: str) -> Ran:
        ran = self.run(cell)
        assert ran.error is None, ran.printed
        return ran

    def complete(self, text: str, cursor: int | None = None) -> list[str]:
        """What the whole text would be with each completion put in."""
        from IPython.core.completer import provisionalcompleter

        cursor = len(text) if cursor is None else cursor
        with provisionalcompleter():
            found = list(self.shell.Completer.completions(text, cursor))
        return [text[: c.start] + c.text for c in found]


@pytest.fixture(scope="session")
def bare_shell():
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def cells(bare_shell, tmp_path, monkeypatch):
    """A shell with the magics loaded and an empty namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    before = dict(bare_shell.user_ns)
    extension.load(bare_shell)
    yield Cells(bare_shell)
    extension.unload(bare_shell)
    for name in set(bare_shell.user_ns) - set(before):
        del bare_shell.user_ns[name]


@pytest.fixture
def rows():
    """Rows with a text and a label, as a list of dicts."""
    return [
        {"review": f"film {i}", "sentiment": "good" if i % 2 else "bad", "stars": i % 5}
        for i in range(20)
    ]


@pytest.fixture
def runs_dir(tmp_path):
    """The folder that the session's runs are kept in."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder
