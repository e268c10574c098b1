"""LoRA's choices before a model is loaded: rank, scale, the layers that get adapters.

An adapter adds to a linear layer's weight the product of two thin matrices, and only these learn
(Hu et al., 2021). Names of layers are matched as peft matches them: a whole path, or its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.errors import nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbtransfer.models.card import ModelCard
    from nbtransfer.spec import RunSpec

# The rank that Hu et al. (2021, table 6) found enough, and peft's default. Twice it scales the
# product by 2, so that another rank needs no other learning rate.
DEFAULT_R = 8
ALL_LINEAR = "all-linear"
OPTIONS = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules")
# Attention's projections as families name them, the first that a model has: queries and values,
# as peft takes them, or what computes both together.
_ATTENTION = (
    ("q_proj", "v_proj"),
    ("query", "value"),
    ("q_lin", "v_lin"),
    ("query_proj", "value_proj"),
    ("q", "v"),
    ("q_head", "v_head"),
    ("Wq", "Wv"),
    ("query_key_value",),
    ("qkv_proj",),
    ("Wqkv",),
    ("c_attn",),
    ("in_proj",),
)
_MAX_LISTED = 10


class LinearLayers(NamedTuple):
    """Linear layers of one place in a model's blocks.

    Attributes:
        path: as in the weights' header, a block's number replaced by `*`.
        num_layers: how many there are.
        width: their rows and columns, added up over all of them.
    """

    path: str
    num_layers: int
    width: int


class LoraPlan(NamedTuple):
    """What LoRA adds to a model.

    Attributes:
        r: rank of the products.
        alpha: the product is scaled by alpha / r.
        dropout: of the adapters' input.
        targets: names of the layers that get one; empty where the worker must look for them.
        num_parameters: weights of the adapters.
        problems: why it cannot be so.
    """

    r: int
    alpha: int
    dropout: float
    targets: tuple[str, ...]
    num_parameters: int
    problems: tuple[str, ...] = ()

    def words(self, model: ModelCard, num_trainable: int) -> str:
        """Return it as a note of the plan."""
        where = " and ".join(self.targets) or "attention's projections"
        share = num_trainable / max(1, model.num_parameters + num_trainable)
        about = "" if model.linear_layers else "about "
        return (
            f"LoRA r={self.r}, alpha={self.alpha} on {where}: {about}{num_trainable:,} weights "
            f"learn, {100 * share:.2g} % of all."
        )


def plan_lora(spec: RunSpec, model: ModelCard) -> LoraPlan | None:
    """Return what LoRA adds to `model`; None for another technique."""
    if spec.technique != "lora":
        return None
    r = int(spec.lora_r or DEFAULT_R)
    targets, problems = _targets(spec, model)
    layers = model.linear_layers
    if layers:
        width = sum(layer.width for layer in layers if matches(layer.path, targets))
    else:  # two square layers a block, as in the usual case
        width = 4 * model.hidden_size * model.num_layers
    return LoraPlan(
        r,
        int(spec.lora_alpha or 2 * r),
        float(spec.lora_dropout or 0.0),
        targets,
        r * width,
        problems,
    )


def adapter_weights(model: ModelCard) -> int:
    """Return the weights of the adapters that are added where nothing else is asked for."""
    targets = attention_targets(layer.path for layer in model.linear_layers)
    found = [layer.width for layer in model.linear_layers if matches(layer.path, targets)]
    return DEFAULT_R * (sum(found) if found else 4 * model.hidden_size * model.num_layers)


def takes_adapters(model: ModelCard) -> bool:
    """Return whether adapters have their usual place in `model`, as far as its header tells."""
    paths = [layer.path for layer in model.linear_layers]
    return not paths or bool(attention_targets(paths))


def attention_targets(paths: Iterable[str]) -> tuple[str, ...]:
    """Return attention's projections among the linear layers of a model; empty if there are none.

    Args:
        paths: of every linear layer.
    """
    known = [*paths]
    for names in _ATTENTION:
        if all(any(matches(path, (name,)) for path in known) for name in names):
            return names
    return ()


def matches(path: str, targets: Sequence[str]) -> bool:
    """Return whether one of `targets` names the layer at `path`, as peft reads names."""
    if ALL_LINEAR in targets:
        return True
    return any(path == target or path.endswith("." + target) for target in targets)


def asked_targets(spec: RunSpec) -> tuple[str, ...]:
    """Return the names that were asked for."""
    names = (spec.lora_target_modules or "").split(",")
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _targets(spec: RunSpec, model: ModelCard) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names to take, and what is wrong with them."""
    paths = [layer.path for layer in model.linear_layers]
    asked = asked_targets(spec)
    if not paths:  # the worker sees the layers, and says what it does not find
        return asked, ()
    if asked:
        strange = [n for n in asked if n != ALL_LINEAR and not any(matches(p, (n,)) for p in paths)]
        return asked, tuple(unknown_target(name, paths, model.name) for name in strange)
    found = attention_targets(paths)
    if found:
        return found, ()
    return (), (
        f"technique='lora': {quoted(model.name)} has none of the attention layers that adapters "
        f"are usually added to. Name some with lora_target_modules; its linear layers: "
        f"{_listed(paths)}.",
    )


def unknown_target(name: str, paths: Sequence[str], model: str) -> str:
    """Return what to say of a name that no linear layer has."""
    names = _last_parts(paths)
    close = nearest(name, [*names, ALL_LINEAR])
    hint = f" Did you mean {close!r}?" if close else ""
    return (
        f"lora_target_modules: {quoted(model)} has no linear layer {quoted(name)}. It has: "
        f"{_listed(paths)}, or {ALL_LINEAR!r}.{hint}"
    )


def _listed(paths: Sequence[str]) -> str:
    names = _last_parts(paths)
    more = ", …" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more


def _last_parts(paths: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(path.rpartition(".")[2] for path in paths))
