"""Which layers of a backbone learn, and going through a model without the frozen ones below."""

# Shapes: B rows, T tokens, H hidden size.
from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from nbtransfer.choices import CUT_FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def reads_first_token(model: nn.Module) -> bool:
    """Whether the model's head looks at the first token's vector and at nothing else."""
    config = getattr(model, "config", None)
    return (
        type(model).__name__.endswith("ForSequenceClassification")
        and getattr(config, "model_type", None) in CUT_FAMILIES
        and not getattr(config, "is_decoder", False)
    )


def frozen_digest(model: nn.Module, *others: torch.Tensor) -> str | None:
    """Return a hash of the weights that do not learn, or None where all do.

    Args:
        model: its parameters are read.
        others: what is not part of it now, and does not learn either.
    """
    frozen = [(name, p) for name, p in model.named_parameters() if not p.requires_grad]
    frozen += [("", weight) for weight in others]
    digest = hashlib.blake2b(digest_size=16)
    for name, weight in frozen:
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest() if frozen else None


class Stack(NamedTuple):
    """The transformer blocks of a backbone, and the module that holds them under a name."""

    owner: nn.Module
    name: str
    layers: nn.ModuleList


def stack_of(backbone: nn.Module) -> Stack | None:
    """Return the blocks of `backbone`, or None where it has not one plain list of them."""
    wanted = getattr(backbone.config, "num_hidden_layers", None)
    found = [
        Stack(owner, name, child)
        for owner in backbone.modules()
        for name, child in owner.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == wanted
    ]
    return found[0] if len(found) == 1 else None


def top_of(backbone: nn.Module, count: int) -> list[nn.Module]:
    """Return the last `count` blocks and everything of the backbone that comes after them.

    Raises:
        ValueError: if the backbone has not that many, or not one plain list of them.
    """
    stack = stack_of(backbone)
    if stack is None or count >= len(stack.layers):
        raise ValueError(f"{type(backbone).__name__} has no {count} last layers to train")
    return [*stack.layers[-count:], *_after(stack, backbone)]


def _after(stack: Stack, backbone: nn.Module) -> list[nn.Module]:
    """Return everything of the backbone that comes after its blocks."""
    after: list[nn.Module] = []
    inner: nn.Module = stack.layers
    # Pooling and final normalisation are defined after the blocks, in whatever holds those.
    for outer in reversed([m for m in backbone.modules() if inner in list(m.modules())[1:]]):
        children = [child for child in outer.children() if child is not None]
        at = next(i for i, child in enumerate(children) if inner in list(child.modules()))
        after += children[at + 1 :]
    return after


class Cut:
    """A model whose lowest blocks can be left out, given what they would have said.

    Called with `frozen`, a float tensor (B, T, H), or within `given`, the model takes it for the
    output of its blocks below the cut, which are not run then. Otherwise it is as it was.

    Args:
        model: the whole model with its head.
        backbone: its pre-trained part.
        below: how many blocks are left out.
    """

    def __init__(self, model: nn.Module, backbone: nn.Module, below: int) -> None:
        stack = stack_of(backbone)
        assert stack is not None and 0 < below <= len(stack.layers)
        self.below = below
        self._model = model
        self._backbone = backbone
        self._stack = stack
        self._given = _Given()
        self._short = nn.ModuleList([self._given, *stack.layers[below:]])
        model.register_forward_pre_hook(self._enter, with_kwargs=True)
        model.register_forward_hook(self._leave, always_call=True)

    @property
    def reads_first_token(self) -> bool:
        """Whether nothing above the cut looks at other tokens than the first."""
        return reads_first_token(self._model) and self.below == len(self._stack.layers)

    def frozen_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield the weights below the cut with their names: they decide what it is given."""
        left_out = set(self._backbone.parameters()) - {
            p for layer in self._stack.layers[self.below :] for p in layer.parameters()
        }
        for name, weight in self._backbone.named_parameters():
            if weight in left_out and not weight.requires_grad:
                yield name, weight

    def _enter(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        frozen = kwargs.pop("frozen", None)
        if frozen is not None:
            self._begin(frozen)
        return args, kwargs

    @contextmanager
    def given(self, frozen: torch.Tensor) -> Iterator[None]:
        """Let the blocks below the cut have said `frozen`, float tensor (B, T, H), in passes here.

        For those that do not call the model itself.
        """
        self._begin(frozen)
        try:
            yield
        finally:
            self._leave()

    def _begin(self, frozen: torch.Tensor) -> None:
        self._given.hidden = frozen
        self._stack.owner._modules[self._stack.name] = self._short

    def _leave(self, *_: object) -> None:
        self._stack.owner._modules[self._stack.name] = self._stack.layers
        self._given.hidden = None

    def frozen(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return what the blocks below the cut say of a batch, float tensor (B, T, H)."""
        last = self._stack.layers[self.below - 1]
        hook = last.register_forward_hook(_stop)
        try:
            self._model(**batch)
        except _Reached as reached:
            return reached.hidden
        finally:
            hook.remove()
        raise AssertionError("the model does not run its blocks")


def cut_of(model: nn.Module, backbone: nn.Module) -> Cut | None:
    """Return the cut below the lowest block that learns; None where there is none to make."""
    stack = stack_of(backbone)
    if stack is None or backbone.config.model_type not in CUT_FAMILIES:
        return None
    if getattr(backbone.config, "add_cross_attention", False):
        return None
    learns = [any(p.requires_grad for p in layer.parameters()) for layer in stack.layers]
    below = learns.index(True) if True in learns else len(learns)
    others = set(backbone.parameters()) - set(stack.layers[below:].parameters())
    upper = {p for part in _after(stack, backbone) for p in part.parameters()}
    if below == 0 or any(p.requires_grad for p in others - upper):
        return None
    return Cut(model, backbone, below)


class _Given(nn.Module):
    """Stands where the blocks below the cut stood, and says what they said."""

    hidden: torch.Tensor | None = None

    def forward(self, *_: object, **__: object) -> torch.Tensor:
        assert self.hidden is not None
        return self.hidden


class _Reached(Exception):
    def __init__(self, hidden: torch.Tensor) -> None:
        self.hidden = hidden


def _stop(module: nn.Module, args: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
    raise _Reached(output if isinstance(output, torch.Tensor) else output[0])
