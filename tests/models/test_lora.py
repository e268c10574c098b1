"""LoRA on tiny models: which weights learn, peft's own answers, merging, and peft's own format."""

from __future__ import annotations

import pytest
import torch

from nbtransfer.errors import ModelError
from nbtransfer.models.freezing import frozen_digest
from nbtransfer.models.load import backbone_of
from nbtransfer.models.lora import (
    add_adapters,
    has_adapters,
    merge_adapters,
    save_adapter,
)
from nbtransfer.models.lora_targets import attention_targets
from nbtransfer.spec import RunSpec
from tests.models.families import (
    DECODERS,
    ENCODERS,
    NEXT,
    ROWS,
    give_adapters,
    let_adapters_speak,
    ragged_batch,
    tiny_model,
)
from tests.test_planning import MODEL

pytestmark = pytest.mark.slow


def adapted(family, head=ROWS, **asked):
    model = tiny_model(family, head)
    outside = {id(p) for p in model.base_model.parameters()}
    names = {n for n, p in model.named_parameters() if id(p) not in outside}
    return model, names, give_adapters(model, whole_head=head == ROWS, **asked)


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS, "mpnet", "deberta-v2"])
def test_only_adapters_and_the_head_learn(family):
    model, head, words = adapted(family)
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    adapters = {n for n in learning if "lora_" in n}
    assert adapters and learning == adapters | head
    assert all(p.dtype == torch.float32 for p in model.parameters())
    share = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert words.startswith(f"LoRA r=8: {share:,} weights learn")


def test_the_usual_layers_are_those_that_peft_takes():
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as PEFT

    for family in [*ENCODERS, *DECODERS, "mpnet", "deberta-v2"]:
        names = [
            n for n, m in tiny_model(family).base_model.named_modules() if hasattr(m, "weight")
        ]
        assert family not in PEFT or list(attention_targets(names)) == PEFT[family], family


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_a_new_adapter_changes_nothing_and_a_merged_one_answers_as_before(family):
    batch = ragged_batch([9, 30, 14, 3])
    plain = tiny_model(family).eval()(**batch).logits
    model, _, _ = adapted(family, lora_r=4, lora_target_modules="all-linear")
    model.eval()
    torch.testing.assert_close(model(**batch).logits, plain)
    let_adapters_speak(model)
    beside = model(**batch).logits
    assert (beside - plain).abs().max() > 0.01
    names = set(tiny_model(family).state_dict())
    merge_adapters(model)
    assert set(model.state_dict()) == names and not has_adapters(model)
    torch.testing.assert_close(model(**batch).logits, beside, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("family", "head"), [("bert", ROWS), ("roberta", ROWS), ("gpt2", NEXT)])
def test_peft_loads_the_adapter_onto_the_model_that_training_began_with(tmp_path, family, head):
    from peft import PeftModel

    batch = ragged_batch([9, 30, 14, 3])
    model, _, _ = adapted(family, head)
    let_adapters_speak(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "lora_" not in name:
                parameter.add_(0.05)
    save_adapter(model, tmp_path / "adapter")
    loaded = PeftModel.from_pretrained(tiny_model(family, head), tmp_path / "adapter").eval()
    torch.testing.assert_close(loaded(**batch).logits, model.eval()(**batch).logits)


def test_the_hash_is_of_what_does_not_learn():
    model, _, _ = adapted("bert")
    before = frozen_digest(model)
    let_adapters_speak(model)
    assert frozen_digest(model) == before
    with torch.no_grad():
        next(p for p in model.parameters() if not p.requires_grad).add_(1e-3)
    assert frozen_digest(model) != before


def test_the_head_is_never_adapted_and_output_embeddings_neither():
    model, _, _ = adapted("roberta", lora_target_modules="all-linear")
    assert not [n for n, _ in model.classifier.named_modules() if "lora" in n]
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    config = AutoConfig.for_model(
        "t5", vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2
    )
    t5 = AutoModelForSeq2SeqLM.from_config(config)
    spec = RunSpec(model="m", data="d", technique="lora", lora_target_modules="all-linear")
    add_adapters(t5, backbone_of(t5), spec, MODEL, set())
    assert not any("lora" in name for name, _ in t5.lm_head.named_modules())
    assert any("lora" in name for name, _ in t5.named_modules())


def test_a_layer_that_is_not_there_is_told_by_the_worker_too():
    with pytest.raises(ModelError, match=r"no linear layer 'valeu'.*Did you mean 'value'\?"):
        adapted("bert", lora_target_modules="query,valeu")
