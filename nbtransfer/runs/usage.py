"""How a saved model is asked: what `%predict` takes from its run, and what is kept with the model.

The record in `model/` makes that folder enough to predict with, wherever it is copied to. It holds
no row of the data, no path and nothing of how the model was trained: such folders are handed on.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbtransfer.tasks.catalog import TASKS

if TYPE_CHECKING:
    from nbtransfer.data.card import DataCard

_CARD_FIELDS = (
    "name", "task", "text_column", "label_column", "label_names", "class_counts", "roles",
    "num_unanswerable", "thresholds", "scale", "settings",
)  # fmt: skip
_UNKNOWN: dict[str, Any] = {
    "origin": "a saved model",
    "columns": [],
    "num_rows": {},
    "num_duplicates": 0,
    "num_overlap": {},
    "num_conflicts": 0,
    "majority_share": None,
    "fingerprint": "",
}
_NUMBERS = ("max_length", "num_threads", "per_device_eval_batch_size")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How a saved model is asked.

    Attributes:
        card: what its data was like, as far as asking needs it.
        max_length: tokens a text is cut to, or a window of it has.
        precision: arithmetic of the passes, as in training.
        device: what it was trained on; another one is taken where that is not there.
        num_threads: CPU threads.
        products: whose matrix products a CPU takes, as in training: `torch` or `onednn`.
        use_cpu: leave an accelerator alone.
        deterministic: only operations that give the same bits each time.
        per_device_eval_batch_size: rows a forward pass.
    """

    card: DataCard
    max_length: int
    precision: str
    device: str
    num_threads: int
    use_cpu: bool
    deterministic: bool = False
    products: str = "torch"
    per_device_eval_batch_size: int

    def to_json(self) -> dict[str, Any]:
        """Return the record that is kept with the model."""
        card = self.card.to_json()
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "card"}
        return {"v": 1, **own, "card": {name: card[name] for name in _CARD_FIELDS}}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Usage:
        """Return what `to_json` wrote; fields of newer versions are left out.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: if it is no such record.
        """
        from nbtransfer.data.card import DataCard

        card = DataCard.from_json(_UNKNOWN | record["card"])
        if card.task not in TASKS:
            raise ValueError(f"there is no task {card.task!r}")
        if not all(isinstance(name, str) for name in (*card.label_names, *card.roles.values())):
            raise ValueError("a class or a column has no name")
        for name in _NUMBERS:
            if type(record[name]) is not int or record[name] < 1:
                raise ValueError(f"{name} is no positive number")
        return cls(
            card=card,
            precision=str(record["precision"]),
            device=str(record["device"]),
            use_cpu=record["use_cpu"] is True,
            deterministic=record.get("deterministic") is True,
            products="onednn" if record.get("products") == "onednn" else "torch",
            **{name: record[name] for name in _NUMBERS},
        )
