from types import SimpleNamespace

import pytest

from nbtransfer.panels import cell_output
from nbtransfer.panels.cell_output import CellOutput

CELL = {"msg_id": "the cell's request"}
CLICK = {"msg_id": "the click"}


def in_kernel(monkeypatch, publisher):
    shell = SimpleNamespace(display_pub=publisher)
    monkeypatch.setattr(cell_output, "get_ipython", lambda: shell)


def test_outputs_of_a_callback_belong_to_the_cell_and_afterwards_to_the_click(monkeypatch):
    publisher = SimpleNamespace(parent_header=CELL)  # ipykernel 6
    in_kernel(monkeypatch, publisher)
    cell = CellOutput()
    publisher.parent_header = CLICK
    with pytest.raises(ValueError), cell.shown_here():
        assert publisher.parent_header == CELL
        raise ValueError
    assert publisher.parent_header == CLICK


def test_where_threads_have_their_own_parent_only_theirs_is_set(monkeypatch):
    calls = []

    class Publisher:  # ipykernel 7
        parent_header = CELL

        def set_thread_parent(self, parent):
            calls.append(parent["header"])
            return "token"

        def reset_thread_parent(self, token):
            calls.append(token)

    in_kernel(monkeypatch, Publisher())
    with CellOutput().shown_here():
        assert calls == [CELL]
    assert calls == [CELL, "token"]


def test_outside_a_kernel_nothing_happens(monkeypatch):
    monkeypatch.setattr(cell_output, "get_ipython", lambda: None)
    with CellOutput().shown_here():
        pass
