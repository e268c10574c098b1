"""What a task from text to text decides before the plan: prefix, targets' length, generation."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from nbtransfer.errors import quoted
from nbtransfer.models.shape import SEQUENCE_TO_SEQUENCE, WITH_LANGUAGE_CODES
from nbtransfer.tasks.task import Decisions

if TYPE_CHECKING:
    from nbtransfer.data.card import DataCard
    from nbtransfer.models.card import ModelCard
    from nbtransfer.spec import RunSpec
    from nbtransfer.tasks.task import Prepared

# Where the kernel cannot count tokens.
_USUAL_TARGET_LENGTH = 128
_USUAL_TARGET_MEAN = 32.0


def decide(spec: RunSpec, prepared: Prepared, model: ModelCard) -> Decisions:
    """Return the card with the options decided, and what is to be measured for the plan."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from nbtransfer.data.lengths import measure_lengths

    card, train = prepared.card, prepared.splits["train"]
    problems = [*_model_problems(model, card), *_missing_packages(card)]
    notes: list[str] = []
    prefix = _prefix(spec, card, model, notes)
    limit = model.max_positions
    length, mean = _USUAL_TARGET_LENGTH, _USUAL_TARGET_MEAN
    if spec.max_target_length is not None and spec.max_target_length > limit:
        problems.append(
            f"max_target_length={spec.max_target_length} is beyond the {limit} positions of "
            f"{quoted(model.name)}. Take at most {limit}."
        )
    if model.tokenizer_file is not None:
        lengths = measure_lengths((train["target"],), model.tokenizer_file)
        length = min(limit, int(spec.max_target_length or lengths.suggested(limit)))
        texts_cut, tokens_cut = lengths.cut(length)
        mean = float(lengths.tokens.mean()) * (1 - tokens_cut)
        cut = f", which cuts {texts_cut:.1%} of them" if texts_cut else ""
        notes.append(f"Targets have at most {length} tokens{cut}; as many are generated at most.")
    else:
        length = min(limit, int(spec.max_target_length or length))
        notes.append(f"Targets are cut at {length} tokens; their lengths are not known yet.")
    options = {
        **card.settings,
        "prefix": prefix,
        "max_target_length": length,
        "num_beams": int(spec.num_beams),
    }
    joined = train["source"]
    if prefix:
        joined = pc.binary_join_element_wise(pa.scalar(prefix), joined, "")
    return Decisions(
        card=dataclasses.replace(card, settings=options),
        texts=(joined,),
        target_tokens=length,
        mean_target_tokens=mean,
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
    if model.model_type not in SEQUENCE_TO_SEQUENCE:
        example = (
            "Helsinki-NLP/opus-mt-en-fr" if card.task == "translation" else "facebook/bart-base"
        )
        return [
            f"model {quoted(model.name)} is of the family {model.model_type!r}, which has no "
            f"encoder and decoder together; {card.task} needs both. Take t5-small, {example} or "
            "another of the families t5, mt5, bart, marian and pegasus."
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
