"""LoRA on a loaded model, by peft: adapters put in, taken together with the weights, and saved.

peft's layers stand inside the model itself, which stays the class it was: its head, its way of
generating and everything that looks at it know nothing of adapters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from nbtransfer.errors import ModelError
from nbtransfer.models.lora_targets import (
    ALL_LINEAR,
    attention_targets,
    matches,
    plan_lora,
    unknown_target,
)

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.models.card import ModelCard
    from nbtransfer.spec import RunSpec

_ADAPTER = "default"  # peft's own name of the one adapter there is


def add_adapters(
    model: nn.Module, backbone: nn.Module, spec: RunSpec, card: ModelCard, head: set[str]
) -> str:
    """Freeze `model` but for its head, and put an adapter beside each layer that LoRA is to change.

    Args:
        model: the whole model, changed in place.
        backbone: its pre-trained part.
        spec: says which layers, and how large adapters are.
        card: of the pre-trained model.
        head: names of the parameters that learn besides.

    Returns:
        How many weights learn, in words.

    Raises:
        ModelError: if a layer that was named is not there.
    """
    from peft import LoraConfig, inject_adapter_in_model

    plan = plan_lora(spec, card)
    assert plan is not None
    names = _target_layers(model, backbone, plan.targets, head, card.name)
    layers = [model.get_submodule(name) for name in names]
    config = LoraConfig(
        r=plan.r,
        lora_alpha=plan.alpha,
        lora_dropout=plan.dropout,
        target_modules=names,
        modules_to_save=None,
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers),
        base_model_name_or_path=card.location if card.source == "hub" else card.name,
        revision=card.revision,
        inference_mode=False,
    )
    torch.manual_seed(spec.seed)  # whatever was drawn before, an adapter begins the same
    inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name or name in head)
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    return f"LoRA r={plan.r}: {learning:,} weights learn, {100 * learning / total:.2g} % of all."


def _target_layers(
    model: nn.Module, backbone: nn.Module, targets: tuple[str, ...], head: set[str], shown: str
) -> list[str]:
    """Return the whole names of the backbone's linear layers that `targets` name."""
    inside = set(backbone.modules())
    if (get := getattr(model, "get_output_embeddings", None)) is not None:
        inside.discard(get())  # T5's base model is the model itself
    whole = {name.rpartition(".")[0] for name in head}
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and module in inside and name not in whole
    ]
    targets = targets or attention_targets(linear)
    strange = [t for t in targets if t != ALL_LINEAR and not any(matches(n, (t,)) for n in linear)]
    if strange or not targets:
        raise ModelError([unknown_target(t, linear, shown) for t in strange or ("attention",)])
    return [name for name in linear if matches(name, targets)]


def has_adapters(model: nn.Module) -> bool:
    """Return whether LoRA's adapters stand in `model`."""
    return hasattr(model, "peft_config")


def save_adapter(model: nn.Module, folder: Path) -> None:
    """Write the adapters, and what else learnt, in peft's own format.

    `PeftModel.from_pretrained(base, folder)` loads them onto the model that training began with.
    """
    learnt = {n: p for n, p in model.named_parameters() if p.requires_grad}
    others = {name for name in learnt if "lora_" not in name}
    config = model.peft_config[_ADAPTER]
    folder.mkdir()
    before = config.modules_to_save, config.inference_mode
    config.modules_to_save = sorted({name.rpartition(".")[0] for name in others}) or None
    config.inference_mode = True
    config.save_pretrained(str(folder))
    config.modules_to_save, config.inference_mode = before
    tensors = {
        f"base_model.model.{name.replace(f'.{_ADAPTER}.', '.')}": p.detach().cpu().contiguous()
        for name, p in learnt.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def merge_adapters(model: nn.Module) -> None:
    """Add each adapter's product to the weight it stands beside: the model is plain again."""
    from peft.tuners.lora import LoraLayer

    for name, module in [*model.named_modules()]:
        if not isinstance(module, LoraLayer):
            continue
        module.merge()
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, module.get_base_layer())
    del model.peft_config
