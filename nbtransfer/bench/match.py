"""What all contestants of a benchmark do, and who they are."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PAD_TO_MAX, DYNAMIC, BEST, OURS = (
    "Trainer, padded to 128",
    "Trainer, dynamic padding",
    "Trainer, + length grouping",
    "nbtransfer",
)
TRAINERS = (PAD_TO_MAX, DYNAMIC, BEST)
PADDED_TO = 128
# On a GPU, by a word for the command line: what users write, what the documentation advises, and
# all that makes Trainer fast, at the price of compiling first.
GPU_CONTESTANTS = {
    "recipe": "Trainer, fp32, padded to max",
    "dynamic": "Trainer, fp32, dynamic padding",
    "bf16": "Trainer, bf16, dynamic padding",
    "expert": "Trainer, expert",
    "eager": "nbtransfer, eager",
    "graphed": "nbtransfer, graphed",
}


class Column(NamedTuple):
    """What is trained on, on a GPU: tokens of a text on average and at most, and rows a step."""

    mean: int
    longest: int
    batch_size: int


COLUMNS = {
    "short-16": Column(25, 128, 16),
    "short-64": Column(25, 128, 64),
    "long-16": Column(255, 512, 16),
    "long-64": Column(255, 512, 64),
}
RUNS = (300, 3000)  # steps
# What is evaluated: Trainer's rows a pass are 8 unless somebody says otherwise.
EVALUATED = {
    DYNAMIC: "Trainer, batch 8 (its default)",
    BEST: "Trainer, batch 64, length grouping",
    OURS: OURS,
}


@dataclass(frozen=True, kw_only=True)
class Match:
    """What all contestants do: the same rows, batches, updates and schedule.

    Attributes:
        model: as for `finetune`.
        train: rows to train on, each with "text" and "label".
        test: rows to evaluate on.
        batch_size: rows an update.
        epochs: passes over `train`.
        learning_rate: the peak; it falls linearly after a tenth of the updates.
        technique: what learns; see `finetune`.
        seed: of the new head, of dropout and of the order of rows.
        folder: where runs and Trainer's output go.
        max_steps: updates in all, where positive, whatever the epochs.
        max_length: tokens a text is cut to.
        device: `cpu` or `cuda`.
    """

    model: str
    train: list[dict[str, str]]
    test: list[dict[str, str]]
    batch_size: int
    epochs: int
    learning_rate: float
    technique: str
    seed: int
    folder: Path
    max_steps: int = -1
    max_length: int = PADDED_TO
    device: str = "cpu"

    @property
    def num_steps(self) -> int:
        """Updates in all."""
        if self.max_steps > 0:
            return self.max_steps
        return self.epochs * -(-len(self.train) // self.batch_size)

    @property
    def labels(self) -> list[str]:
        """The classes, in the order of their numbers."""
        return sorted({row["label"] for row in self.train})

    def write(self) -> Path:
        """Write the match into its folder, for a contestant's process, and return the file."""
        path = self.folder / "match.json"
        path.write_text(json.dumps({**dataclasses.asdict(self), "folder": str(self.folder)}))
        return path

    @classmethod
    def read(cls, path: Path) -> Match:
        """Return the match that `write` wrote."""
        record = json.loads(path.read_text())
        return cls(**{**record, "folder": Path(record["folder"])})
