"""The runs folder: making, finding, listing and removing runs; nothing outside it is touched."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from nbtransfer.errors import RunError, SpecError, nearest, quoted
from nbtransfer.runs.files import check_folder, write_json, write_table
from nbtransfer.runs.model_folder import ModelFolder
from nbtransfer.runs.paths import ModelPaths, RunPaths, check_run_name
from nbtransfer.runs.run import Run
from nbtransfer.settings import resolve_runs_dir

if TYPE_CHECKING:
    import pyarrow as pa

    from nbtransfer.data.card import DataCard
    from nbtransfer.models.catalog import ModelCard
    from nbtransfer.planning import Plan
    from nbtransfer.spec import RunSpec

_MOODS = [
    "brave",
    "bright",
    "brisk",
    "calm",
    "clever",
    "eager",
    "early",
    "fair",
    "fleet",
    "gentle",
    "glad",
    "keen",
    "kind",
    "light",
    "lively",
    "mild",
    "neat",
    "quick",
    "quiet",
    "sharp",
    "steady",
    "sunny",
    "swift",
    "warm",
    "wise",
]
_BIRDS = [
    "avocet",
    "bittern",
    "crane",
    "curlew",
    "dipper",
    "dove",
    "egret",
    "falcon",
    "finch",
    "heron",
    "ibis",
    "jay",
    "kestrel",
    "lark",
    "linnet",
    "martin",
    "merlin",
    "osprey",
    "owl",
    "plover",
    "robin",
    "snipe",
    "stork",
    "swallow",
    "swift",
    "tern",
    "thrush",
    "wren",
]


def new_run_name(runs_dir: Path) -> str:
    """Return a name that no run in `runs_dir` has, such as `calm-heron-0712`."""
    draw = random.SystemRandom()  # never the seeded generator: the user's seed must not name runs
    while True:
        name = f"{draw.choice(_MOODS)}-{draw.choice(_BIRDS)}-{draw.randrange(10000):04d}"
        if not (runs_dir / name).exists():
            return name


def create_run(
    runs_dir: Path,
    *,
    spec: RunSpec,
    plan: Plan,
    data_card: DataCard,
    model_card: ModelCard,
    splits: dict[str, pa.Table],
) -> Run:
    """Write a run's folder: what was asked, what was decided, and a snapshot of the rows.

    Args:
        runs_dir: the folder of all runs; made if it is not there.
        spec: what was asked.
        plan: what was decided.
        data_card: describes the data.
        model_card: describes the pre-trained model.
        splits: prepared rows (text, label, row) by split.

    Raises:
        SpecError: if the name is taken or the folder cannot be written.
    """
    name = spec.name or new_run_name(runs_dir)
    paths = RunPaths(runs_dir / check_run_name(name))
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(runs_dir, error) from None
    try:
        paths.dir.mkdir()
    except FileExistsError:
        raise SpecError(
            f"a run named {name!r} is already there. Choose another --name, "
            f"go on with it by --resume {name}, or remove it with %runs rm {name}."
        ) from None
    except OSError as error:
        raise _not_writable(runs_dir, error) from None
    is_whole = False
    try:
        check_folder(paths.dir)
        for split, table in splits.items():
            write_table(paths.split(split), table)
        write_json(paths.data_card, data_card.to_json())
        write_json(paths.model_card, model_card.to_json())
        write_json(paths.plan, plan.to_json())
        # spec.json comes last: a folder is a run once it is there.
        write_json(paths.spec, {"v": 1, **spec.to_json(), "name": name})
        is_whole = True
    except OSError as error:
        raise _not_writable(runs_dir, error) from None
    finally:
        if not is_whole:  # an interrupt too must not leave the name taken
            shutil.rmtree(paths.dir, ignore_errors=True)
    return Run(paths.dir)


def _not_writable(runs_dir: Path, error: OSError) -> SpecError:
    return SpecError(
        f"runs folder {quoted(str(runs_dir))} cannot be written ({error.strerror}). "
        "Choose another with --runs-dir."
    )


def list_runs(runs_dir: Path) -> list[Run]:
    """Return the runs in `runs_dir`, newest first."""
    if not runs_dir.is_dir():
        return []
    dated = []
    for run in map(Run, runs_dir.iterdir()):
        with contextlib.suppress(FileNotFoundError):  # another kernel removes it this moment
            if run.paths.spec.is_file():
                dated.append((run.created_time, run.id, run))
    return [run for _, _, run in sorted(dated, key=lambda row: row[:2], reverse=True)]


def open_run(reference: object, runs_dir: Path) -> Run:
    """Return the run that `reference` names.

    Args:
        reference: a Run, an id in `runs_dir`, a run folder, a model folder that a run left, or None
            for the newest.
        runs_dir: the folder of all runs.

    Raises:
        RunError: if there is no such run.
    """
    if isinstance(reference, Run):
        return reference
    if reference is None:
        runs = list_runs(runs_dir)
        if not runs:
            raise RunError(
                f"no run in {quoted(str(runs_dir))} yet. Start one: %finetune MODEL DATA"
            )
        return runs[0]
    if not isinstance(reference, (str, Path)):
        raise RunError(f"{quoted(reference)} is no run: give a Run, a run's name or its folder.")
    for folder in _folders_named(str(reference), runs_dir):
        if RunPaths(folder).spec.is_file():
            return Run(folder)
        if ModelPaths(folder, runs_dir).usage.is_file():
            return ModelFolder(folder, runs_dir)
        if is_model_dir(folder):
            raise RunError(
                f"{quoted(str(reference))} holds a model, but not how it is asked "
                f"({ModelPaths(folder, runs_dir).usage.name}): an earlier nbtransfer saved it, or "
                "another program. Copy the whole run folder and open that."
            )
    names = [run.id for run in list_runs(runs_dir)]
    close = nearest(str(reference), names)
    hint = f" Did you mean {close!r}?" if close else ""
    listed = f" Runs: {', '.join(names[:8])}." if names else " There are no runs yet."
    raise RunError(f"no run {quoted(str(reference))} in {quoted(str(runs_dir))}.{listed}{hint}")


def is_model_dir(folder: str | Path) -> bool:
    """Return whether a folder holds a model, of whatever program."""
    from nbtransfer.models.folder import CONFIG_FILE

    return (Path(folder) / CONFIG_FILE).is_file()


def _folders_named(reference: str, runs_dir: Path) -> list[Path]:
    """Return the folders that `reference` can mean: a run's own name first, then a path."""
    folders = []
    with contextlib.suppress(SpecError):
        folders.append(runs_dir.absolute() / check_run_name(reference))
    # Resolved, so that '..' is never taken for a run's name. What no file can be called (too long,
    # with a NUL) and a link that leads to itself name nothing.
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        folders.append(Path(reference or os.devnull).resolve(strict=True))
    return folders


def remove_run(run: Run, runs_dir: Path | None = None) -> None:
    """Delete a run's folder with everything in it.

    Args:
        run: the run.
        runs_dir: the folder it must lie in; None takes the session's runs folder. Any folder with
            a spec.json can be opened as a run, but only a run's own folder may be deleted.

    Raises:
        RunError: if it is being worked on, or its folder is not a run's.
    """
    runs_dir = resolve_runs_dir(runs_dir)
    _refuse_running(run)
    lies_elsewhere = run.dir.resolve().parent != runs_dir.resolve()
    if lies_elsewhere or run.dir.is_symlink() or not run.paths.spec.is_file():
        raise RunError(
            f"{quoted(str(run.dir))} is not a run's own folder in {quoted(str(runs_dir))}; "
            "nothing was removed.",
            run,
        )
    try:
        with run.held():
            _refuse_running(run)  # another kernel may have resumed it meanwhile
            # spec.json goes first: what a crash leaves behind is then no run any more.
            run.paths.spec.unlink()
            shutil.rmtree(run.dir)
    except FileNotFoundError:
        if run.dir.exists():
            raise  # otherwise another kernel has removed it meanwhile


def _refuse_running(run: Run) -> None:
    if run.status in ("running", "paused"):
        raise RunError(f"run {run.id!r} is {run.status}. Stop it first: %runs stop {run.id}", run)
