"""What a task from text to text decides before the plan: prefix, targets' length, generation."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from nbtransfer.errors import quoted
from nbtransfer.models.shape import (
    SEQUENCE_TO_SEQUENCE,
    WITH_LANGUAGE_CODES,
    language_modeling_of,
)
from nbtransfer.tasks.prompts import PLACE, usual_prompt
from nbtransfer.tasks.task import Decisions

if TYPE_CHECKING:
    from nbtransfer.data.card import DataCard
    from nbtransfer.models.card import ModelCard
    from nbtransfer.spec import RunSpec
    from nbtransfer.tasks.task import Prepared

# Where the kernel cannot count tokens.
_USUAL_TARGET_LENGTH = 128
_USUAL_TARGET_MEAN = 32.0
_LEAST_ROOM = 16  # tokens for a prompt and its source


def decide(spec: RunSpec, prepared: Prepared, model: ModelCard) -> Decisions:
    """Return the card with the options decided, and what is to be measured for the plan."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from nbtransfer.data.lengths import measure_lengths

    card, train = prepared.card, prepared.splits["train"]
    problems = [*_model_problems(model, card), *_missing_packages(card)]
    notes: list[str] = []
    prompt = _prompt(spec, card, model, problems, notes)
    prefix = _prefix(spec, card, model, notes) if prompt is None else ""
    limit = model.max_positions
    length, mean = _USUAL_TARGET_LENGTH, _USUAL_TARGET_MEAN
    if spec.max_target_length is not None and spec.max_target_length > limit:
        problems.append(
            f"max_target_length={spec.max_target_length} is beyond the {limit} positions of "
            f"{quoted(model.name)}. Take at most {limit}."
        )
    if model.tokenizer_file is not None:
        lengths = measure_lengths((train["target"],), model.tokenizer_file)
        longer = 0 if prompt is None or lengths.num_special else 1  # its end-of-text token
        suggested = lengths.suggested(limit if prompt is None else limit // 2) + longer
        length = min(limit, int(spec.max_target_length or suggested))
        texts_cut, tokens_cut = lengths.cut(length)
        mean = float(lengths.tokens.mean()) * (1 - tokens_cut)
        cut = f", which cuts {texts_cut:.1%} of them" if texts_cut else ""
        notes.append(f"Targets have at most {length} tokens{cut}; as many are generated at most.")
    else:
        usual = min(length, limit if prompt is None else limit // 2)
        length = min(limit, int(spec.max_target_length or usual))
        notes.append(f"Targets are cut at {length} tokens; their lengths are not known yet.")
    options = {
        **card.settings,
        "prefix": prefix,
        **({"prompt": prompt, "max_positions": limit} if prompt is not None else {}),
        "max_target_length": length,
        "num_beams": int(spec.num_beams),
    }
    if prompt is not None and length > limit - _LEAST_ROOM:
        problems.append(
            f"targets of {length} tokens leave no room for a prompt among the {limit} positions of "
            f"{quoted(model.name)}. Take max_target_length={max(2, limit // 2)}."
        )
    joined = train["source"]
    before, _, after = (prompt or f"{prefix}{PLACE}").partition(PLACE)
    if before or after:
        around = (pa.scalar(before), joined, pa.scalar(after.replace(PLACE, "")))
        joined = pc.binary_join_element_wise(*around, "")
    return Decisions(
        card=dataclasses.replace(card, settings=options),
        texts=(joined,),
        target_tokens=length,
        mean_target_tokens=mean,
        max_positions=limit if prompt is None else max(_LEAST_ROOM, limit - length),
        in_one_sequence=prompt is not None,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _model_problems(model: ModelCard, card: DataCard) -> list[str]:
    """Return why a model cannot write texts for others."""
    if model.model_type in WITH_LANGUAGE_CODES:
        return [
            f"model {quoted(model.name)} is of the family {model.model_type!r}, which needs codes "
            "of languages among its tokens; that is not built. Take a model of one pair of "
            "languages (Helsinki-NLP/opus-mt-en-fr), t5-small or google/mt5-small."
        ]
    causal = language_modeling_of(model.model_type) == "causal-language-modeling"
    if model.model_type not in SEQUENCE_TO_SEQUENCE and not causal:
        example = (
            "Helsinki-NLP/opus-mt-en-fr" if card.task == "translation" else "facebook/bart-base"
        )
        return [
            f"model {quoted(model.name)} is of the family {model.model_type!r}, which writes no "
            f"texts: it has no decoder. For {card.task} take t5-small, {example} or another of the "
            "families t5, mt5, bart, marian and pegasus, or one that is asked in a prompt, such as "
            "gpt2 or llama."
        ]
    return []


def _missing_packages(card: DataCard) -> list[str]:
    """Return what must be installed before texts can be measured: better now than after a run."""
    from importlib.util import find_spec

    wanted = {"sacrebleu": "sacrebleu"}
    if card.task == "summarization":
        wanted["rouge_score"] = "rouge-score"
    missing = [package for module, package in wanted.items() if find_spec(module) is None]
    if not missing:
        return []
    names = " ".join(missing)
    return [f"{card.task} is measured with {names}, which is not installed: pip install {names}"]


def _prompt(
    spec: RunSpec, card: DataCard, model: ModelCard, problems: list[str], notes: list[str]
) -> str | None:
    """Return how a decoder is asked; None for a model with an encoder, which needs no words."""
    if language_modeling_of(model.model_type) != "causal-language-modeling":
        if spec.prompt is not None:
            problems.append(
                f"prompt={quoted(spec.prompt)}: {quoted(model.name)} reads its sources by an "
                "encoder. Leave it out, or take prefix= for what stands before each source."
            )
        return None
    if spec.prefix is not None:
        problems.append(
            f"prefix={quoted(spec.prefix)}: {quoted(model.name)} is asked in a prompt. Take "
            f"prompt={quoted(spec.prefix + PLACE)}."
        )
    if spec.prompt is None:
        prompt = usual_prompt(card.task, card.settings.get("languages"))
        notes.append(f"Each source is asked for in the prompt {quoted(prompt, 200)}.")
    else:
        prompt = spec.prompt
        notes.append(f"Each source is asked for in the prompt {quoted(prompt, 200)}, as asked.")
    notes.append("Where the tokenizer has a chat template, the prompt is a user's message in it.")
    return prompt


def _prefix(spec: RunSpec, card: DataCard, model: ModelCard, notes: list[str]) -> str:
    """Return what stands before each source: T5 was trained with its tasks in words."""
    if spec.prefix is not None:
        if spec.prefix:
            notes.append(f"Each source begins with {quoted(spec.prefix)}, as asked.")
        return spec.prefix
    if model.model_type != "t5":
        return ""
    languages = card.settings.get("languages")
    if card.task == "summarization":
        prefix = "summarize: "
    elif languages:
        prefix = f"translate {languages[0]} to {languages[1]}: "
    else:
        notes.append(
            "No prefix stands before the sources, because the languages are not known. T5 was "
            "trained with one: --prefix 'translate English to French: '"
        )
        return ""
    notes.append(
        f"Each source begins with {quoted(prefix)}, as T5 was trained; --prefix changes it."
    )
    return prefix
