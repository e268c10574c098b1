"""Asking each model on a run's way to guess tokens; a backbone without a head gets one back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import nn
from transformers import AutoTokenizer

from nbtransfer.data.card import DataCard
from nbtransfer.data.encode import batches_of
from nbtransfer.engine.evaluate import score_rows
from nbtransfer.engine.memory import release_memory
from nbtransfer.engine.objectives import objective_of
from nbtransfer.errors import ModelError, quoted
from nbtransfer.models.load import backbone_of, load_finetuned
from nbtransfer.tasks.catalog import task_named

if TYPE_CHECKING:
    import pyarrow as pa
    from accelerate import Accelerator
    from transformers import PreTrainedTokenizerBase

    from nbtransfer.tasks.task import Task

_BATCH = 32


def stage_losses(
    request: dict[str, Any], table: pa.Table, accelerator: Accelerator
) -> dict[str, Any]:
    """Return the losses of the stages that a request names.

    Args:
        request: `task`, `max_length`, `card` and `stages`; see `nbtransfer.gauge`.
        table: text, row and part, `general` or `corpus`.
        accelerator: places tensors and chooses the arithmetic.

    Returns:
        `stages`, a pair of losses each, None where a part has no texts; `num_general` and
        `num_corpus`, the tokens that are guessed.
    """
    import pyarrow.compute as pc

    task, card = task_named(request["task"]), DataCard.from_json(request["card"])
    found: dict[str, Any] = {"stages": [], "num_general": 0, "num_corpus": 0}
    for stage in request["stages"]:
        model, tokenizer = _load(stage, task)
        model.to(accelerator.device)
        losses: list[float | None] = []
        for part in ("general", "corpus"):
            rows = table.filter(pc.equal(table["part"], part)).select(["text", "row"])
            if not rows.num_rows:
                losses.append(None)
                continue
            encoded = batches_of(
                task.encode(tokenizer, rows, request["max_length"], card), tokenizer
            )
            objective = objective_of(task.objective(card), options=card.settings)
            losses.append(score_rows(accelerator, model, encoded, objective, _BATCH).loss)
            found[f"num_{part}"] = int(encoded.num_targets.sum())
        found["stages"].append(losses)
        del model
        release_memory()
    return found


def _load(stage: dict[str, Any], task: Task) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    head, backbone = stage["head"], stage["backbone"]
    source = {"revision": head["revision"], "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(head["location"], **source)
        model = getattr(transformers, task.auto_class).from_pretrained(
            head["location"], dtype=torch.float32, use_safetensors=True, **source
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"the model in {quoted(head['location'])} cannot be loaded: "
            f"{str(error).splitlines()[0]}"
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if backbone["location"] != head["location"]:
        auto_class = task_named(backbone["task"]).auto_class
        tuned, _ = load_finetuned(Path(backbone["location"]), auto_class)
        put_back(model, backbone_of(tuned))
    return model.eval(), tokenizer


def put_back(model: Any, backbone: nn.Module) -> None:  # noqa: ANN401 -- any class of transformers
    """Give a language model another backbone and leave its head as it is.

    Where the head's matrix is the word embedding itself, the head keeps the old one.

    Raises:
        ModelError: if the backbone is not of the model's shape.
    """
    head = model.get_output_embeddings()
    if head is not None:  # its own copy, before the embedding changes
        head.weight = nn.Parameter(head.weight.detach().clone())
    owner = model.base_model
    try:
        result = owner.load_state_dict(backbone.state_dict(), strict=False)
    except RuntimeError as error:
        raise ModelError(
            f"the fine-tuned model is not of the pre-trained one's shape: "
            f"{str(error).splitlines()[-1].strip()[:200]}"
        ) from error
    own_head = set() if head is None else {id(p) for p in head.parameters()}
    names = {name for name, p in owner.named_parameters() if id(p) not in own_head}
    if missing := sorted(names & set(result.missing_keys)):
        raise ModelError(
            f"the fine-tuned model lacks {quoted(missing[0])}, which the pre-trained one has."
        )
