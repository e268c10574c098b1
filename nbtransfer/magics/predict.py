"""`%predict`: ask a run's model about texts, rows of tables and files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nbtransfer import api
from nbtransfer.errors import DataError
from nbtransfer.magics.arguments import Arguments, parse
from nbtransfer.magics.help_text import help_text
from nbtransfer.magics.names import Names, find_run, near_run, newest_finished, require_run
from nbtransfer.magics.questions import check_run_answers, is_asked
from nbtransfer.magics.say import say
from nbtransfer.magics.texts import read_inputs
from nbtransfer.settings import resolve_runs_dir

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.magics.words import Word
    from nbtransfer.runs.run import Run


class Predictions(list[Any]):
    """A list of predictions whose own display is one line: the table was shown already."""

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        count = f"{len(self)} prediction{'' if len(self) == 1 else 's'}"
        printer.text(f"{count} in a list; keep it: found = %predict ...")  # type: ignore[attr-defined]


def predict(line: str, cell: str | None, names: Names) -> Predictions | Path | None:
    """Do what the line asks and return the predictions, or the file that holds them."""
    asked = parse("predict", line, cell)
    if asked.get("help"):
        say(help_text("predict"))
        return None
    run, words = _run_and_words(asked, names)
    check_run_answers(run, asked)
    given = read_inputs(words, asked, names, run)
    if given.said:
        say(given.said)
    if output := asked.get("output"):
        path: Path = api.predict(run, given, output=str(output))
        return path
    from nbtransfer.panels.prediction_view import MAX_ROWS, show_predictions

    shown = given.first(MAX_ROWS)
    found = Predictions(api.predict(run, given))
    show_predictions(shown, found)
    return found


def _run_and_words(asked: Arguments, names: Names) -> tuple[Run, list[Word]]:
    runs_dir = resolve_runs_dir(asked.get("runs_dir"))
    words = list(asked.words)
    run = find_run(words[0], names, runs_dir) if words and not words[0].is_quoted else None
    if run is not None:
        words.pop(0)
    elif len(words) > 1 and _is_mistyped(words[0], words[1], names, runs_dir):
        run = require_run(words.pop(0), names, runs_dir)
    if not words and not is_asked(asked):
        raise DataError('no text is given. Write it in quotes: %predict "not a dull minute"')
    if run is None:
        run = newest_finished(runs_dir)
        say(f"{run.id}, the newest finished run")
    return run, words


def _is_mistyped(word: Word, after: Word, names: Names, runs_dir: Path) -> bool:
    """Return whether an unquoted word before a text or a file can only be meant as a run."""
    from nbtransfer.data.inputs import names_data

    if word.is_quoted or word.text.partition(".")[0] in names:
        return False
    if names_data(after.text) or os.sep in word.text:
        return not names_data(word.text)
    return after.is_quoted and near_run(word.text, names, runs_dir) is not None
