"""`%evaluate`: measure a run's model and show its report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtransfer import api
from nbtransfer.errors import SpecError
from nbtransfer.magics.arguments import Arguments, parse
from nbtransfer.magics.help_text import help_text
from nbtransfer.magics.names import (
    Named,
    Names,
    find_run,
    near_run,
    newest_finished,
    require_run,
    resolve_data,
)
from nbtransfer.magics.say import say
from nbtransfer.settings import resolve_runs_dir
from nbtransfer.spec import ROLES

if TYPE_CHECKING:
    from nbtransfer.runs.forgetting import Forgetting
    from nbtransfer.runs.report import Report
    from nbtransfer.runs.representations import EmbeddingMap
    from nbtransfer.runs.run import Run


def evaluate(
    line: str, cell: str | None, names: Names
) -> Report | EmbeddingMap | Forgetting | None:
    """Do what the line asks and return the report, the map of embeddings or what was forgotten."""
    asked = parse("evaluate", line, cell)
    if asked.get("help"):
        say(help_text("evaluate"))
        return None
    run, data = _run_and_data(asked, names)
    if asked.get("embeddings"):
        return _embeddings(run, data, asked)
    if asked.get("forgetting"):
        return _forgetting(run, data, asked)
    report = api.evaluate(run, data.value, data_name=data.name, **_rows_asked(asked))
    from nbtransfer.panels.report_panel import show_report

    show_report(report)
    return report


def _rows_asked(asked: Arguments) -> dict[str, Any]:
    """Return which rows are asked for: the split, and the column of each role."""
    return {name: asked.get(name) for name in ("split", *ROLES)}


def _embeddings(run: Run, data: Named, asked: Arguments) -> EmbeddingMap:
    found = api.embeddings(run, data.value, data_name=data.name, **_rows_asked(asked))
    from nbtransfer.panels.embedding_view import show_embeddings

    show_embeddings(found)
    return found


def _forgetting(run: Run, data: Named, asked: Arguments) -> Forgetting:
    spare = [asked.typed[name] for name in ("split", *ROLES) if asked.get(name)]
    if data.value is not None or spare:
        what = " and ".join(["DATA"] * (data.value is not None) + spare)
        raise SpecError(f"--forgetting asks about texts of its own: leave out {what}.")
    found = api.forgetting(run)
    from nbtransfer.panels.forgetting_view import show_forgetting

    show_forgetting(found)
    return found


def _run_and_data(asked: Arguments, names: Names) -> tuple[Run, Named]:
    runs_dir = resolve_runs_dir(asked.get("runs_dir"))
    words = list(asked.words)
    run = find_run(words[0], names, runs_dir) if words else None
    if run is not None:
        words.pop(0)
    elif len(words) == 2 or (words and near_run(words[0].text, names, runs_dir)):
        run = require_run(words.pop(0), names, runs_dir)
    # What is typed is looked up before a run is guessed, so that the message is about the word.
    data = resolve_data(words[0], names) if words else Named(None)
    if data.value is None and (columns := [role for role in ROLES if asked.get(role)]):
        typed = " and ".join(asked.typed[name] for name in columns)
        raise SpecError(f"{typed} name columns of DATA, and none is given: %evaluate RUN DATA")
    if run is None:
        run = newest_finished(runs_dir)
        say(f"{run.id}, the newest finished run")
    return run, data
