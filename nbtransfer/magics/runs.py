"""`%runs`: list, show, stop and remove runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer import api
from nbtransfer.errors import RunError, SpecError, nearest, quoted
from nbtransfer.magics.arguments import Arguments, parse
from nbtransfer.magics.help_text import help_text
from nbtransfer.magics.names import Names, require_run
from nbtransfer.magics.say import say
from nbtransfer.settings import resolve_runs_dir

if TYPE_CHECKING:
    from nbtransfer.runs.run import Run

ACTIONS = ("show", "stop", "rm")
_LIVE = ("running", "paused", "created")


def runs(line: str, cell: str | None, names: Names) -> Run | None:
    """Do what the line asks; `show` returns the run."""
    asked = parse("runs", line, cell)
    if asked.get("help"):
        say(help_text("runs"))
        return None
    if not asked.words:
        _list(asked)
        return None
    action = asked.words[0].text
    if action not in ACTIONS:
        close = nearest(action, [*ACTIONS, "remove"])
        hint = f" Did you mean {close.replace('remove', 'rm')}?" if close else ""
        raise SpecError(f"%runs cannot {quoted(action)}. It can: {', '.join(ACTIONS)}.{hint}")
    chosen = _chosen(asked, names, action)
    return {"show": _show, "stop": _stop, "rm": _remove}[action](chosen, asked)


def _list(asked: Arguments) -> None:
    from nbtransfer.panels.runs_panel import show_runs

    show_runs(api.list_runs(runs_dir=asked.get("runs_dir")))


def _chosen(asked: Arguments, names: Names, action: str) -> list[Run]:
    """Return the runs named; `stop` and `show` without a name take the newest.

    Raises:
        RunError: if there is none of that name.
        SpecError: if nothing says what to remove, or an option would be ignored.
    """
    if asked.get("now") and action != "stop":
        raise SpecError(f"--now goes with %runs stop, not with {action}: leave it out.")
    runs_dir = resolve_runs_dir(asked.get("runs_dir"))
    if asked.words[1:]:
        return [require_run(word, names, runs_dir) for word in asked.words[1:]]
    if action == "rm":
        raise SpecError("%runs rm needs the run's name: %runs rm NAME. See them: %runs")
    found = api.list_runs(runs_dir=runs_dir)
    if action == "stop":
        found = [run for run in found if run.status in _LIVE]
    if not found:
        what = "no run is going on" if action == "stop" else "there is no run"
        raise RunError(f"{what} in {quoted(str(runs_dir))}.")
    return found[:1]


def _show(chosen: list[Run], asked: Arguments) -> Run:
    from nbtransfer.panels.show import show_run

    for run in chosen:
        show_run(run, wait=False)
    return chosen[-1]


def _stop(chosen: list[Run], asked: Arguments) -> None:
    for run in chosen:
        status = run.status
        if status not in _LIVE:
            raise RunError(f"run {run.id!r} is {status} already; there is nothing to stop.", run)
        run.stop(now=bool(asked.get("now")))
        how = "killed" if asked.get("now") else "stopping at the next step, keeping its model"
        say(f"{run.id}: {how}")


def _remove(chosen: list[Run], asked: Arguments) -> None:
    from nbtransfer.runs.store import remove_run

    busy = [run for run in chosen if run.status in ("running", "paused")]
    for run in busy or chosen:  # one that is refused keeps the others too
        remove_run(run)
        say(f"{run.id}: removed")
