"""Where everything in a run folder lies; no other module spells a file name of it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from nbtransfer.errors import SpecError, quoted

if TYPE_CHECKING:
    from pathlib import Path

CACHE_DIR = ".cache"  # in the runs folder; nothing in it is needed
_MODELS_DIR = ".models"  # in the runs folder: reports on models that are not of a run there
_USAGE_FILE = "nbtransfer.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# To Windows these are devices, whatever follows the dot: such a folder could not be carried there.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def check_run_name(name: str) -> str:
    """Return `name` if it may name a run.

    Raises:
        SpecError: if it is not 1 to 64 of A-Z a-z 0-9 . _ - starting with a letter or digit, or is
            a device's name.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SpecError(
            f"{quoted(name)} cannot name a run: use 1 to 64 letters, digits, '.', '_' or '-', "
            "the first a letter or digit."
        )
    if _DEVICE.fullmatch(name):
        raise SpecError(
            f"{quoted(name)} cannot name a run: Windows has a device of that name. Add something "
            f"before it: {quoted(f'run-{name}'[:64])}."
        )
    return name


class RunPaths:
    """The paths of one run folder."""

    def __init__(self, run_dir: Path) -> None:
        self.dir = run_dir
        self.spec = run_dir / "spec.json"
        self.plan = run_dir / "plan.json"
        self.process = run_dir / "process.json"
        self.control = run_dir / "control.json"
        self.events = run_dir / "events.jsonl"
        self.log = run_dir / "worker.log"
        self.lock = run_dir / "lock"
        self.data_dir = run_dir / "data"
        self.data_card = self.data_dir / "card.json"
        self.model_card = run_dir / "model_card.json"
        self.base_model_dir = run_dir / "base_model"
        self.verification = run_dir / "verification.json"
        self.checkpoints_dir = run_dir / "checkpoints"
        self.model_dir = run_dir / "model"
        self.usage = self.model_dir / _USAGE_FILE
        self.forgetting = run_dir / "forgetting.json"
        self.figures_dir = run_dir / "figures"
        self.learning_curves_png = self.figures_dir / "learning_curves.png"

    def split(self, name: str) -> Path:
        """The snapshot of one split: columns `text` (string), `label` (int32), `row` (int64)."""
        return self.data_dir / f"{name}.parquet"

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint made after `step` optimizer steps."""
        return self.checkpoints_dir / f"step-{step:06d}"

    def evaluation(self, name: str) -> EvaluationPaths:
        """The paths of the evaluation called `name`."""
        return EvaluationPaths(self.dir / "evaluation" / check_run_name(name))


class ModelPaths(RunPaths):
    """The paths of a model without its run; nothing is written into its folder.

    Args:
        model_dir: the folder.
        runs_dir: the folder of all runs.
    """

    def __init__(self, model_dir: Path, runs_dir: Path) -> None:
        super().__init__(model_dir)
        self.model_dir = model_dir
        self.usage = model_dir / _USAGE_FILE
        # By its place, as models' folders are often called the same.
        place = hashlib.sha256(str(model_dir).encode("utf-8", "surrogatepass")).hexdigest()[:12]
        self._reports_dir = runs_dir / _MODELS_DIR / place

    def evaluation(self, name: str) -> EvaluationPaths:
        """The paths of the evaluation called `name`."""
        return EvaluationPaths(self._reports_dir / "evaluation" / check_run_name(name))


class EvaluationPaths:
    """The paths of one evaluation or prediction job of a run."""

    def __init__(self, folder: Path) -> None:
        self.dir = folder
        self.request = folder / "request.json"
        self.events = folder / "events.jsonl"
        self.log = folder / "worker.log"
        self.inputs = folder / "inputs.parquet"
        self.report = folder / "report.json"
        self.predictions = folder / "predictions.parquet"
        self.confusion_png = folder / "confusion_matrix.png"
        self.embedding_map = folder / "embedding_map.json"
        self.stage_losses = folder / "stage_losses.json"
