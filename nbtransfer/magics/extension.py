"""Registers the magics with IPython, and removes them; their code is imported on the first call."""

from __future__ import annotations

import importlib
import traceback
from collections import ChainMap
from typing import TYPE_CHECKING, Any

from IPython.core.magic import needs_local_scope, no_var_expand

from nbtransfer.errors import NbTransferError
from nbtransfer.magics import completion, configuration
from nbtransfer.magics.table import MAGICS, Magic
from nbtransfer.settings import options

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell


def load(shell: InteractiveShell) -> None:
    """Add the magics, their completion and `%config NbTransfer` to `shell`."""
    for magic in MAGICS:
        kind = "line_cell" if magic.has_cell else "line"
        function = _function_of(magic, shell)
        shell.register_magic_function(function, kind, magic.name)  # type: ignore[arg-type]
    completion.install(shell)
    configuration.install(shell)


def unload(shell: InteractiveShell) -> None:
    """Take everything away again that `load` added; what is not there is left alone."""
    manager = shell.magics_manager
    for magic in MAGICS:
        for kind in ("line", "cell"):
            manager.magics[kind].pop(magic.name, None)
        manager.user_magics.__dict__.pop(magic.name, None)
    completion.remove(shell)
    configuration.remove(shell)


class _Interrupted(KeyboardInterrupt):
    """An interrupt of a magic, shown in one line: where its code was is of no use to the user."""

    def _render_traceback_(self) -> list[str]:
        return [f"KeyboardInterrupt: {self}"]


def _function_of(magic: Magic, shell: InteractiveShell) -> Callable[..., Any]:
    """Return what IPython registers and calls: a thin function with the magic's name and help."""

    def run(line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> object:
        module, _, function = magic.home.partition(":")
        names = ChainMap(local_ns if local_ns is not None else {}, shell.user_ns)
        try:
            return getattr(importlib.import_module(module), function)(line, cell, names)
        except NbTransferError as error:
            if not options.show_traceback:
                # ipykernel keeps a failed cell's frames alive, and with them rows and models.
                traceback.clear_frames(error.__traceback__)
            raise
        except KeyboardInterrupt as error:
            if options.show_traceback:
                raise
            traceback.clear_frames(error.__traceback__)
            raise _Interrupted(f"%{magic.name} was interrupted.") from None

    run.__name__ = run.__qualname__ = magic.name
    run.__doc__ = magic.help
    return no_var_expand(needs_local_scope(run))
