"""Resolves the words of a line in the user's namespace: bare names only, nothing is evaluated."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.errors import DataError, ModelError, RunError, nearest, quoted

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.magics.words import Word
    from nbtransfer.runs.run import Run

Names = Mapping[str, object]

_LIKE_A_FRAME = re.compile(
    r"_?(df|frame|data|dataset|train|test|texts?|rows)(_?\w*)?|\w*(df|frame)"
)
_CODE = re.compile(r"([A-Za-z_]\w*)\s*[.(\[]")
_MAX_LISTED = 8


class Named(NamedTuple):
    """What a word stands for; `name` is the variable's name, None where the word is a reference."""

    value: object
    name: str | None = None


def resolve_data(word: Word, names: Names) -> Named:
    """Return the variable that `word` names, or the word as a file, demo or hub id.

    Raises:
        DataError: if it looks like a variable and is none, is code, or names what is no data.
    """
    text = word.text
    if word.is_quoted or text.startswith("demo:"):
        return Named(text)
    if not text.isidentifier():
        _refuse_code(text, names)
        return Named(text)
    if text in names:
        value = names[text]
        if isinstance(value, (str, os.PathLike)):
            return Named(os.fspath(value))
        if _may_be_data(value):
            return Named(value, text)
        raise DataError(
            f"{text} is {_article(type(value).__name__)}, which cannot be read as data. "
            f"{_listing(names)}"
        )
    if not _exists(text):
        from nbtransfer.data.demo import DEMO_DATA

        if text in DEMO_DATA:
            raise DataError(f"no data named {quoted(text)}. Did you mean demo:{text}?")
        close = nearest(text, data_names(names))
        if close or _LIKE_A_FRAME.fullmatch(text):
            hint = f" Did you mean {close}?" if close else ""
            raise DataError(f"no variable or file named {quoted(text)}. {_listing(names)}{hint}")
    return Named(text)


def resolve_model(word: Word, names: Names, runs_dir: Path | None = None) -> Named:
    """Return the variable that `word` names, or the word as a demo, folder, run or hub id.

    Raises:
        ModelError: if it names what is no model, or is code.
    """
    from nbtransfer.runs.run import Run

    text = word.text
    if word.is_quoted or not text.isidentifier() or text not in names:
        close = nearest(text, model_names(names)) if text.isidentifier() else None
        if close and not word.is_quoted and not _exists(text):
            raise ModelError(
                f"no variable, folder or run named {quoted(text)}. Did you mean {close}?"
            )
        return Named(text)
    value = names[text]
    if isinstance(value, (str, os.PathLike)):
        return Named(os.fspath(value))
    if isinstance(value, Run):
        return Named(value.id if value.dir.parent == runs_dir else str(value.dir))
    from nbtransfer.models.in_memory import is_model

    if is_model(value):
        return Named(value, text)
    found = ", ".join(model_names(names)) or "none"
    raise ModelError(
        f"{text} is {_article(type(value).__name__)}, not a model. Models in this notebook: "
        f"{found}. Or give demo:minilm, a folder, a run or a hub id."
    )


def find_run(word: Word, names: Names, runs_dir: Path) -> Run | None:
    """Return the run that `word` names: a variable, else a run's name or folder; None if none.

    Raises:
        RunError: if the word names a model's folder that cannot be asked.
    """
    from nbtransfer.runs.run import Run
    from nbtransfer.runs.store import is_model_dir, open_run

    value: object = word.text
    if not word.is_quoted and word.text.isidentifier() and word.text in names:
        value = names[word.text]
        if isinstance(value, Run):
            return value
    if not isinstance(value, (str, os.PathLike)) or len(os.fspath(value)) > 1000:
        return None
    try:
        return open_run(os.fspath(value), runs_dir)
    except RunError:
        if is_model_dir(os.fspath(value)):
            raise
        return None
    except (OSError, ValueError):
        return None


def require_run(word: Word, names: Names, runs_dir: Path) -> Run:
    """Return the run that `word` names.

    Raises:
        RunError: if there is none; it lists those there are.
    """
    run = find_run(word, names, runs_dir)
    if run is not None:
        return run
    if word.text in names and word.text.isidentifier() and not word.is_quoted:
        kind = _article(type(names[word.text]).__name__)
        raise RunError(f"{word.text} is {kind}, not a run. {_runs_listing(names, runs_dir)}")
    close = near_run(word.text, names, runs_dir)
    hint = f" Did you mean {close}?" if close else ""
    raise RunError(f"no run {quoted(word.text)}. {_runs_listing(names, runs_dir)}{hint}")


def near_run(text: str, names: Names, runs_dir: Path) -> str | None:
    """Return the run's name, or the variable with a run, that is spelled most like `text`."""
    return nearest(text, run_names(names, runs_dir))


def newest_finished(runs_dir: Path) -> Run:
    """Return the newest run that left a model.

    Raises:
        RunError: if there is none.
    """
    from nbtransfer.runs.store import list_runs

    for run in list_runs(runs_dir):
        if run.status in ("completed", "stopped"):
            return run
    raise RunError(
        f"no finished run in {quoted(str(runs_dir))} yet. Start one: %finetune MODEL DATA"
    )


def data_names(names: Names) -> dict[str, str]:
    """Return the variables that can be trained on, the newest first, with their sizes in words."""
    from nbtransfer.panels.setup_choices import describe_data

    return _described(names, describe_data)


def model_names(names: Names) -> dict[str, str]:
    """Return the variables that hold a model, the newest first."""
    from nbtransfer.panels.setup_choices import describe_model

    return _described(names, describe_model)


def run_names(names: Names, runs_dir: Path) -> list[str]:
    """Return the variables that hold a run, then the names of the runs in the folder."""
    from nbtransfer.runs.run import Run
    from nbtransfer.runs.store import list_runs

    variables = [k for k, v in _public(names) if isinstance(v, Run)]
    return [*variables, *(run.id for run in list_runs(runs_dir))]


def _described(names: Names, describe: Any) -> dict[str, str]:  # noqa: ANN401 -- a function
    found = {}
    for name, value in _public(names):
        words = describe(value)
        if words is not None:
            found[name] = words
    return found


def _public(names: Names) -> list[tuple[str, object]]:
    """Return the user's own variables, the newest first."""
    return [(k, names[k]) for k in reversed(list(names)) if not k.startswith("_")]


def _may_be_data(value: object) -> bool:
    packages = {c.__module__.partition(".")[0] for c in type(value).__mro__}
    known = packages & {"pandas", "datasets", "pyarrow", "polars"}
    return bool(known) or isinstance(value, (Mapping, list, tuple)) or (
        hasattr(value, "__arrow_c_stream__")
    )  # fmt: skip


def _refuse_code(text: str, names: Names) -> None:
    from nbtransfer.data.files import is_file_reference

    head = _CODE.match(text)
    if head is None or head[1] not in names or _exists(text):
        return
    if "(" not in text and "[" not in text and is_file_reference(text):
        return
    raise DataError(
        f"{quoted(text)} is code, and a magic's line is never evaluated. Put it into a variable "
        f"first: rows = {quoted(text)[1:-1]}"
    )


def _exists(text: str) -> bool:
    try:
        return os.path.exists(text)  # noqa: PTH110 -- Path.exists raises on names too long
    except ValueError:
        return False


def _listing(names: Names) -> str:
    found = data_names(names)
    if not found:
        return "There is no data in this notebook's variables yet; demo:tweets is always there."
    shown = [f"{name} ({words})" for name, words in list(found.items())[:_MAX_LISTED]]
    more = f" and {len(found) - _MAX_LISTED} more" if len(found) > _MAX_LISTED else ""
    return f"Data in this notebook: {', '.join(shown)}{more}."


def _runs_listing(names: Names, runs_dir: Path) -> str:
    found = run_names(names, runs_dir)
    if not found:
        return f"There are no runs in {quoted(str(runs_dir))} yet."
    return f"Runs: {', '.join(found[:_MAX_LISTED])}."


def _article(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
