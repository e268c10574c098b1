"""nbtransfer: transfer learning for NLP inside the notebook.

`%load_ext nbtransfer` brings the magics; every magic is also one call here:

    import nbtransfer as nt
    run = nt.finetune("demo:minilm", df, text="review", label="sentiment")

Importing this package loads nothing heavy: names are looked up on first use (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__version__ = "0.1.0"

_HOME = {
    "finetune": "nbtransfer.api",
    "pretrain": "nbtransfer.api",
    "evaluate": "nbtransfer.api",
    "predict": "nbtransfer.api",
    "embeddings": "nbtransfer.api",
    "forgetting": "nbtransfer.api",
    "plan": "nbtransfer.api",
    "list_runs": "nbtransfer.api",
    "open_run": "nbtransfer.api",
    "load_model": "nbtransfer.api",
    "Run": "nbtransfer.runs.run",
    "RunSpec": "nbtransfer.spec",
    "Plan": "nbtransfer.planning",
    "Report": "nbtransfer.runs.report",
    "options": "nbtransfer.settings",
    "NbTransferError": "nbtransfer.errors",
    "SpecError": "nbtransfer.errors",
    "DataError": "nbtransfer.errors",
    "ModelError": "nbtransfer.errors",
    "RunError": "nbtransfer.errors",
    "MissingPackageError": "nbtransfer.errors",
}

__all__ = [*_HOME, "load_ipython_extension", "unload_ipython_extension"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- a module attribute can be anything
    if name not in _HOME:
        raise AttributeError(f"module 'nbtransfer' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; called by `%load_ext nbtransfer`."""
    from nbtransfer.magics.extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics; called by `%unload_ext nbtransfer`."""
    from nbtransfer.magics.extension import unload

    unload(shell)
