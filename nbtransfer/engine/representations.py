"""Looking into a run's model and into the one it began from: the vectors of each layer."""

# Shapes: N rows, B rows of a batch, T tokens, L layers (the embeddings first), H features.
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import AutoConfig, AutoModel

from nbtransfer.data.encode import batches_of
from nbtransfer.engine.evaluate import in_batches
from nbtransfer.models.load import backbone_of
from nbtransfer.runs.representations import EmbeddingMap, measure_stage

if TYPE_CHECKING:
    import pyarrow as pa
    from accelerate import Accelerator
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from nbtransfer.data.encode import EncodedTexts
    from nbtransfer.runs.run import Run
    from nbtransfer.tasks.task import Task

_MAX_TEXT = 200


def embedding_map(
    run: Run,
    task: Task,
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    table: pa.Table,
    *,
    accelerator: Accelerator,
    split: str,
) -> EmbeddingMap:
    """Return the rows of `table` as the model saw them before and sees them after training.

    Args:
        run: the run whose model it is.
        task: its task, with one class a row.
        model: what the run left.
        tokenizer: the model's own.
        table: prepared rows with their classes.
        accelerator: places tensors and chooses the arithmetic.
        split: where the rows are from.
    """
    card = run.data_card
    encoding = task.encode(tokenizer, table, run.plan.max_length, card)
    encoded = batches_of(encoding, tokenizer)
    classes = table["label"].to_numpy()
    batch_size = run.spec.eval_batch_size
    stages = []
    for backbone in (_pretrained(run), backbone_of(model)):
        layers = layer_vectors(accelerator, backbone, encoded, batch_size)
        stages.append(measure_stage(layers, classes))
    counts = np.bincount(classes)
    return EmbeddingMap(
        run_id=run.id,
        split=split,
        labels=card.label_names,
        classes=tuple(classes.tolist()),
        texts=tuple(text[:_MAX_TEXT] for text in table["text"].to_pylist()),
        before=stages[0],
        after=stages[1],
        majority_share=float(counts.max() / counts.sum()),
    )


def _pretrained(run: Run) -> nn.Module:
    """Load the backbone that the run began from; random weights where it began from none."""
    card, spec = run.model_card, run.spec
    source: dict[str, object] = {"revision": card.revision, "trust_remote_code": False}
    if spec.from_scratch:
        torch.manual_seed(spec.seed)
        config = AutoConfig.from_pretrained(card.location, **source)
        return AutoModel.from_config(config, dtype=torch.float32)
    return AutoModel.from_pretrained(
        card.location, dtype=torch.float32, use_safetensors=True, **source
    )


@torch.inference_mode()
def layer_vectors(
    accelerator: Accelerator, backbone: nn.Module, encoded: EncodedTexts, batch_size: int
) -> np.ndarray:
    """Return the mean token vector of each row at each layer, float32 array (L, N, H).

    Of encoder-decoder models, the encoder's.
    """
    if getattr(backbone.config, "is_encoder_decoder", False):
        backbone = backbone.get_encoder()
    backbone.eval().to(accelerator.device)
    found: np.ndarray | None = None

    def forward(rows: np.ndarray) -> None:
        nonlocal found
        batch = {k: v.to(accelerator.device) for k, v in encoded.batch(rows).items()}
        batch.pop("labels", None)
        hidden = backbone(**batch, output_hidden_states=True).hidden_states
        mask = batch["attention_mask"].unsqueeze(-1).float()  # (B, T, 1)
        means = [(layer.float() * mask).sum(1) / mask.sum(1) for layer in hidden]
        vectors = torch.stack(means).cpu().numpy()
        if found is None:
            found = np.empty((len(vectors), len(encoded.lengths), vectors.shape[2]), np.float32)
        found[:, rows] = vectors

    in_batches(encoded.lengths, batch_size, forward)
    backbone.to("cpu")
    assert found is not None
    return found
