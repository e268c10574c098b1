"""What a model forgot: how well it guesses tokens of other texts, stage after stage."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.runs.files import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path


class Stage(NamedTuple):
    """One model on the way.

    Attributes:
        name: what it had learnt last.
        general: its mean loss on general text, in nats a token; None where it was not measured.
        corpus: the same on held-out documents of the corpus it was adapted to.
        why_not: why nothing was measured, in a sentence.
    """

    name: str
    general: float | None
    corpus: float | None
    why_not: str = ""


@dataclass(frozen=True, kw_only=True, repr=False)
class Forgetting:
    """The models that a run's model was, from the first one on.

    Attributes:
        run_id: the run.
        task: how tokens are guessed, `masked-language-modeling`.
        corpus_name: what it was adapted to; empty where it was adapted to nothing.
        num_general: tokens of the general text that are guessed.
        num_corpus: tokens of the corpus that are guessed.
        stages: from the pre-trained model to the run's own.
        notes: what else is to be known, in sentences.
    """

    run_id: str
    task: str
    corpus_name: str
    num_general: int
    num_corpus: int
    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Forgetting:
        """Return what `to_json` wrote; fields of newer versions are left out."""
        names = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in record.items() if k in names}
        values["stages"] = tuple(Stage(*stage) for stage in values["stages"])
        values["notes"] = tuple(values.get("notes", ()))
        return cls(**values)

    def change(self, stage: Stage) -> float | None:
        """Return by how much its loss on general text is above that of the first one measured."""
        first = next((s.general for s in self.stages if s.general is not None), None)
        if first is None or stage.general is None:
            return None
        return stage.general - first

    def __repr__(self) -> str:
        losses = ", ".join(loss_text(stage.general) for stage in self.stages)
        return f"Forgetting {self.run_id}: loss on general text {losses}"

    def __str__(self) -> str:
        heads = ("", "general text", *([self.corpus_name] if self.corpus_name else []))
        rows = [heads]
        for stage in self.stages:
            cells = (stage.general, stage.corpus)[: len(heads) - 1]
            rows.append((stage.name, *map(figure, cells)))
        widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in pairs)])
            for row in rows
            for pairs in [list(zip(row[1:], widths[1:], strict=True))]
        ]
        return "\n".join([f"What {self.run_id} forgot: loss (perplexity)", *lines, *self.notes])


def loss_text(loss: float | None) -> str:
    """Return a loss with three decimals, a dash where there is none."""
    return "–" if loss is None else f"{loss:.3f}"


def figure(loss: float | None) -> str:
    """Return a loss and its perplexity: `2.410 (11.1)`."""
    if loss is None or not math.isfinite(loss):
        return loss_text(loss)
    return f"{loss:.3f} ({math.exp(min(loss, 700)):,.1f})"


def write_forgetting(found: Forgetting, path: Path) -> None:
    """Write it as JSON."""
    write_json(path, {"v": 1, **found.to_json()})


def read_forgetting(path: Path) -> Forgetting:
    """Return what `write_forgetting` wrote."""
    return Forgetting.from_json(read_json(path))
