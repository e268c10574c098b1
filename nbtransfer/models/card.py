"""ModelCard: what is known of a model before anything of it is loaded."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nbtransfer.models.lora_targets import LinearLayers

Source = Literal["demo", "folder", "hub", "run", "variable"]


class Ancestor(NamedTuple):
    """A run that a model went through: what it started from, what it learnt, and on which data."""

    run: str
    model: str
    task: str
    data: str


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """One model, read from its config.json, the header of its weights and its tokenizer's files.

    Attributes:
        name: as the user typed it.
        source: how the name was understood.
        location: the folder that holds it, or its hub id.
        revision: the hub's commit, where it comes from there.
        architecture: the class that saved it, such as `BertModel`.
        model_type: the family, such as `bert`.
        num_parameters: weights without any head: a head is replaced by the task's own.
        num_parameters_exact: counted in the weights' header, not estimated from the config.
        num_embedding_parameters: those of them that are looked up, not multiplied.
        num_layers: transformer blocks, of encoder and decoder together.
        hidden_size: width of a token's vector.
        intermediate_size: width inside a block's feed-forward part.
        num_heads: attention heads a block.
        vocab_size: rows of the word embedding.
        max_positions: the most tokens a text may have.
        weights_dtype: what most weights are stored as, such as `float32`.
        weights_bytes: size of the weight files.
        licence: as its own card states it, where it does.
        tokenizer_file: path of tokenizer.json; None where the worker must build the tokenizer.
        head_labels: class names of the classification head it carries, if any.
        lacks_pooler: the weights lack the pooling layer that a head reads; it starts at random.
        lacks_lm_head: the weights lack the head that guesses tokens; it starts at random.
        linear_layers: those of the backbone, by place; empty where the header was not read.
        lineage: of a run's model, the runs it went through, the first one first.
        notes: what is special about it, in sentences.
    """

    name: str
    source: Source
    location: str
    revision: str | None = None
    architecture: str
    model_type: str
    num_parameters: int
    num_parameters_exact: bool
    num_embedding_parameters: int
    num_layers: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    vocab_size: int
    max_positions: int
    weights_dtype: str
    weights_bytes: int
    licence: str | None = None
    tokenizer_file: str | None = None
    head_labels: tuple[str, ...] = ()
    lacks_pooler: bool = False
    lacks_lm_head: bool = False
    linear_layers: tuple[LinearLayers, ...] = ()
    lineage: tuple[Ancestor, ...] = ()
    notes: tuple[str, ...] = ()

    def at(self, folder: Path) -> ModelCard:
        """Return the card of a copy of the model in `folder`."""
        tokenizer = self.tokenizer_file and str(folder / Path(self.tokenizer_file).name)
        return dataclasses.replace(self, location=str(folder), tokenizer_file=tokenizer)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ModelCard:
        """Return the card that `to_json` wrote; fields of newer versions are left out."""
        names = {f.name for f in dataclasses.fields(cls)}
        fields: dict[str, Any] = {k: v for k, v in record.items() if k in names}
        for name in ("head_labels", "notes"):
            fields[name] = tuple(fields.get(name, ()))
        layers = fields.get("linear_layers", ())
        fields["linear_layers"] = tuple(LinearLayers(*one) for one in layers)
        fields["lineage"] = tuple(Ancestor(*one) for one in fields.get("lineage", ()))
        return cls(**fields)
