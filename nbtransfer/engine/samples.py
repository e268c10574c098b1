"""A language model shown at work at each evaluation: a few texts, bounded in time, without chance.

Generation is greedy, so it draws no random number; dropout is seeded anew in every step besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from nbtransfer.engine.language import continuations
from nbtransfer.engine.memory import is_out_of_memory, release_memory
from nbtransfer.tasks.language_samples import NUM_NEW_TOKENS
from nbtransfer.tasks.task import ShowsSamples

if TYPE_CHECKING:
    import numpy as np
    from accelerate import Accelerator
    from torch import nn

    from nbtransfer.engine.evaluate import Scores
    from nbtransfer.engine.loading import Rows
    from nbtransfer.engine.reporting import Reader
    from nbtransfer.tasks.findings import Sample
    from nbtransfer.tasks.language_samples import Prompt

_MOST_S = 6.0  # of all texts together: a sample is worth a glance, not a wait


def samples_of(
    accelerator: Accelerator, model: nn.Module, reader: Reader, rows: Rows, scores: Scores
) -> tuple[Sample, ...]:
    """Return what the model says of a few of `rows`; nothing where the task shows none.

    Args:
        accelerator: places tensors and chooses the arithmetic.
        model: in evaluation mode, without accelerate's wrapping.
        reader: the task and its tokenizer.
        rows: the validation rows.
        scores: what the model said of them.
    """
    task = reader.task
    if not isinstance(task, ShowsSamples):
        return ()
    prompts = task.prompts(rows.encoding)
    try:
        written = _write(accelerator, model, prompts)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        written = None
    if written is None:  # not in the except block: the error holds tensors
        release_memory()
        return ()
    return task.samples(scores.answers, rows.encoding, written, reader.tokenizer)


@torch.inference_mode()
def _write(accelerator: Accelerator, model: nn.Module, prompts: list[Prompt]) -> list[np.ndarray]:
    found = []
    for prompt in prompts:
        ids = torch.from_numpy(prompt.tokens).long()[None].to(accelerator.device)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        with accelerator.autocast():
            found += continuations(model, batch, NUM_NEW_TOKENS, _MOST_S / len(prompts))
    return found
