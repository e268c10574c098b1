"""What a plan decides for language modelling: blocks, steps, and the memory of the logits."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.choices import Length
from nbtransfer.data.span_corruption import MEAN_SPAN
from nbtransfer.errors import count_of, quoted
from nbtransfer.models.shape import language_modeling_of
from nbtransfer.tasks.blocks import count_blocks
from nbtransfer.tasks.span_corruption import FIRST_SENTINEL, NO_SENTINELS

if TYPE_CHECKING:
    from nbtransfer.choices import Steps
    from nbtransfer.data.card import DataCard
    from nbtransfer.data.lengths import Lengths
    from nbtransfer.models.card import ModelCard
    from nbtransfer.planning import Plan
    from nbtransfer.spec import RunSpec

# Longer blocks cost memory for logits and attention, and a domain's words need little context.
_DEFAULT_BLOCK = 256
_GUESSED_TOKENS = 128
# Tensors of the logits' size that a backward pass holds at once: logits, their logarithms, and the
# gradients of both.
_COPIES = 4
_READS = {
    "masked-language-modeling": "read both sides",
    "causal-language-modeling": "read the left side only",
    "span-corruption": "write what is hidden of a text",
}


class BlockPlan(NamedTuple):
    """How long blocks are, how many the training documents become, and that in words."""

    length: Length
    num_blocks: int
    notes: tuple[str, ...]


def plan_blocks(
    spec: RunSpec, data: DataCard, lengths: Lengths | None, model: ModelCard
) -> BlockPlan:
    """Return the blocks that the training documents are cut into; nothing is lost by it."""
    limit, num_documents = model.max_positions, data.num_rows["train"]
    problems: tuple[str, ...] = ()
    if spec.max_length is not None and spec.max_length > limit:
        problems = (
            f"max_length={spec.max_length} is beyond the {limit} positions of "
            f"{quoted(model.name)}. Take at most {limit}.",
        )
    wanted = _DEFAULT_BLOCK if lengths is None else min(_DEFAULT_BLOCK, lengths.suggested(limit))
    chosen = max(4, min(limit, int(spec.max_length or wanted)))
    if lengths is None or not len(lengths.tokens):
        length = Length(chosen, min(_GUESSED_TOKENS, chosen), chosen, 0.0, 0.0, problems)
        note = f"Documents are cut into blocks of {chosen} tokens, counted when the run starts."
        return BlockPlan(length, num_documents, (note,))
    masked = data.task != "causal-language-modeling"
    # A tokenizer that frames no text leaves room for the end-of-text token.
    tokens = lengths.tokens if masked or lengths.num_special else lengths.tokens + 1
    counted = count_blocks(tokens, chosen, num_framing=lengths.num_special if masked else None)
    num_blocks = round(counted * num_documents / len(tokens))
    mean = min(chosen, float(tokens.sum(dtype="int64")) / counted)
    longest = min(chosen, int(tokens.max()))
    length = Length(chosen, mean, longest, 0.0, 0.0, problems)
    note = (
        f"{count_of(num_documents, 'document')} become {count_of(num_blocks, 'block')} of at most "
        f"{chosen} tokens; nothing is cut off, and no block spans two documents."
    )
    return BlockPlan(length, num_blocks, (note,))


def language_problems(data: DataCard, model: ModelCard) -> list[str]:
    """Return why the model's family cannot learn this way, if it cannot."""
    able = language_modeling_of(model.model_type)
    if able == data.task:
        return _sentinel_problems(model) if able == "span-corruption" else []
    family = quoted(model.model_type)
    if able is None:
        return [
            f"{quoted(model.name)} is of the family {family}, which neither guesses hidden tokens "
            "or next ones nor writes hidden stretches as T5 does; other ways of pre-training are "
            "not built. Take a model such as bert-base-uncased, gpt2 or t5-small."
        ]
    reads = _READS[able]
    return [
        f"task={data.task!r}: models of the family {family} {reads}. Take task={able!r} for "
        f"{quoted(model.name)}."
    ]


def _sentinel_problems(model: ModelCard) -> list[str]:
    """Return that the tokenizer has nothing to put in the place of what is hidden, if so."""
    if model.tokenizer_file is None:  # the worker sees, and says the same
        return []
    names = Path(model.tokenizer_file).read_text(encoding="utf-8", errors="replace")
    if f'"{FIRST_SENTINEL}"' in names:
        return []
    return [f"{quoted(model.name)}: {NO_SENTINELS}"]


def logits_bytes(spec: RunSpec, data: DataCard, model: ModelCard, tokens: int) -> int:
    """Return what the logits of a training batch take, with their gradients, in float32."""
    share = 1.0
    if data.task == "masked-language-modeling":
        share = float(spec.mlm_probability)
    elif data.task == "span-corruption":
        share = float(spec.mlm_probability) * (1 + 1 / MEAN_SPAN)  # a sentinel each stretch
    rows = int(spec.per_device_train_batch_size)
    return int(_COPIES * 4 * rows * tokens * share * model.vocab_size)


def confirmed_plan(plan: Plan, spec: RunSpec, counted: Steps) -> Plan:
    """Return the plan with the steps that the worker counted."""
    every = plan.eval_every_steps
    return dataclasses.replace(
        plan,
        num_steps=counted.total,
        steps_per_epoch=counted.per_epoch,
        num_train_epochs=counted.epochs,
        warmup_steps=counted.warmup,
        eval_every_steps=every and int(spec.eval_steps or counted.per_epoch),
        time_s=plan.time_s * counted.total / max(1, plan.num_steps),
    )
