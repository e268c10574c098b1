"""Word vectors that no row uses stay as they were; the others learn as in a whole vocabulary."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from nbtransfer.data.encode import EncodedTexts
from nbtransfer.models.vocabulary import UsedWords, train_used_words
from tests.models.families import NEXT, PADDING, tiny_model

USED = [4, 5, 9, 17, 23, 30]


def rows_of(tokens: list[int]) -> EncodedTexts:
    """Return two rows of these tokens."""
    return EncodedTexts(
        tokens=np.array(tokens, np.int32),
        offsets=np.array([0, 2, len(tokens)]),
        pad_token_id=PADDING,
    )


def learn(model: torch.nn.Module, batch: dict[str, torch.Tensor], steps: int = 3) -> None:
    """Take a few steps of AdamW without decay, which moves words without a gradient too."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0, fused=True)
    for _ in range(steps):
        model(**batch).logits.square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "modernbert"])
def test_training_the_used_words_is_training_all(family: str) -> None:
    """Every weight of the model is the same afterwards, but for rounding."""
    ours = tiny_model(family)
    whole = copy.deepcopy(ours)
    rows = rows_of(USED)
    batch = rows.batch(np.array([0, 1]))
    words = train_used_words(ours, [rows])
    assert words is not None and words.num_words == (8, 50)  # 0 and the padding, 1, too
    learn(ours, batch)
    learn(whole, batch)
    words.restore()
    for name, theirs in whole.state_dict().items():
        if not name.endswith(("key.bias", "k_lin.bias")):  # gradients of rounding alone
            torch.testing.assert_close(
                ours.state_dict()[name], theirs, rtol=1e-4, atol=1e-5, msg=name
            )
    torch.testing.assert_close(ours(**batch).logits, whole(**batch).logits, rtol=1e-4, atol=1e-4)


def test_unused_words_keep_their_bits() -> None:
    """Neither updates nor decay reach them."""
    model, rows = tiny_model("bert"), rows_of(USED)
    before = model.get_input_embeddings().weight.detach().clone()
    words = train_used_words(model, [rows])
    assert isinstance(words, UsedWords)
    learn(model, rows.batch(np.array([0, 1])))
    words.restore()
    after = model.get_input_embeddings().weight.detach()
    unused = [i for i in range(50) if i not in USED]
    assert torch.equal(after[unused], before[unused])
    assert not torch.isclose(after[USED], before[USED]).all(dim=1).any()


def test_the_state_holds_the_used_words_alone() -> None:
    """Checkpoints shrink with the vocabulary, and what they hold has the usual name."""
    model = tiny_model("bert")
    name = "bert.embeddings.word_embeddings.weight"
    names = set(model.state_dict())
    assert train_used_words(model, [rows_of(USED)]) is not None
    assert set(model.state_dict()) == names
    assert model.state_dict()[name].shape == (8, 32)


def test_a_word_that_was_not_announced_fails() -> None:
    """It must not be taken for another word."""
    model = tiny_model("bert")
    train_used_words(model, [rows_of(USED)])
    with pytest.raises(IndexError):
        model(input_ids=torch.tensor([[4, 40]]))


def test_all_splits_count() -> None:
    """Validation rows are asked about while the model trains."""
    model = tiny_model("bert")
    words = train_used_words(model, [rows_of(USED), rows_of([40, 41, 42])])
    assert words is not None and words.num_words == (11, 50)


def frozen(model: torch.nn.Module) -> torch.nn.Module:
    """Freeze the model's word vectors."""
    model.get_input_embeddings().weight.requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        pytest.param(frozen(tiny_model("bert")), USED, id="frozen"),
        pytest.param(tiny_model("gpt2", NEXT), USED, id="tied to the output"),
        pytest.param(tiny_model("bert"), list(range(45)), id="most of the vocabulary"),
    ],
)
def test_the_model_stays_as_it_is_where_there_is_nothing_to_gain(
    model: torch.nn.Module, tokens: list[int]
) -> None:
    """Frozen vectors have no moments, and tied ones make the output of a language model."""
    before = model.get_input_embeddings()
    assert train_used_words(model, [rows_of(tokens)]) is None
    assert model.get_input_embeddings() is before
