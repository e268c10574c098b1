"""What a run will cost, from arithmetic alone: seconds, bytes of memory, bytes on disk.

Estimates are for choosing between plans, within a factor of about 1.5; the worker measures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nbtransfer.models.lora_targets import adapter_weights
from nbtransfer.spec import top_layers

if TYPE_CHECKING:
    from nbtransfer.hardware import Hardware
    from nbtransfer.models.card import ModelCard

# Two cores (AMD Milan, AVX2), MiniLM's products: a step of 32 texts of 32 tokens takes 0.85 s.
_CPU_FLOPS_2_CORES = 84e9
_CPU_SCALING = 0.85  # speed grows with threads to this power
# Clearing, clipping and AdamW touch each trainable weight: about an eighth of that step.
_CPU_UPDATE_S_PER_PARAMETER = 2.2e-9
_CPU_STEP_S = 0.01
_CPU_BF16_SPEED = 1.5

# Sustained FLOP/s in eager training: (float32, half precision), by a word in the device's name.
_GPU_FLOPS = {
    "H200": (45e12, 110e12),
    "H100": (45e12, 110e12),
    "A100": (15e12, 80e12),
    "L40": (25e12, 70e12),
    "RTX 40": (20e12, 50e12),
    "RTX 30": (10e12, 30e12),
    "L4": (9e12, 30e12),
    "V100": (9e12, 30e12),
    "T4": (4e12, 15e12),
}
_DEFAULT_GPU_FLOPS = (8e12, 25e12)
_MPS_FLOPS = 1.5e12
# Small steps are bound by launching kernels: this much a block, forward and backward.
_GPU_LAUNCH_S_PER_LAYER = 0.003

# What Python, torch and transformers take before the first tensor; CUDA adds its context.
_RUNTIME_BYTES = {"cpu": 500_000_000, "cuda": 600_000_000, "mps": 500_000_000}

# Tokens a pass for each of the texts', where rows of similar length go together, and times as many
# in padded steps of rows in any order (16 of 1,000 tweets or 1,500 sentences: 1.6 and 1.7 in all).
PADDING, IN_ANY_ORDER = 1.1, 1.5
NUM_CHECKPOINTS = 3  # the last two and the best
_WRITING_S_PER_PASS = 0.015  # a pass of generation beyond its arithmetic, measured on T5
HEAD_STEP_S = 0.004  # a step of a linear layer on stored features, measured

# Families whose head has a dense layer of its own before the classes.
_DENSE_HEADS = frozenset(
    (
        *("roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "xmod"),
        *("electra", "distilbert", "mpnet", "longformer", "deberta", "deberta-v2", "modernbert"),
        *("bart", "mbart", "mvp", "t5", "mt5", "umt5", "big_bird", "convbert", "data2vec-text"),
        *("funnel", "ibert", "mra", "nystromformer", "roformer", "xlnet", "yoso"),
    )
)


def num_head_parameters(model: ModelCard, num_labels: int, technique: str) -> int:
    """Return the weights of the new head; language modelling and writing keep their own."""
    if not num_labels:
        return 0
    hidden = model.hidden_size
    linear = hidden * num_labels + num_labels
    has_dense = technique != "features" and model.model_type in _DENSE_HEADS
    return linear + (hidden * hidden + hidden if has_dense else 0)


def num_trainable_parameters(
    model: ModelCard, num_labels: int, technique: str, num_adapter_weights: int | None = None
) -> int:
    """Return the weights that a technique changes; LoRA's adapters are as usual unless given."""
    head = num_head_parameters(model, num_labels, technique)
    if technique == "full":
        return model.num_parameters + head
    if count := top_layers(technique):
        pooler = model.hidden_size * (model.hidden_size + 1) if _has_pooler(model) else 0
        blocks = model.num_parameters - model.num_embedding_parameters - pooler
        return blocks * count // max(1, model.num_layers) + pooler + head
    if technique == "lora":
        return head + (
            adapter_weights(model) if num_adapter_weights is None else num_adapter_weights
        )
    return head


def _has_pooler(model: ModelCard) -> bool:
    """Whether the backbone has a dense layer above its blocks, which learns with the last ones."""
    return model.model_type in ("bert", "albert") and not model.lacks_pooler


def forward_flops(model: ModelCard, *, tokens: float) -> float:
    """Return the floating-point operations of one text's forward pass.

    Two for each multiplied weight and token (Kaplan et al., 2020), and four for each pair of tokens
    and unit of width in attention. Embeddings are looked up, not multiplied.
    """
    width, inner = model.hidden_size, model.intermediate_size
    stored = model.num_parameters - model.num_embedding_parameters
    # ALBERT stores one block and runs it in every layer.
    used = max(stored, model.num_layers * (4 * width * width + 2 * width * inner))
    attention = 4 * tokens * width * model.num_layers
    return tokens * (2 * used + attention)


def step_seconds(
    model: ModelCard,
    hardware: Hardware,
    *,
    batch_size: int,
    accumulation: int,
    tokens: float,
    technique: str,
    precision: str,
    num_trainable: int,
) -> float:
    """Return the seconds of one optimizer step of `accumulation` batches.

    Args:
        model: the model.
        hardware: where it trains.
        batch_size: texts a batch.
        accumulation: batches a step.
        tokens: mean padded tokens a text.
        technique: a frozen part costs its forward pass only.
        precision: arithmetic of the passes.
        num_trainable: weights the optimizer updates.
    """
    # The backward pass costs two forward passes: one for what goes on down, one for the weights,
    # which LoRA's frozen layers save. Below the last N layers nothing is computed: it was once.
    learning = (top_layers(technique) or 0) / max(1, model.num_layers)
    passes = {"full": 3.0, "lora": 2.0}.get(technique, 3 * learning or 1)
    flops = batch_size * forward_flops(model, tokens=tokens) * passes
    compute = flops / _flops_per_second(hardware, precision)
    if hardware.device == "cpu":
        update = _CPU_UPDATE_S_PER_PARAMETER * num_trainable * 2 / max(2, hardware.num_threads)
        return accumulation * compute + update + _CPU_STEP_S
    launch = _GPU_LAUNCH_S_PER_LAYER * model.num_layers * passes / 3
    return accumulation * max(compute, launch) + _GPU_LAUNCH_S_PER_LAYER


def evaluation_seconds(
    model: ModelCard, hardware: Hardware, *, num_rows: int, tokens: float, precision: str
) -> float:
    """Return the seconds of one forward pass over `num_rows` texts."""
    flops = num_rows * forward_flops(model, tokens=tokens)
    return flops / _flops_per_second(hardware, precision)


def memory_by_technique(
    model: ModelCard,
    *,
    batch_size: int,
    tokens: int,
    technique: str,
    precision: str = "fp32",
    num_adapter_weights: int | None = None,
) -> int:
    """Return the bytes that training takes: weights, gradients, AdamW's moments and activations.

    Args:
        model: the model.
        batch_size: texts a batch.
        tokens: tokens a text, padding included.
        technique: `full` keeps gradients, moments and every block's activations; `top:N` those of
            N blocks; `lora` every block's activations, and the rest of the adapters; the others
            only those of the head, and one block's activations at a time.
        precision: half precision stores smaller activations and a second copy of the weights.
        num_adapter_weights: of LoRA; None takes the usual ones.
    """
    trainable = num_trainable_parameters(model, 2, technique, num_adapter_weights)
    weights = 4 * (model.num_parameters + num_head_parameters(model, 2, technique))
    gradients_and_moments = (4 + 8) * trainable
    whole = technique in ("full", "lora")
    blocks = model.num_layers if whole else top_layers(technique) or 1
    activations = blocks * batch_size * tokens * _activation_bytes(model, tokens)
    if precision in ("bf16", "fp16"):
        activations = int(activations * 0.6)  # norms, softmax and losses stay float32
        weights += 2 * model.num_parameters
    return weights + gradients_and_moments + activations


def writing_bytes(model: ModelCard, *, batch_size: int, tokens: int) -> int:
    """Return what a target costs besides its blocks: a score for each token of the vocabulary.

    Scores, their logarithms and their gradients, in float32.
    """
    return 3 * 4 * batch_size * tokens * model.vocab_size


def writing_seconds(
    model: ModelCard, hardware: Hardware, *, num_rows: int, tokens: float, precision: str
) -> float:
    """Return the seconds of generating `tokens` for each of `num_rows`, 64 rows at a time.

    One pass of the decoder (half of the blocks) a token; on small models launching it costs most.
    """
    flops = (
        num_rows
        * tokens
        * (forward_flops(model, tokens=1) / 2 + 2 * model.vocab_size * model.hidden_size)
    )
    passes = math.ceil(num_rows / 64) * tokens
    return flops / _flops_per_second(hardware, precision) + passes * _WRITING_S_PER_PASS


def runtime_bytes(device: str) -> int:
    """Return what a worker takes before it loads a model."""
    return _RUNTIME_BYTES[device]


def checkpoint_bytes(model: ModelCard, num_trainable: int, technique: str = "full") -> int:
    """Return the size of one checkpoint: all weights, and two moments of those that learn.

    LoRA's hold the weights that learn alone.
    """
    kept = num_trainable if technique == "lora" else model.num_parameters
    return 4 * kept + 8 * num_trainable


def disk_bytes(model: ModelCard, num_trainable: int, technique: str = "full") -> int:
    """Return the size of a run folder: the checkpoints it keeps, and the model."""
    checkpoints = NUM_CHECKPOINTS * checkpoint_bytes(model, num_trainable, technique)
    return checkpoints + 4 * model.num_parameters


def _activation_bytes(model: ModelCard, tokens: int) -> int:
    """Return the bytes that one block keeps of one token for the backward pass, in float32.

    Eight vectors of the block's width and two of its inner width, two dropout masks, and a row of
    attention for each head: scores, mask, and what dropout left of them.
    """
    floats = 8 * model.hidden_size + 2 * model.intermediate_size
    return 4 * floats + 2 * model.hidden_size + 9 * model.num_heads * tokens


def _flops_per_second(hardware: Hardware, precision: str) -> float:
    half = precision in ("bf16", "fp16")
    if hardware.device == "cuda":
        rates = next((r for n, r in _GPU_FLOPS.items() if n in hardware.name), _DEFAULT_GPU_FLOPS)
        return rates[half]
    if hardware.device == "mps":
        return _MPS_FLOPS
    rate: float = _CPU_FLOPS_2_CORES * (hardware.num_threads / 2) ** _CPU_SCALING
    return rate * _CPU_BF16_SPEED if half and hardware.bf16 else rate
