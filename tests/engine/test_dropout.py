from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2Model

from nbtransfer.engine.dropout import CheapDropout, DropoutNoise, cheapen_dropout


def tiny_bert(**options: float) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        **options,
    )
    return BertForSequenceClassification(config).train()


IDS = torch.randint(5, 50, (4, 12), generator=torch.Generator().manual_seed(1))
MASK = torch.ones(4, 12, dtype=torch.long)
MASK[1, 7:] = 0


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5])
def test_elements_are_dropped_with_the_probability_asked_for(p):
    noise = DropoutNoise()
    noise.seed((7, 1, 2))
    kept = torch.cat([noise.keep(torch.Size((1000, 33)), p).flatten() for _ in range(12)])
    assert sorted(kept.unique().tolist()) == pytest.approx([0.0, 1 / (1 - p)])
    share = float((kept == 0).float().mean())
    assert abs(share - p) < 4 * (p * (1 - p) / len(kept)) ** 0.5 + 1 / 65_536


def test_drops_of_neighbours_rows_and_passes_are_independent():
    noise = DropoutNoise()

    def dropped(step: int) -> torch.Tensor:
        noise.seed((7, step, 0))
        return (noise.keep(torch.Size((200, 500)), 0.5) == 0).double()

    first, second = dropped(0), dropped(1)
    pairs = [
        (first[:, 1:], first[:, :-1]),
        (first[:, 4:], first[:, :-4]),
        (first[1:], first[:-1]),
        (first, second),
    ]
    for a, b in pairs:
        together = float((a * b).mean())
        assert abs(together - 0.25) < 4 * (0.1875 / a.numel()) ** 0.5


def test_the_same_key_gives_the_same_words_whatever_came_before():
    noise, other = DropoutNoise(), DropoutNoise()
    noise.seed((1, 2, 3))
    noise.keep(torch.Size((70, 70)), 0.1)
    for each in (noise, other):
        each.seed((3, 9, 16))
    for shape in ((5, 7), (300, 999), (2, 2)):
        mine = noise.keep(torch.Size(shape), 0.1)
        assert torch.equal(mine, other.keep(torch.Size(shape), 0.1))
    other.seed((3, 9, 17))
    assert not torch.equal(
        other.keep(torch.Size((99, 9)), 0.5), noise.keep(torch.Size((99, 9)), 0.5)
    )


def test_a_model_is_changed_in_nothing_but_its_noise():
    plain, cheap = tiny_bert(), tiny_bert()
    before = cheap.config.to_json_string()
    noise = cheapen_dropout(cheap)
    assert noise is not None
    assert cheap.config.to_json_string() == before
    assert plain.state_dict().keys() == cheap.state_dict().keys()
    with torch.no_grad():
        batch = {"input_ids": IDS, "attention_mask": MASK}
        assert torch.equal(plain.eval()(**batch).logits, cheap.eval()(**batch).logits)


def test_gradients_without_drops_are_those_of_torchs_own_attention():
    """Dropout too rare to ever happen leaves the attention's arithmetic alone to differ."""
    rare = {"hidden_dropout_prob": 1e-7, "attention_probs_dropout_prob": 1e-7}
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    plain, cheap = tiny_bert(**none), tiny_bert(**rare)
    noise = cheapen_dropout(cheap)
    assert noise is not None
    noise.seed((1, 0, 0))
    batch = {"input_ids": IDS, "attention_mask": MASK, "labels": torch.tensor([0, 1, 0, 1])}
    for model in (plain, cheap):
        model(**batch).loss.backward()
    for (name, a), b in zip(plain.named_parameters(), cheap.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_dropout_inside_attention_takes_the_words_too():
    model = tiny_bert(hidden_dropout_prob=0.0)
    noise = cheapen_dropout(model)
    assert noise is not None

    def logits(step: int) -> torch.Tensor:
        torch.manual_seed(step)  # torch's own numbers must not matter
        noise.seed((1, 5, 0))
        return model(input_ids=IDS, attention_mask=MASK).logits

    assert torch.equal(logits(0), logits(1))
    assert not torch.equal(logits(0), model(input_ids=IDS, attention_mask=MASK).logits)


def test_a_causal_model_keeps_its_mask():
    config = GPT2Config(vocab_size=50, n_positions=16, n_embd=32, n_layer=1, n_head=2)
    torch.manual_seed(0)
    model = GPT2Model(config).train()
    noise = cheapen_dropout(model)
    assert noise is not None
    changed = IDS.clone()
    changed[:, -1] = 7

    def hidden(ids: torch.Tensor) -> torch.Tensor:
        noise.seed((1, 5, 0))
        torch.manual_seed(0)
        return model(input_ids=ids, attention_mask=MASK).last_hidden_state[0, :-1]

    assert torch.equal(hidden(IDS), hidden(changed))


def test_a_model_without_dropout_needs_no_noise():
    assert cheapen_dropout(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0))) is None


def test_dropout_in_evaluation_returns_its_input():
    layer = nn.Dropout(0.5)
    cheapen_dropout(nn.Sequential(layer))
    assert isinstance(layer, CheapDropout)
    x = torch.ones(3)
    assert layer.eval()(x) is x
