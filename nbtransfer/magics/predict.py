"""`%predict`: ask a run's model for the class of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtransfer import api
from nbtransfer.errors import DataError
from nbtransfer.magics.arguments import Arguments, parse
from nbtransfer.magics.help_text import help_text
from nbtransfer.magics.names import Names, find_run, near_run, newest_finished, require_run
from nbtransfer.magics.questions import check_run_answers, is_asked, read_questions
from nbtransfer.magics.say import say
from nbtransfer.magics.texts import read_texts
from nbtransfer.settings import resolve_runs_dir

if TYPE_CHECKING:
    from nbtransfer.magics.words import Word
    from nbtransfer.runs.run import Run


class Predictions(list[Any]):
    """A list of predictions whose own display is one line: the table was shown already."""

    def _repr_pretty_(self, printer: object, cycle: bool) -> None:
        count = f"{len(self)} prediction{'' if len(self) == 1 else 's'}"
        printer.text(f"{count} in a list; keep it: found = %predict ...")  # type: ignore[attr-defined]


def predict(line: str, cell: str | None, names: Names) -> Predictions | None:
    """Do what the line asks and return the predictions."""
    asked = parse("predict", line, cell)
    if asked.get("help"):
        say(help_text("predict"))
        return None
    run, words = _run_and_words(asked, names)
    check_run_answers(run, asked)
    if run.data_card.task == "question-answering":
        questions = read_questions(words, asked, names, run)
        answers = Predictions(api.predict(run, questions))
        from nbtransfer.panels.answer_view import show_answers

        show_answers(questions, answers)
        return answers
    texts = read_texts(words, names, column=asked.get("column"), run=run)
    found = Predictions(api.predict(run, texts))
    from nbtransfer.panels.prediction_view import show_predictions

    show_predictions(texts, found)
    return found


def _run_and_words(asked: Arguments, names: Names) -> tuple[Run, list[Word]]:
    runs_dir = resolve_runs_dir(asked.get("runs_dir"))
    words = list(asked.words)
    run = find_run(words[0], names, runs_dir) if words and not words[0].is_quoted else None
    if run is not None:
        words.pop(0)
    elif len(words) > 1 and words[1].is_quoted and _is_mistyped(words[0], names, runs_dir):
        run = require_run(words.pop(0), names, runs_dir)
    if not words and not is_asked(asked):
        raise DataError('no text is given. Write it in quotes: %predict "not a dull minute"')
    if run is None:
        run = newest_finished(runs_dir)
        say(f"{run.id}, the newest finished run")
    return run, words


def _is_mistyped(word: Word, names: Names, runs_dir: object) -> bool:
    """Return whether an unquoted word before a quoted text is a run that is spelled wrong."""
    is_variable = word.text.partition(".")[0] in names
    return not word.is_quoted and not is_variable and (
        near_run(word.text, names, resolve_runs_dir(str(runs_dir))) is not None
    )  # fmt: skip
