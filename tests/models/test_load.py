"""Tests of nbtransfer.models.load: what is a model's head, and what of it learns."""

from __future__ import annotations

import pytest
import transformers
from transformers import AutoConfig

from nbtransfer.models.load import _renew_head, freeze, head_of, set_training_mode
from tests.models.families import ROWS, TOKENS, tiny_model

SPANS = "QuestionAnswering"
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "num_labels": 3}


def tiny_t5(head):
    config = AutoConfig.for_model("t5", vocab_size=50, **T5)
    return getattr(transformers, f"T5For{head}")(config)


def learning(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


QA = {"qa_outputs.weight", "qa_outputs.bias"}
DENSE = {
    f"classification_head.{layer}.{p}"
    for layer in ("dense", "out_proj")
    for p in ("weight", "bias")
}


@pytest.mark.parametrize(
    ("model", "head"),
    [
        (tiny_t5(SPANS), QA),
        (tiny_t5(ROWS), DENSE),
        (tiny_t5(TOKENS), {"classifier.weight", "classifier.bias"}),
        (tiny_model("bert", SPANS), QA),
        (tiny_model("gpt2", ROWS), {"score.weight"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_head_is_what_lies_outside_the_pre_trained_parts(model, head):
    assert head_of(model) == head
    freeze(model, "head")
    assert learning(model) == head
    set_training_mode(model, "head")
    frozen = {name for name, module in model.named_modules() if not module.training}
    whole = {name.rpartition(".")[0] for name in head}
    assert frozen and not frozen & whole


def test_a_new_head_leaves_the_pre_trained_layers_alone():
    model = tiny_t5(SPANS)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    _renew_head(model)
    changed = {n for n, p in model.named_parameters() if not p.equal(before[n])}
    assert changed == {"qa_outputs.weight"}


@pytest.mark.slow
def test_families_have_the_heads_that_they_are_not_said_to_lack():
    from transformers.models.auto import modeling_auto

    from nbtransfer.models.heads import FAMILIES, WITHOUT_HEAD

    there = {
        "AutoModelForSequenceClassification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
        "AutoModelForTokenClassification": "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES",
        "AutoModelForQuestionAnswering": "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES",
    }
    assert set(WITHOUT_HEAD) == set(there)
    for auto_class, lacking in WITHOUT_HEAD.items():
        assert set(getattr(modeling_auto, there[auto_class])) >= FAMILIES - lacking
