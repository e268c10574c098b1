"""`%config NbTransfer`: the session's options as an IPython configurable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traitlets import Bool, Float, Unicode
from traitlets.config import Configurable

from nbtransfer.settings import options

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class _Mirror:
    """A trait that keeps no value: it reads and writes the field of `options` with its name."""

    name: str
    _validate: Any

    def get(self, obj: object, cls: object = None) -> object:
        """Return what `options` holds."""
        return getattr(options, self.name)

    def set(self, obj: object, value: object) -> None:
        """Check `value` and put it into `options`."""
        setattr(options, self.name, self._validate(obj, value))


# The ignores: traitlets' own `get` and `set` are replaced on purpose.
class _Text(_Mirror, Unicode):  # type: ignore[misc, type-arg]
    pass


class _Switch(_Mirror, Bool):  # type: ignore[misc, type-arg]
    pass


class _Number(_Mirror, Float):  # type: ignore[misc, type-arg]
    pass


class NbTransfer(Configurable):
    """Options of nbtransfer, the same as `nbtransfer.options`."""

    runs_dir = _Text(
        None,
        allow_none=True,
        help="Folder that keeps the runs. None: the variable NBTRANSFER_RUNS_DIR, then ./runs.",
    ).tag(config=True)
    show_traceback = _Switch(
        False, help="Print full tracebacks for users' errors too, not only their message."
    ).tag(config=True)
    worker_idle_s = _Number(
        600.0, min=0.0, help="Seconds that a warm worker stays alive without a job."
    ).tag(config=True)
    worker_lease_s = _Number(
        None,
        allow_none=True,
        min=0.0,
        help="Seconds that a worker may go on with its job after its kernel has ended; it then "
        "stops and keeps a model. None: until the job is done.",
    ).tag(config=True)


def install(shell: InteractiveShell) -> None:
    """Offer `%config NbTransfer` in `shell`."""
    remove(shell)
    # Not a child of the shell: `%config` leaves what it was given in the shell's own config, even
    # refused values, and a child would take them up again when the extension is reloaded.
    shell.configurables.append(NbTransfer())  # type: ignore[arg-type]


def remove(shell: InteractiveShell) -> None:
    """Take `%config NbTransfer` away; the values set stay."""
    shell.configurables[:] = [c for c in shell.configurables if type(c).__name__ != "NbTransfer"]
