"""Demo models that their package keeps as GGUF: converted once, and kept in the runs folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

from nbtransfer.errors import MissingPackageError, ModelError
from nbtransfer.runs.files import make_durable, sync_folder
from nbtransfer.runs.paths import CACHE_DIR

if TYPE_CHECKING:
    from pathlib import Path

_CONVERTER = "nbtransfer.models.gguf"  # hot: it is only ever started, never imported here
_CONFIG = "config.json"
_TIMEOUT_S = 600.0
_ABANDONED_S = 86_400.0


def converted(file: Path, name: str, *, sha256: str, runs_dir: Path) -> Path:
    """Return the folder that holds the model of `file` as transformers keeps models.

    The first time it is written there, which takes some 20 seconds; the folder is then whole or
    not there at all.

    Args:
        file: the GGUF.
        name: what to call the model in messages.
        sha256: of the file.
        runs_dir: in its cache the folder lies.

    Raises:
        MissingPackageError: if what reads such files is not installed.
        ModelError: if it cannot be converted.
    """
    target = runs_dir / CACHE_DIR / f"{file.stem.partition('.')[0]}-{sha256[:16]}"
    if _is_whole(target):
        return target
    if find_spec("gguf") is None:
        raise MissingPackageError("gguf", name)
    # No process id: those of two machines that share the folder can be the same.
    aside = target.with_name(f".{target.name}.{os.urandom(6).hex()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        _convert(file, aside, name)
        make_durable(aside, mode=(aside / _CONFIG).stat().st_mode)
        _rename(aside, target)
    except OSError as error:
        raise ModelError(
            f"{name} could not be written to {str(target.parent)!r}: {error.strerror}. It takes "
            "540 MB, once; choose another --runs-dir."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _is_whole(target: Path) -> bool:
    return (target / _CONFIG).is_file()


def _rename(aside: Path, target: Path) -> None:
    try:
        aside.rename(target)
    except OSError:
        if not _is_whole(target):  # another kernel was not quicker
            raise
    sync_folder(target.parent)


def _remove_abandoned(target: Path) -> None:
    """Remove what killed kernels left half written; nobody takes a day."""
    for left in target.parent.glob(f".{target.name}.*"):
        if time.time() - left.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)


def _convert(file: Path, folder: Path, name: str) -> None:
    command = [sys.executable, "-P", "-m", _CONVERTER, str(file), str(folder)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{name} could not be converted within {_TIMEOUT_S:g} s.") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"{name} could not be converted from {file.name}: {last}")
