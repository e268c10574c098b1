"""Finding data files, opening them safely, and reading each by its kind."""

from __future__ import annotations

import glob
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from nbtransfer.data.columns import plain_table, spoken, table_with_class_names
from nbtransfer.data.frames import check_column_names
from nbtransfer.data.opening import PACKED, read_bytes, reading
from nbtransfer.data.tables import SPLIT_NAMES, Tables, name_splits
from nbtransfer.errors import DataError, nearest, quoted

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".conll": "conll",
    ".iob": "conll",
    ".bio": "conll",
}
_CODE = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib", ".npy", ".npz", ".dill", ".ckpt"}
_ADVICE = {
    ".xlsx": "read it first: df = pandas.read_excel(...)",
    ".xls": "read it first: df = pandas.read_excel(...)",
    ".txt": "give a table with a header line, as .csv or .tsv, or a word and its tag a line",
    ".arrow": "read it first: ds = datasets.Dataset.from_file(...)",
    ".zip": "unpack it first",
    ".tar": "unpack it first",
    ".py": "scripts are never run; give the data itself",
}
_HEAD_BYTES = 4 << 20
_MAX_NAME = 1_000


def is_file_reference(reference: str) -> bool:
    """Return whether a reference means a file or pattern rather than a hub id."""
    path = Path(reference).expanduser()
    # `data/reviews` beside a folder `data` is a misspelt file, not a dataset of an owner `data`.
    in_folder = "/" in reference and _exists(path.parent)
    looks_like_path = reference.startswith(("/", ".", "~")) or "\\" in reference or in_folder
    return looks_like_path or _has_magic(reference) or _has_file_suffix(path) or _exists(path)


def is_data_file(text: str) -> bool:
    """Return whether what may be any text names a data file.

    Either there is a file of that name, or it has no blank and ends as one that could be read.
    """
    if len(text) > _MAX_NAME or not text.isprintable():
        return False
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # ~ and then the name of no user
        return False
    if _exists(path):
        return _has_file_suffix(path) and path.is_file()
    return kind_of(path) is not None and not any(map(str.isspace, text))


def _has_file_suffix(path: Path) -> bool:
    known = set(KINDS) | set(PACKED) | _CODE | set(_ADVICE)
    return bool({s.casefold() for s in path.suffixes} & known)


def load_files(reference: str) -> Tables:
    """Return the rows of a file, or of all files a pattern matches.

    Files whose stems are split names (train.csv, dev.csv, test.csv) become splits; others are put
    together in the order of their names.

    Raises:
        DataError: if nothing matches, a file is of no known kind, damaged, or too large unpacked.
    """
    paths = find_files(reference)
    notes: list[str] = []
    read: dict[Path, pa.Table] = {}
    for path in paths:
        read[path], found = _read(path)
        notes += [f"{path.name}: {note}" if len(paths) > 1 else note for note in found]
    origin = f"file {reference}" if len(paths) == 1 else f"{len(paths)} files {reference}"
    by_stem = {path.name.partition(".")[0]: table for path, table in read.items()}
    if len(by_stem) == len(paths) > 1 and all(s.casefold() in SPLIT_NAMES for s in by_stem):
        splits, renamed = name_splits(by_stem, reference)
        return Tables(reference, origin, splits, (*notes, *renamed))
    return Tables(reference, origin, {"train": _concatenate(read)}, tuple(notes))


def _has_magic(reference: str) -> bool:
    return glob.has_magic(reference)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def find_files(reference: str) -> list[Path]:
    """Return the file of that name, or the data files that a pattern matches, by name.

    Raises:
        DataError: if there is none.
    """
    if not reference or "\0" in reference:
        raise DataError(
            f"{quoted(reference)} is not a file name. Give a file, a pattern or a hub id."
        )
    path = Path(reference).expanduser()
    if _exists(path):
        return [path]
    if _has_magic(reference):
        # Path.glob refuses absolute patterns.
        found = sorted(Path(p) for p in glob.glob(str(path), recursive=True))  # noqa: PTH207
        files = [p for p in found if p.is_file() and kind_of(p) is not None]
        if not files:
            also = f" ({len(found)} other entries match)" if found else ""
            raise DataError(
                f"no csv, tsv, jsonl, json, parquet or conll file matches {quoted(reference)} in "
                f"{quoted(str(Path.cwd()))}{also}. Check the pattern."
            )
        return files
    raise DataError(_missing(path, reference))


def _missing(path: Path, reference: str) -> str:
    folder = path.parent
    if not _exists(folder):
        missing = quoted(str(folder))
        return f"no file {quoted(reference)}: there is no folder {missing}. Check the path."
    try:
        names = [p.name for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError:
        names = []
    readable = sorted(n for n in names if kind_of(Path(n)) is not None)
    if close := nearest(path.name, readable):
        return f"no file {quoted(reference)}. Did you mean {quoted(str(folder / close))}?"
    listed = ", ".join(map(quoted, readable[:5])) or "none"
    return f"no file {quoted(reference)}. Data files in {quoted(str(folder.absolute()))}: {listed}."


def kind_of(path: Path) -> str | None:
    """Return how a file of that name is read; None where none of these can be."""
    suffixes = [s.casefold() for s in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return KINDS.get(suffixes[-1]) if suffixes else None


def _read(path: Path) -> tuple[pa.Table, list[str]]:
    name = path.name
    check_is_data_file(path)
    kind = kind_of(path)
    notes: list[str] = []
    with reading(path):
        if kind is None or kind == "conll":
            from nbtransfer.data.conll_files import read_conll

            table, notes = read_conll(read_bytes(path), name)
        elif kind == "parquet":
            table = _read_parquet(path)
        else:
            data = read_bytes(path)
            if not data.strip():
                raise DataError(f"{name} is empty. Give a file with a header line and rows.")
            if kind == "csv":
                from nbtransfer.data.csv_files import read_csv

                table, notes = read_csv(data, name)
            else:
                from nbtransfer.data.json_files import read_json

                table, notes = read_json(data, name)
    check_column_names(table.column_names, name)
    return plain_table(table_with_class_names(table)), notes


def check_is_data_file(path: Path) -> None:
    """Refuse folders, devices, code, empty files and files of no known kind.

    Raises:
        DataError: saying which it is.
    """
    name = path.name
    suffix = path.suffix.casefold()
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        inside = sorted(p.name for p in path.iterdir() if kind_of(p) is not None)
        patterns = sorted({f"*{Path(n).suffix}" for n in inside})
        advice = (
            f"Name a file or a pattern in it, such as {quoted(str(path / patterns[0]))} "
            f"({len(inside)} data files)."
            if inside
            else "It holds no csv, tsv, jsonl, json or parquet file."
        )
        raise DataError(f"{quoted(str(path))} is a folder. {advice}")
    if not stat.S_ISREG(mode):
        raise DataError(
            f"{quoted(str(path))} is a device or pipe, not a file. Give a regular file."
        )
    if suffix in _CODE:
        raise DataError(
            f"{name} is refused: {suffix} files can run code when they are loaded. Save the data "
            "as csv, jsonl or parquet."
        )
    if kind_of(path) is None and not _is_tagged_text(path):
        advice = _ADVICE.get(suffix, "save it as csv, tsv, jsonl, json or parquet")
        raise DataError(f"{name}: files ending in {quoted(suffix)} are not read; {advice}.")
    if path.stat().st_size == 0:
        raise DataError(f"{name} is empty (0 bytes). Give a file with a header line and rows.")


def _is_tagged_text(path: Path) -> bool:
    """Return whether a .txt file is CoNLL, which many are; prose has no columns."""
    if path.suffix.casefold() != ".txt":
        return False
    from nbtransfer.data.conll_files import looks_like_conll

    try:
        with path.open("rb") as stream:
            return looks_like_conll(stream.read(_HEAD_BYTES))
    except OSError:
        return False


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix.casefold() in PACKED:
        raise DataError(f"{path.name}: parquet is compressed inside; unpack the file first.")
    try:
        return pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise damaged_parquet(path, error) from None


def damaged_parquet(path: Path, error: Exception) -> Exception:
    """Return what to raise where Arrow cannot read a file; a mode that forbids it stays."""
    if isinstance(error, PermissionError):
        return error
    return DataError(
        f"{path.name} is damaged or no parquet file ({_first_line(error)}). Write it anew."
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__


def _concatenate(read: dict[Path, pa.Table]) -> pa.Table:
    import pyarrow as pa

    tables = list(read.values())
    if len(tables) == 1:
        return tables[0]
    first = next(iter(read))
    for path, table in read.items():
        if set(table.column_names) != set(tables[0].column_names):
            raise DataError(
                f"{path.name} has the columns {spoken(table.column_names)}; {first.name} has "
                f"{spoken(tables[0].column_names)}. Files read together need the same columns."
            )
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowException, TypeError) as error:
        raise DataError(
            f"the files do not fit together ({_first_line(error)}). Give each column one type."
        ) from None
