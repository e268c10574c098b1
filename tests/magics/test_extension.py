import gc
import weakref

import pytest

import nbtransfer
from nbtransfer.errors import DataError
from nbtransfer.magics import extension
from nbtransfer.magics.table import MAGICS
from nbtransfer.settings import options


def test_magics_are_listed_with_their_help(cells):
    listed = cells.shell.magics_manager.lsmagic()
    for magic in MAGICS:
        assert listed["line"][magic.name].__doc__ == magic.help
    assert set(listed["cell"]) & {m.name for m in MAGICS} == {"finetune", "pretrain"}
    assert "%finetune" in repr(cells.ok("%lsmagic").value)


def test_a_question_mark_shows_the_help(cells):
    info = cells.shell.object_inspect("%finetune")
    assert info["found"]
    assert info["docstring"].startswith("%finetune demo:minilm df")


def test_tab_completes_a_magic_name(cells):
    assert "%finetune" in cells.complete("%finet")


def test_load_and_unload_leave_the_shell_as_it_was(bare_shell):
    def things():
        magics = bare_shell.magics_manager.magics
        return (
            {kind: set(found) for kind, found in magics.items()},
            list(bare_shell.Completer.custom_matchers),
            list(map(id, bare_shell.configurables)),
        )

    before = things()
    nbtransfer.load_ipython_extension(bare_shell)
    nbtransfer.load_ipython_extension(bare_shell)  # %reload_ext
    assert things() != before
    nbtransfer.unload_ipython_extension(bare_shell)
    assert things() == before
    nbtransfer.unload_ipython_extension(bare_shell)


def test_a_mistake_is_one_line_without_traceback_and_fails_the_cell(cells):
    ran = cells.run("%finetune demo:minilm dff")
    assert isinstance(ran.error, DataError)
    assert ran.printed.strip().startswith("DataError: no variable or file named 'dff'.")
    assert "Traceback" not in ran.printed and len(ran.printed.strip().splitlines()) == 1


def test_the_option_brings_the_traceback_back(cells):
    options.show_traceback = True
    ran = cells.run("%finetune demo:minilm dff")
    assert "Traceback" in ran.printed and "DataError: no variable" in ran.printed


def test_a_bug_keeps_its_traceback(cells, monkeypatch):
    monkeypatch.setattr("nbtransfer.api.list_runs", lambda **_: 1 / 0)
    ran = cells.run("%runs")
    assert isinstance(ran.error, ZeroDivisionError)
    assert "Traceback" in ran.printed and "list_runs" in ran.printed


def test_an_interrupt_is_one_line_and_fails_the_cell(cells, monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nbtransfer.api.list_runs", interrupted)
    ran = cells.run("%runs")
    assert isinstance(ran.error, KeyboardInterrupt)
    assert ran.printed.strip() == "KeyboardInterrupt: %runs was interrupted."


class Rows(list):
    """A list that can be watched."""


@pytest.mark.parametrize("keeps", [False, True])
def test_rows_of_a_failed_cell_are_let_go(cells, monkeypatch, keeps):
    options.show_traceback = keeps
    watched = []

    def prepare_job(*_, **__):
        rows = Rows([{"text": "a"}])
        watched.append(weakref.ref(rows))
        raise DataError("not these rows")

    monkeypatch.setattr("nbtransfer.api.prepare_job", prepare_job)
    monkeypatch.setattr("nbtransfer.runs.launch.warm_up", lambda: None)
    error = cells.run("%finetune demo:minilm demo:tweets").error
    gc.collect()
    assert isinstance(error, DataError)
    assert (watched[0]() is None) is not keeps


def test_braces_and_dollars_reach_the_magic_as_typed(cells, monkeypatch):
    lines = []
    monkeypatch.setattr("nbtransfer.magics.runs.runs", lambda line, cell, names: lines.append(line))
    cells.names["x"] = "changed"
    cells.ok("%runs show {x} $x")
    assert lines == ["show {x} $x"]


def test_names_of_a_function_are_seen(cells, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        "nbtransfer.magics.runs.runs", lambda line, cell, names: seen.update(inner=names["inner"])
    )
    cells.ok("def f():\n    inner = 7\n    %runs\nf()")
    assert seen == {"inner": 7}
    assert extension.MAGICS is MAGICS
