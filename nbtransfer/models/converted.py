"""Demo models that their package keeps as GGUF: converted once, and kept in the runs folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from nbtransfer.errors import MissingPackageError, ModelError
from nbtransfer.runs.paths import CACHE_DIR

if TYPE_CHECKING:
    from pathlib import Path

_CONVERTER = "nbtransfer.models.gguf"  # hot: it is only ever started, never imported here
_TIMEOUT_S = 600.0


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
    if (target / "config.json").is_file():
        return target
    if find_spec("gguf") is None:
        raise MissingPackageError("gguf", name)
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _convert(file, aside, name)
        if not target.exists():  # another kernel may have been quicker
            aside.rename(target)
    except OSError as error:
        raise ModelError(
            f"{name} could not be written to {str(target.parent)!r}: {error.strerror}. It takes "
            "540 MB, once; choose another --runs-dir."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


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
