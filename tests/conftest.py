"""What every test gets: a runs folder, the options as they were, no network in unit tests."""

from __future__ import annotations

import dataclasses
import socket
from typing import TYPE_CHECKING

import pytest

from nbtransfer.settings import options

if TYPE_CHECKING:
    from pathlib import Path

NEEDS_SOCKETS = ("browser", "notebook", "environment", "slow", "benchmark", "hub")


def pytest_addoption(parser):
    parser.addoption(
        "--build-environments",
        action="store_true",
        help="environment tests build the environments whole (minutes, gigabytes)",
    )
    parser.addoption(
        "--update-pictures",
        action="store_true",
        help="browser tests put their picture of the live panel into notebooks/images",
    )


ONLY_WHEN_ASKED = {
    "benchmark": "beside other tests they would measure these",
    "hub": "they download a gigabyte of models",
}


def pytest_itemcollected(item):
    """Leave out what runs only when asked for by its mark."""
    for mark, reason in ONLY_WHEN_ASKED.items():
        if item.get_closest_marker(mark) and mark not in item.config.option.markexpr:
            item.add_marker(pytest.mark.skip(reason=f"not run: {reason} (pytest -m {mark})"))


def pytest_terminal_summary(terminalreporter):
    """Say what each notebook took. It comes in a report: under xdist nothing else does."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "teardown":
                said = [value for name, value in report.user_properties if name == "notebook"]
                terminalreporter.write("".join(f"{line}\n" for line in said))


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """An empty runs folder."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def own_runs_dir(tmp_path, monkeypatch):
    """A test that names no runs folder must not leave runs in the working tree."""
    monkeypatch.setenv("NBTRANSFER_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True)
def options_as_they_were():
    """Put `nbtransfer.options` back after each test."""
    before = dataclasses.asdict(options)
    yield
    for name, value in before.items():
        setattr(options, name, value)


@pytest.fixture(autouse=True)
def no_network(request, monkeypatch):
    """Fail a unit test that reaches for the network, rather than pass on some machines only."""
    if any(request.node.get_closest_marker(name) for name in NEEDS_SOCKETS):
        return

    def refuse(self, address):
        if self.family == getattr(socket, "AF_UNIX", None):
            return connect(self, address)
        raise AssertionError(f"a unit test opened a connection to {address!r}")

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def one_thread():
    """Tiny products on two threads wait for each other more than they compute."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
