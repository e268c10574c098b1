"""Tiny random models of every family that packed batches know, and ragged batches for them."""

from __future__ import annotations

import numpy as np
import torch
import transformers
from transformers import AutoConfig, PreTrainedModel

from nbtransfer.models.load import backbone_of
from nbtransfer.models.lora import add_adapters
from nbtransfer.spec import RunSpec
from tests.test_planning import MODEL

ROWS, TOKENS, NEXT = "SequenceClassification", "TokenClassification", "CausalLM"
SPANS = "QuestionAnswering"
LONGEST = 30
PADDING = 1

_SHAPE = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": LONGEST + 2,
    "pad_token_id": PADDING,
    "bos_token_id": 2,
    "eos_token_id": 3,
    # Weights large enough that a token which sees what it should not shows in the logits.
    "initializer_range": 0.3,
}
_OWN = {
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
    "electra": {"embedding_size": 16},
    "gpt2": {"eos_token_id": PADDING},  # as in GPT-2, where the end of a text serves as padding
    "llama": {"num_key_value_heads": 2},
    "mistral": {"num_key_value_heads": 2, "sliding_window": 5},
    "modernbert": {
        "local_attention": 8,
        "global_attn_every_n_layers": 2,
        "cls_token_id": 2,
        "sep_token_id": 3,
    },
    "qwen2": {"num_key_value_heads": 2},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "mpnet": {},
    "deberta-v2": {},
}
ENCODERS = (
    "bert", "camembert", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta",
)  # fmt: skip
DECODERS = ("gpt2", "llama", "mistral", "qwen2", "qwen3")


def tiny_model(family: str, head: str = ROWS, **options: object) -> PreTrainedModel:
    """Return a model without dropout, in training mode, the same at every call."""
    torch.manual_seed(0)
    own = {"num_labels": 3, **_SHAPE, **_OWN.get(family, {}), **options}
    if family == "distilbert":
        own = {k: v for k, v in own.items() if not k.startswith(("hidden_size", "num_", "inter"))}
        own["num_labels"] = options.get("num_labels", 3)
    config = AutoConfig.for_model(family, **own)
    model = getattr(transformers, f"AutoModelFor{head}").from_config(config)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    return model.train()


def ragged_batch(lengths: list[int], seed: int = 0) -> dict[str, torch.Tensor]:
    """Return random tokens of the lengths given, padded; the second-last row ends in padding."""
    draw = np.random.default_rng(seed)
    ids = torch.full((len(lengths), max(lengths)), PADDING)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.from_numpy(draw.integers(4, 50, length))
    ids[-2, lengths[-2] - 1] = PADDING  # a text may hold the padding's own characters
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return {"input_ids": ids, "attention_mask": mask.long()}


def give_adapters(model: PreTrainedModel, *, whole_head: bool = True, **asked: object) -> str:
    """Put LoRA's adapters into `model` as a run does; return what is said of them.

    Args:
        model: it is changed.
        whole_head: whether the head learns besides.
        asked: options of LoRA.
    """
    outside = {id(p) for p in model.base_model.parameters()}
    head = {n for n, p in model.named_parameters() if whole_head and id(p) not in outside}
    spec = RunSpec(model="m", data="d", technique="lora", **asked)
    return add_adapters(model, backbone_of(model), spec, MODEL, head)


def let_adapters_speak(model: PreTrainedModel) -> None:
    """Give the adapters weights; they begin as nothing."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "lora_" in name:
                parameter.normal_(std=0.1)
