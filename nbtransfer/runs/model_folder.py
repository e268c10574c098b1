"""ModelFolder: a run's `model/` by itself, copied to where its run is not."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NoReturn, TypeVar

from nbtransfer.errors import RunError, quoted
from nbtransfer.runs.paths import ModelPaths
from nbtransfer.runs.run import Run
from nbtransfer.runs.state import RunState
from nbtransfer.runs.usage import Usage

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from nbtransfer.data.card import DataCard
    from nbtransfer.runs.events import Event
    from nbtransfer.runs.run import Status

_Record = TypeVar("_Record")


class ModelFolder(Run):
    """A saved model without its run: it predicts, is evaluated on data, loaded and trained further.

    It has no rows, checkpoints or record of its own, so whatever needs these says so. Nothing is
    written into its folder: reports lie in the runs folder.

    Args:
        model_dir: the folder, as a run's `model/` was copied.
        runs_dir: the folder of all runs.
    """

    def __init__(self, model_dir: str | os.PathLike[str], runs_dir: Path) -> None:
        super().__init__(model_dir)
        self.paths = ModelPaths(self.dir, runs_dir)

    @cached_property
    def usage(self) -> Usage:
        """How the model is asked."""
        return super()._read(self.paths.usage, Usage.from_json)

    @property
    def data_card(self) -> DataCard:
        """What the data was like, as far as asking needs it."""
        return self.usage.card

    @property
    def created_time(self) -> float:
        """When the model was saved or copied, in unix seconds."""
        return self.paths.usage.stat().st_mtime

    @property
    def status(self) -> Status:
        """That it is finished."""
        return "completed"

    def state(self) -> RunState:
        """Return that nothing is known of the run."""
        return RunState()

    def events(self) -> Iterator[Event]:
        """Iterate over no events."""
        return iter(())

    def metrics(self) -> dict[str, float]:
        """Return nothing: the figures are in the model's README.md."""
        return {}

    def resume(self) -> Run:
        """Refuse.

        Raises:
            RunError: always.
        """
        self._refuse("its checkpoints")

    def show(self) -> None:
        """Refuse.

        Raises:
            RunError: always.
        """
        self._refuse("its record")

    def _read(self, path: Path, parse: Callable[[dict[str, Any]], _Record]) -> _Record:
        self._refuse(path.name)

    def _ask(self, **changes: object) -> int:
        self._refuse("its worker")

    def _refuse(self, what: str) -> NoReturn:
        raise RunError(
            f"{quoted(str(self.dir))} is a model without its run: {what} is not there. It can be "
            f"asked (%predict), measured on data (%evaluate {self.reference} DATA) and trained "
            f"further (%finetune {self.reference} DATA); for the rest, copy the whole run folder.",
            self,
        )

    def __repr__(self) -> str:
        return f"Model {self.reference}, without its run: {self.data_card.task}"
