"""Reading a corpus: plain text files besides every kind of table, and texts in a list."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nbtransfer.data.columns import table_from_columns, with_article
from nbtransfer.data.csv_files import decode
from nbtransfer.data.sources import load_tables
from nbtransfer.data.tables import Tables
from nbtransfer.errors import DataError, count_of, nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT_SUFFIXES = (".txt", ".text", ".md", ".rst")
_MAX_FILES = 100_000
_MAX_FILE_BYTES = 1 << 30


def load_corpus(data: object, *, name: str | None = None) -> Tables:
    """Return a corpus as tables by split, its documents in rows.

    Args:
        data: a text file, a folder or pattern of text files, a list of texts, a Series or column,
            or anything that `load_tables` reads.
        name: what to call an in-memory object in messages.

    Raises:
        DataError: if it is missing, empty, or not text.
    """
    if isinstance(data, Tables):
        return data
    if isinstance(data, (str, os.PathLike)):
        reference = os.fspath(data)
        found = _text_files(reference)
        return load_tables(reference) if found is None else _read_files(found, reference)
    texts = _plain_texts(data)
    if texts is None:
        return load_tables(data, name=name)
    shown = name or "the corpus"
    if not texts:
        raise DataError(f"{shown} holds no texts. Give at least one.")
    for i, text in enumerate(texts):
        if text is not None and not isinstance(text, str):
            raise DataError(
                f"text {i:,} of {shown} is {quoted(text)}, {with_article(type(text).__name__)}. "
                'Give texts, as in ["first document", "second document"].'
            )
    return Tables(shown, type(data).__name__, {"train": table_from_columns({"text": texts})})


def _plain_texts(data: object) -> list[object] | None:
    """Return the texts of a list or a single column; None for anything with columns."""
    if isinstance(data, (list, tuple)):
        return list(data) if not data or not isinstance(data[0], (dict, list)) else None
    if hasattr(data, "columns") or hasattr(data, "column_names") or isinstance(data, dict):
        return None
    for listing in ("to_pylist", "tolist"):
        if hasattr(data, listing):
            return list(getattr(data, listing)())
    return None


def _text_files(reference: str) -> list[Path] | None:
    """Return the text files that a reference names, None where it names something else.

    Raises:
        DataError: if it names a folder without text files.
    """
    import glob

    if reference.startswith("demo:") or "\0" in reference or not reference:
        return None
    path = Path(reference).expanduser()
    try:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.casefold() in TEXT_SUFFIXES)
            if not found:
                raise DataError(
                    f"{quoted(reference)} is a folder without text files "
                    f"({', '.join(TEXT_SUFFIXES)}). Name a file or a pattern of another kind."
                )
        elif path.is_file():
            found = [path] if path.suffix.casefold() in TEXT_SUFFIXES else []
        elif glob.has_magic(reference):
            # Path.glob refuses absolute patterns.
            named = glob.glob(str(path), recursive=True)  # noqa: PTH207
            found = sorted(p for p in map(Path, named) if p.suffix.casefold() in TEXT_SUFFIXES)
            if not found and path.suffix.casefold() in TEXT_SUFFIXES:
                raise DataError(f"no text file matches {quoted(reference)}. Check the pattern.")
        elif path.suffix.casefold() in TEXT_SUFFIXES:
            raise DataError(_missing(path))
        else:
            return None
    except OSError as error:
        raise DataError(f"{quoted(reference)} cannot be read: {error.strerror}.") from None
    found = [p for p in found if p.is_file()]
    if len(found) > _MAX_FILES:
        raise DataError(f"{quoted(reference)} names {len(found):,} files; take at most 100,000.")
    return found or None


def _missing(path: Path) -> str:
    try:
        names = [p.name for p in path.parent.iterdir() if p.suffix.casefold() in TEXT_SUFFIXES]
    except OSError:
        return f"no file {path.name!r}: there is no folder {quoted(str(path.parent))}."
    close = nearest(path.name, names)
    hint = f" Did you mean {close!r}?" if close else " Check the path."
    return f"no file {path.name!r} in {quoted(str(path.parent.absolute()))}.{hint}"


def _read_files(paths: Sequence[Path], reference: str) -> Tables:
    """Return one file cut into documents, or each of several as one."""
    notes: list[str] = []
    texts = [_read(path, notes) for path in paths]
    if len(paths) == 1:
        origin = f"file {reference}"
        documents, how = _documents_of(texts[0])
        notes.append(f"{paths[0].name}: {count_of(len(documents), 'document')}, {how}")
    else:
        origin = f"{len(paths)} files {reference}"
        documents = texts
        notes.append(f"{len(paths):,} text files: each is one document")
    if not any(text.strip() for text in documents):
        what = f"{paths[0].name} holds" if len(paths) == 1 else f"the {len(paths):,} files hold"
        raise DataError(f"{what} no text. Give some.")
    table = table_from_columns({"text": documents})
    return Tables(reference, origin, {"train": table}, tuple(notes))


def _documents_of(text: str) -> tuple[list[str], str]:
    """Cut a file at its blank lines; without any, at its lines."""
    parts: list[str] = []
    current: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            current.append(line)
        elif current:
            parts.append("\n".join(current))
            current = []
    if len(parts) > 1 or "\n" not in (parts[0] if parts else ""):
        return parts, "cut at blank lines" if len(parts) > 1 else "the whole file"
    return parts[0].split("\n"), "a line each, as there is no blank line"


def _read(path: Path, notes: list[str]) -> str:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise DataError(f"{path.name} is larger than 1 GiB. Cut it into several files.")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}.") from None
    text, found = decode(data, path.name)
    notes += [f"{path.name}: {note}" for note in found]
    if "\0" in (decoded := text.decode()):
        raise DataError(f"{path.name} is no text file: it holds NUL characters. Give plain text.")
    return decoded
