"""Leaving out the last block's answers that no head reads changes nothing but the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from nbtransfer.choices import CUT_FAMILIES
from nbtransfer.engine.dropout import cheapen_dropout
from nbtransfer.models.first_token import only_first_token
from nbtransfer.models.freezing import stack_of
from tests.models.families import ROWS, TOKENS, ragged_batch, tiny_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LENGTHS = [9, 4, 7, 12]
FAMILIES = sorted(CUT_FAMILIES)


def gradients_of(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the logits and all gradients of a loss on them, by name."""
    logits = model(**batch).logits
    model.zero_grad()
    (logits * torch.arange(1.0, 1.0 + logits.numel()).view_as(logits)).sum().backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {"logits": logits.detach(), **found}


def widths_of_last_block(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> int:
    """Return for how many tokens a row the model's last block answers."""
    stack = stack_of(model.base_model)
    assert stack is not None
    widths: list[int] = []
    hook = stack.layers[-1].register_forward_hook(lambda *args: widths.append(args[-1].shape[1]))
    model(**batch)
    hook.remove()
    assert len(widths) == 1
    return widths[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_gradients_are_those_of_the_whole_block(family: str) -> None:
    """The same numbers but for rounding, padded rows included.

    In float64: how float32 rounds sums of other shapes is up to the machine.
    """
    model, batch = tiny_model(family).double(), ragged_batch(LENGTHS)
    whole = gradients_of(model, batch)
    with only_first_token(model):
        short = gradients_of(model, batch)
    assert whole.keys() == short.keys()
    for name, values in whole.items():
        largest = float(values.abs().max())
        torch.testing.assert_close(short[name], values, rtol=1e-9, atol=1e-9 * max(largest, 1.0))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_block_answers_for_one_token_and_afterwards_for_all_again(family: str) -> None:
    """Who asks the model outside gets every token's vector."""
    model, batch = tiny_model(family), ragged_batch(LENGTHS)
    with only_first_token(model):
        assert widths_of_last_block(model, batch) == 1
    assert widths_of_last_block(model, batch) == max(LENGTHS)


def test_the_block_is_whole_again_after_an_error() -> None:
    """Out of memory within a pass must not leave a changed model."""
    model, batch = tiny_model("bert"), ragged_batch(LENGTHS)
    with pytest.raises(RuntimeError, match="full"), only_first_token(model):
        raise RuntimeError("full")
    assert widths_of_last_block(model, batch) == max(LENGTHS)


@pytest.mark.parametrize(
    ("family", "head"), [("bert", TOKENS), ("modernbert", ROWS), ("electra", TOKENS)]
)
def test_heads_that_read_more_than_the_first_token_get_it(family: str, head: str) -> None:
    """Words are asked about one by one, and ModernBERT's head may take the mean."""
    model, batch = tiny_model(family, head), ragged_batch(LENGTHS)
    with only_first_token(model):
        assert widths_of_last_block(model, batch) == max(LENGTHS)


def test_dropout_in_the_shorter_block_is_drawn_and_repeatable() -> None:
    """Training drops weights of attention there too, by the same words each time."""
    model, batch = tiny_model("bert"), ragged_batch(LENGTHS)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    noise = cheapen_dropout(model)
    assert noise is not None
    found = []
    for key in (1, 1, 2):
        noise.seed([key])
        with only_first_token(model):
            found.append(model(**batch).logits)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
