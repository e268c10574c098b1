"""Tests of nbtransfer.language_plan: blocks, steps, families, and the memory of the logits."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from nbtransfer import api
from nbtransfer.choices import count_steps
from nbtransfer.errors import ModelError, SpecError
from nbtransfer.language_plan import confirmed_plan, logits_bytes
from nbtransfer.models.shape import language_modeling_of
from tests.engine.language_jobs import write_model

TEXTS = [f"the quick brown fox number {i} jumps over the lazy dog again" for i in range(50)]


def plan(texts=TEXTS, model="demo:bert-tiny", task="masked-language-modeling", **keywords):
    return api.plan(model, texts, task=task, use_cpu=True, **keywords)


def test_long_documents_become_more_steps_and_nothing_is_cut():
    short, long = plan(), plan([" ".join(TEXTS)] * 3 + TEXTS[:2], max_length=32)
    assert short.steps_per_epoch == 3  # 45 documents, 16 a step
    assert long.steps_per_epoch > 3
    assert long.share_texts_cut == long.share_tokens_cut == 0
    assert any("nothing is cut off" in note for note in long.notes)
    assert not any("cuts" in warning for warning in long.warnings)


def test_blocks_are_at_most_256_tokens_unless_asked():
    long = [" ".join(TEXTS)] * 4 + TEXTS
    assert plan(long).max_length == 256
    assert plan(long, max_length=400).max_length == 400


def test_the_logits_count_in_memory():
    spec, card = (plan_parts(mlm_probability=0.15), plan_parts(mlm_probability=0.3))
    assert logits_bytes(*card, 100) == 2 * logits_bytes(*spec, 100)
    assert logits_bytes(*spec, 100) == int(4 * 4 * 16 * 100 * 0.15 * 30522)


def plan_parts(**keywords):
    job = api.prepare_job(
        "demo:bert-tiny", TEXTS, keywords={"task": "masked-language-modeling", **keywords}
    )
    return job.spec, job.prepared.card, job.model_card


def test_what_the_worker_counts_replaces_the_steps():
    before = plan()
    spec = plan_parts()[0]
    after = confirmed_plan(before, spec, count_steps(spec, 160))
    assert (after.steps_per_epoch, after.num_steps) == (10, 30)
    assert after.eval_every_steps == 10
    assert dataclasses.replace(after, **{
        name: getattr(before, name)
        for name in ("steps_per_epoch", "num_steps", "warmup_steps", "eval_every_steps", "time_s")
    }) == before  # fmt: skip


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            {"task": "causal-language-modeling"},
            "models of the family 'bert' read both sides. Take task='masked-language-modeling'",
        ),
        ({"technique": "head"}, "technique='head' is not one of masked language modelling's"),
        ({"metric_for_best_model": "f1_macro"}, "is not one of masked language modelling's"),
        ({"class_weights": "balanced"}, "class_weights weigh single classes"),
        ({"max_length": 1024}, "max_length=1024 is beyond the 512 positions"),
        ({"mlm_probability": 0.95}, "mlm_probability=0.95 must be a number above 0"),
        ({"whole_word_mask": "yes"}, "whole_word_mask='yes' must be True or False"),
        ({"label": "label"}, "masked language modelling has no column 'label'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_loads(keywords, message):
    with pytest.raises(SpecError) as caught:
        plan(**keywords)
    assert message in str(caught.value)


def test_options_of_masking_are_refused_where_nothing_is_hidden():
    rows = [{"text": text, "label": i % 2} for i, text in enumerate(TEXTS)]
    with pytest.raises(SpecError, match="whole_word_mask is masked language modelling's"):
        api.plan("demo:bert-tiny", rows, whole_word_mask=True)


def test_a_sentence_model_s_missing_head_is_a_warning():
    assert any(
        "without the head that guesses tokens" in w for w in plan(model="demo:minilm").warnings
    )
    scratch = plan(model="demo:minilm", from_scratch=True)
    assert not any("without the head" in w for w in scratch.warnings)
    assert not any("without the head" in w for w in plan().warnings)


def test_the_family_says_how_a_model_is_pre_trained():
    assert language_modeling_of("roberta") == "masked-language-modeling"
    assert language_modeling_of("llama") == "causal-language-modeling"
    assert language_modeling_of("mt5") == "span-corruption"
    assert [language_modeling_of(f) for f in ("bart", "xlnet", "no-such")] == [None] * 3
    assert api.pretraining_task("demo:bert-tiny") == "masked-language-modeling"


def test_an_encoder_decoder_that_hides_text_in_another_way_is_refused_by_name(tmp_path):
    class Model:
        class config:
            model_type = "bart"

    with pytest.raises(ModelError, match="family 'bart' cannot be pre-trained here: their own way"):
        api.pretraining_task(Model())


@pytest.mark.slow
def test_the_families_are_those_of_transformers():
    from transformers.models.auto import modeling_auto

    from nbtransfer.models.shape import CLASSIFIABLE

    masked = set(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    causal = set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    for family in CLASSIFIABLE:
        task = language_modeling_of(family)
        known = {
            "masked-language-modeling": masked,
            "causal-language-modeling": causal,
            "span-corruption": set(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES),
        }
        assert task is None or family in known[task], family


@pytest.mark.slow
def test_a_t5_without_sentinels_is_refused_before_anything_starts(tmp_path):
    folder = Path(write_model(tmp_path, "t5"))
    assert plan(model=str(folder), task="span-corruption").num_steps > 0
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("<extra_id_", "<other_"))
    with pytest.raises(SpecError, match="has no tokens <extra_id_0>, <extra_id_1> and so on"):
        plan(model=str(folder), task="span-corruption")
