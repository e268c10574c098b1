"""What may stand at the cursor: options, values, variables, demos, runs, columns, files."""

from __future__ import annotations

import functools
import os
import shlex
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.errors import NbTransferError
from nbtransfer.magics.names import Names, data_names, model_names, resolve_data, run_names
from nbtransfer.magics.options import SYNTAX, Option
from nbtransfer.magics.texts import columns_of
from nbtransfer.magics.words import Word, split_line
from nbtransfer.settings import resolve_runs_dir

if TYPE_CHECKING:
    from collections.abc import Iterable

_DATA_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".gz")
_MAX_HEAD_BYTES = 65536
_MAX_FILES = 200
_SPLITS = ["validation", "test"]


class _Typed(NamedTuple):
    """What stands before the cursor: places filled, options given, and what is being typed."""

    words: list[Word]
    values: dict[str, str]
    fragment: str
    option: Option | None


def find_candidates(magic: str, line: str, body: str | None, names: Names) -> tuple[str, list[str]]:
    """Return the fragment before the cursor, and the words that may replace it."""
    typed = _read(magic, line, body)
    if typed is None:
        return "", []
    fragment = typed.fragment
    if typed.option is not None:
        found = _values(magic, typed.option, typed, names)
    elif fragment.startswith("-"):
        found = _flags(magic, typed)
    else:
        found = _places(magic, typed, names)
        if not fragment and not found:
            found = _flags(magic, typed)
    return fragment, _fitting(fragment, found)


def _read(magic: str, line: str, body: str | None) -> _Typed | None:
    """Return what is typed, None inside a comment or where quotes are open in an earlier word."""
    current = line if body is None else body.rpartition("\n")[2]
    cut = _start_of_fragment(current)
    if cut is None or (body is not None and _is_comment(current)):
        return None
    fragment, current = current[cut:], current[:cut]
    try:
        if body is None:
            words = split_line(current)
        else:
            earlier = body.rpartition("\n")[0]
            words = split_line(line, f"{earlier}\n{current}")
    except NbTransferError:
        return None
    flags = SYNTAX[magic].by_flag()
    places: list[Word] = []
    values: dict[str, str] = {}
    waiting: Option | None = None
    for word in words:
        name, has_value, value = word.text.partition("=")
        option = None if word.is_quoted else flags.get(name.replace("_", "-"))
        if option is not None:
            values[option.name] = value
            waiting = None if has_value or option.is_switch else option
        elif waiting is not None:
            values[waiting.name], waiting = word.text, None
        elif word.is_quoted or not word.text.startswith("-"):
            places.append(word)
    name, has_value, value = fragment.partition("=")
    tied = flags.get(name.replace("_", "-")) if has_value else None
    if tied is not None:
        return _Typed(places, values, value, tied)
    if waiting is not None and fragment.startswith("-"):
        waiting = None
    return _Typed(places, values, fragment, waiting)


def _start_of_fragment(text: str) -> int | None:
    """Return where the word at the cursor begins: after the last blank outside quotes."""
    start, quote = 0, ""
    for i, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character.isspace():
            start = i + 1
    return start


def _is_comment(text: str) -> bool:
    return text.lstrip().startswith("#")


def _fitting(fragment: str, found: Iterable[str]) -> list[str]:
    """Return what begins with the fragment, quoted where the line needs it."""
    quote = fragment[:1] if fragment[:1] in ("'", '"') else ""
    start = fragment[len(quote) :]
    fits = [text for text in dict.fromkeys(found) if text.startswith(start)]
    if quote:
        return [f"{quote}{text}{quote}" for text in fits if quote not in text]
    return [text if text.endswith(os.sep) else shlex.quote(text) for text in fits]


def _flags(magic: str, typed: _Typed) -> list[str]:
    """Return the options not given yet: the short spellings, then the others."""
    left = [o for o in SYNTAX[magic].options if o.help and o.name not in typed.values]
    flags = [*(o.flags[0] for o in left), *(f for o in left for f in o.flags[1:])]
    if "_" in typed.fragment:
        return ["--" + flag[2:].replace("-", "_") for flag in flags]
    return flags


def _places(magic: str, typed: _Typed, names: Names) -> list[str]:
    """Return what may fill the next place."""
    places, given = SYNTAX[magic].words, len(typed.words)
    runs_dir = resolve_runs_dir(typed.values.get("runs_dir"))
    if given >= len(places) and not places[-1].endswith("..."):
        return []
    place = places[min(given, len(places) - 1)]
    if place == "MODEL":
        return _models(typed, names)
    if place == "DATA":
        return _data(typed.fragment, names)
    if place == "CORPUS":
        return _corpora(typed.fragment, names)
    if place == "RUN":
        also = [] if magic == "evaluate" else _texts(typed.fragment, names)
        return [*run_names(names, runs_dir), *also, *_data(typed.fragment, names)]
    if place == "ACTION":
        return ["show", "stop", "rm"]
    if place == "NAME...":
        return run_names(names, runs_dir)
    return [*_texts(typed.fragment, names), *_data(typed.fragment, names)]


def _values(magic: str, option: Option, typed: _Typed, names: Names) -> list[str]:
    """Return what an option's value may be."""
    if option.choices:
        return list(option.choices)
    runs_dir = resolve_runs_dir(typed.values.get("runs_dir"))
    if option.kind == "column":
        return _columns(magic, typed, names)
    if option.kind == "validation":
        return [*_SPLITS, "no", "0.1", "0.2", *_data(typed.fragment, names)]
    if option.kind == "weights":
        return ["balanced"]
    if option.kind in ("run", "live_run"):
        return run_names(names, runs_dir)
    if option.kind == "model":
        return _models(typed, names)
    if option.kind == "corpus":
        return _corpora(typed.fragment, names)
    if option.kind == "file":
        return _files(typed.fragment)
    if option.kind == "folder":
        return [name for name in _files(typed.fragment) if name.endswith(os.sep)]
    return []


def _models(typed: _Typed, names: Names) -> list[str]:
    from nbtransfer.models.catalog import DEMO_MODELS

    runs_dir = resolve_runs_dir(typed.values.get("runs_dir"))
    folders = [name for name in _files(typed.fragment) if name.endswith(os.sep)]
    demos = [f"demo:{name}" for name in DEMO_MODELS]
    return [*demos, *model_names(names), *run_names({}, runs_dir), *folders]


def _data(fragment: str, names: Names) -> list[str]:
    from nbtransfer.data.demo import DEMO_DATA

    files = [
        name
        for name in _files(fragment)
        if name.endswith(os.sep) or name.lower().endswith(_DATA_SUFFIXES)
    ]
    return [*data_names(names), *(f"demo:{name}" for name in DEMO_DATA), *files]


def _corpora(fragment: str, names: Names) -> list[str]:
    """Return what may be pre-trained on: the demo corpus first, text files beside tables."""
    from nbtransfer.data.corpus import TEXT_SUFFIXES

    files = [name for name in _files(fragment) if name.lower().endswith(TEXT_SUFFIXES)]
    return ["demo:python-docs", *files, *_data(fragment, names)]


def _texts(fragment: str, names: Names) -> list[str]:
    """Return variables that may hold texts, and after `df.` its columns."""
    head, dot, _ = fragment.partition(".")
    if dot and head in names:
        return [f"{head}.{name}" for name in columns_of(names[head]) or [] if name.isidentifier()]
    kinds = ("str", "list", "tuple", "Series", "ndarray", "Column")
    public = [k for k in names if not k.startswith("_")]
    return [k for k in public if type(names[k]).__name__ in kinds or columns_of(names[k])]


def _columns(magic: str, typed: _Typed, names: Names) -> list[str]:
    """Return the columns of the DATA typed."""
    first = 1 if magic in ("finetune", "pretrain") else 0  # before it stands MODEL
    for word in reversed(typed.words[first:]):
        try:
            value = resolve_data(word, names).value
        except NbTransferError:
            continue
        columns = _columns_of_reference(value) if isinstance(value, str) else _own_columns(value)
        if columns:
            return columns
    return []


def _own_columns(value: object) -> list[str] | None:
    by_split = getattr(value, "column_names", None)
    if isinstance(by_split, dict):  # a DatasetDict
        return list(dict.fromkeys(str(name) for names in by_split.values() for name in names))
    return columns_of(value)


def _columns_of_reference(text: str) -> list[str]:
    if text.startswith("demo:"):
        return list(_demo_columns(text.removeprefix("demo:")))
    return _head_of_file(text) if os.path.isfile(text) else []  # noqa: PTH113 -- may be too long


@functools.lru_cache(maxsize=8)
def _demo_columns(name: str) -> tuple[str, ...]:
    from nbtransfer.data.demo import load_demo

    try:
        return tuple(load_demo(name).splits["train"].column_names)
    except NbTransferError:
        return ()


def _head_of_file(path: str) -> list[str]:
    """Return a file's column names from its first line; damaged and packed files have none."""
    import csv
    import json

    if path.lower().endswith(".parquet"):
        from pyarrow import parquet

        return list(parquet.read_schema(path).names)
    with open(path, encoding="utf-8-sig", errors="replace") as stream:  # noqa: PTH123
        first = stream.readline(_MAX_HEAD_BYTES)
    if path.lower().endswith((".json", ".jsonl")):
        record = json.loads(first)
        return list(record) if isinstance(record, dict) else []
    if not path.lower().endswith((".csv", ".tsv")):
        return []
    delimiter = max("\t;|,", key=first.count)
    return next(csv.reader([first], delimiter=delimiter), [])


def _files(fragment: str) -> list[str]:
    """Return the files and folders that begin with the fragment; folders end in a slash."""
    folder, _, start = fragment.strip("'\"").rpartition(os.sep)
    prefix = folder + os.sep if os.sep in fragment else ""
    found = []
    with os.scandir(os.path.expanduser(prefix) or ".") as entries:  # noqa: PTH111 -- as typed
        for entry in entries:
            if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
                found.append(prefix + entry.name + (os.sep if entry.is_dir() else ""))
            if len(found) >= _MAX_FILES:
                break
    return sorted(found)
