"""RunSpec: what was asked for, in transformers' names, checked in one go before anything loads."""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from nbtransfer.errors import SpecError, nearest, quoted
from nbtransfer.tasks.metric_words import METRICS

TaskName = Literal[
    "token-classification",
    "question-answering",
    "multi-label-classification",
    "text-regression",
    "text-classification",
    "masked-language-modeling",
    "causal-language-modeling",
    "span-corruption",
    "translation",
    "summarization",
]
Technique = Literal["full", "top:2", "head", "features", "lora"]  # top:N for any N
Scheduler = Literal["linear", "cosine", "constant"]
Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
StepKind = Literal["auto", "eager", "graphed"]

LANGUAGE_MODELING = ("masked-language-modeling", "causal-language-modeling", "span-corruption")
# Fields that name a column of the data; each task reads some of them.
ROLES = (
    *("text", "text_pair", "label"),
    *("question", "context", "answers", "answer_start"),
    *("tokens", "tags", "spans"),
    *("source", "target"),
)
NOT_BUILT_TECHNIQUES = ("gradual", "layerwise", "setfit")


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One fine-tuning job as asked for. None means: nbtransfer decides, and the plan says what.

    Attributes:
        model: the model as typed: `demo:NAME`, a folder, a run id, a hub id, or a variable's name.
        data: the data as typed: `demo:NAME`, a file or glob, a hub id, or a variable's name.
        task: the task's name; None recognises it from the data.
        text: the column that holds the text.
        text_pair: the column that holds a second text, to be read with the first.
        label: the column that holds the class; of several classes a row also all their columns,
            each a 0 or 1, with commas between.
        question: the column that holds the question.
        context: the column that holds the text that answers it.
        answers: the column that holds the answers: SQuAD's texts and starts, or one text.
        answer_start: the column that holds the answers' first characters, where `answers` does not.
        tokens: the column that holds each row's words.
        tags: the column that holds a tag for each word.
        spans: the column that holds the entities of `text`, each with start, end and label.
        source: the column that holds what is to be translated or summarised.
        target: the column that holds the translation or summary.
        technique: `full` trains every layer, `top:N` the last N and the head, `head` only the head,
            `features` a linear layer on the mean-pooled, frozen encoder, `lora` the head and thin
            adapters beside frozen layers.
        lora_r: rank of the adapters; None takes 8.
        lora_alpha: their output is scaled by lora_alpha / lora_r; None takes twice the rank.
        lora_dropout: dropout before them; None takes none.
        lora_target_modules: names of the layers that get one, separated by commas, or
            `all-linear`; None takes attention's queries and values.
        num_train_epochs: passes over the training rows; may be a fraction.
        max_steps: optimizer steps in all; overrides the epochs when positive.
        per_device_train_batch_size: rows a forward pass.
        per_device_eval_batch_size: rows a forward pass in evaluation; None takes 64, on an
            accelerator as many as its memory holds, up to 1,024.
        gradient_accumulation_steps: forward passes an optimizer step.
        learning_rate: the peak of the schedule.
        lr_scheduler_type: how the rate falls after the warm-up.
        warmup_steps: optimizer steps of linear warm-up; below 1, a share of all steps.
        weight_decay: AdamW's decay, not applied to biases and normalisation weights.
        adam_beta1: AdamW's decay of the first moment.
        adam_beta2: AdamW's decay of the second moment.
        adam_epsilon: AdamW's term in the denominator.
        max_grad_norm: gradients are scaled down to this norm; 0 turns clipping off.
        max_length: tokens a text is cut to.
        max_target_length: tokens a target is cut to, and the most that are generated; None keeps
            99 % of the targets whole.
        prefix: what stands before each source; None takes T5's own by task, `""` takes none.
        prompt: how a decoder without an encoder is asked, `{source}` standing for the source; None
            takes one by task and languages.
        num_beams: beams of generation; 1 is greedy.
        eval_generate_rows: validation rows that are generated for at each evaluation while
            training; the final report generates for all. None takes as many as are quick.
        validation: a split's name, a fraction, a file, or False; None takes a split named
            validation or dev, otherwise 10 %, stratified.
        metric_for_best_model: decides which evaluated model is kept; None takes the task's main
            one.
        class_weights: `balanced`, or a weight for each class by name.
        mlm_probability: share of tokens that masked language modelling or span corruption hides.
        whole_word_mask: hide all tokens of a word together.
        early_stopping_patience: evaluations without a better metric after which training stops.
        eval_steps: optimizer steps between evaluations; None evaluates after each epoch.
        precision: arithmetic of the forward and backward pass; weights stay float32.
        step: how a step is taken: `eager` (any device; on a CPU without padding where the model's
            family can) or `graphed` (packed batches and CUDA graphs, not measured on this release);
            `auto` takes eager.
        deterministic: take only operations that give the same bits each time, so that on a GPU too
            a resumed run equals one that never stopped. On a CPU it does in any case.
        use_cpu: train on the CPU even where an accelerator is there.
        from_scratch: start from random weights of the same architecture (to show what pre-training
            buys).
        keep_head: go on with the classification head that the model carries, whose classes must be
            the data's, in any order; otherwise a new one is trained unless they are the same.
        seed: decides initial head weights, order of rows and dropout.
        name: the run's name; None draws one.
    """

    model: str
    data: str
    task: TaskName | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    question: str | None = None
    context: str | None = None
    answers: str | None = None
    answer_start: str | None = None
    tokens: str | None = None
    tags: str | None = None
    spans: str | None = None
    source: str | None = None
    target: str | None = None
    technique: str = "full"
    lora_r: int | None = None
    lora_alpha: int | None = None
    lora_dropout: float | None = None
    lora_target_modules: str | None = None
    num_train_epochs: float = 3.0
    max_steps: int = -1
    per_device_train_batch_size: int = 16
    per_device_eval_batch_size: int | None = None
    gradient_accumulation_steps: int = 1
    learning_rate: float | None = None
    lr_scheduler_type: Scheduler = "linear"
    warmup_steps: float = 0.06
    weight_decay: float = 0.01
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    max_length: int | None = None
    max_target_length: int | None = None
    prefix: str | None = None
    prompt: str | None = None
    num_beams: int = 1
    eval_generate_rows: int | None = None
    validation: str | float | bool | None = None
    metric_for_best_model: str | None = None
    class_weights: str | dict[str, float] | None = None
    mlm_probability: float = 0.15
    whole_word_mask: bool = False
    early_stopping_patience: int | None = None
    eval_steps: int | None = None
    precision: Precision = "auto"
    step: StepKind = "auto"
    deterministic: bool = False
    use_cpu: bool = False
    from_scratch: bool = False
    keep_head: bool = False
    seed: int = 42
    name: str | None = None

    def __post_init__(self) -> None:
        """Take numpy's numbers, and 16.0 where a whole number is meant, as plain numbers."""
        for name in (*_RANGES, "max_steps"):
            object.__setattr__(self, name, _plain_number(name, getattr(self, name)))
        for name in (*ROLES, "lora_target_modules"):
            joined = joined_names(getattr(self, name), numbered=name in ROLES)
            object.__setattr__(self, name, joined)

    def problems(self) -> list[str]:
        """Return everything wrong with the values, one line each; empty if all is well."""
        found = [*_choice_problems(self), *_range_problems(self)]
        if self.name is not None:
            from nbtransfer.runs.paths import check_run_name

            try:
                check_run_name(self.name)
            except SpecError as error:
                found.append(f"name: {error}")
        return found

    @property
    def columns(self) -> dict[str, str | None]:
        """The columns as named by the user, by role; None where the role is to be recognised."""
        return {role: getattr(self, role) for role in ROLES}

    @property
    def eval_batch_size(self) -> int:
        """Rows a forward pass in evaluation as long as it is not known how many memory holds."""
        asked = self.per_device_eval_batch_size
        return _EVAL_BATCH_SIZE if asked is None else asked

    def check(self) -> None:
        """Raise one SpecError that lists every problem.

        Raises:
            SpecError: if any value is impossible.
        """
        if found := self.problems():
            raise SpecError(found)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> RunSpec:
        """Return the spec that `to_json` wrote; fields of newer versions are left out."""
        names = {f.name for f in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in record.items() if k in names})


_MAX_LISTED = 6
_EVAL_BATCH_SIZE = 64


def joined_names(value: Any, *, numbered: bool = True) -> Any:  # noqa: ANN401 -- whatever a user gives
    """Return several names as one text, commas between; anything else as it is.

    Columns are `numbered` in a DataFrame without names: whole numbers are names too.
    """
    kinds = (str, numbers.Integral) if numbered else (str,)
    names = value if isinstance(value, (list, tuple, set)) else [value]
    if all(isinstance(name, kinds) and not isinstance(name, bool) for name in names):
        return ",".join(map(str, names))
    return value


def top_layers(technique: object) -> int | None:
    """Return how many layers `top:N` trains; None for another technique, or a wrong one."""
    found = re.fullmatch(r"top:([1-9][0-9]{0,2})", str(technique))
    return int(found[1]) if found else None


_CHOICES: dict[str, tuple[str, ...]] = {
    "task": get_args(TaskName),
    "technique": get_args(Technique),
    "lr_scheduler_type": get_args(Scheduler),
    "precision": get_args(Precision),
    "step": get_args(StepKind),
    "metric_for_best_model": METRICS,
}

# name: (lowest, highest, lowest allowed itself, whole numbers only)
_RANGES: dict[str, tuple[float, float, bool, bool]] = {
    "num_train_epochs": (0, 1000, False, False),
    "per_device_train_batch_size": (1, 65536, True, True),
    "per_device_eval_batch_size": (1, 65536, True, True),
    "gradient_accumulation_steps": (1, 65536, True, True),
    "lora_r": (1, 512, True, True),
    "lora_alpha": (1, 1000, True, True),
    "lora_dropout": (0, 0.9, True, False),
    "learning_rate": (0, 1, False, False),
    "warmup_steps": (0, 1e9, True, False),
    "weight_decay": (0, 1, True, False),
    "adam_beta1": (0, 0.999999, True, False),
    "adam_beta2": (0, 0.99999999, True, False),
    "adam_epsilon": (0, 1, False, False),
    "max_grad_norm": (0, 1e9, True, False),
    "max_length": (4, 1_000_000, True, True),
    "mlm_probability": (0, 0.9, False, False),
    "max_target_length": (2, 100_000, True, True),
    "num_beams": (1, 64, True, True),
    "eval_generate_rows": (1, 1e9, True, True),
    "early_stopping_patience": (1, 1000, True, True),
    "eval_steps": (1, 1e9, True, True),
    "seed": (0, 2**32 - 1, True, True),
}


def _choice_problems(spec: RunSpec) -> list[str]:
    found = []
    for name, choices in _CHOICES.items():
        value = getattr(spec, name)
        if name == "technique" and top_layers(value) is not None:
            continue
        is_free = value is None and RunSpec.__dataclass_fields__[name].default is None
        if is_free or value in choices:
            continue
        if name == "technique" and str(value).split(":")[0] in {
            t.split(":")[0] for t in NOT_BUILT_TECHNIQUES
        }:
            found.append(
                f"technique={quoted(value)} is not built yet; choices: "
                f"{', '.join(map(repr, choices))}."
            )
            continue
        close = nearest(str(value), choices)
        hint = f" Did you mean {close!r}?" if close else ""
        listed = ", ".join(map(repr, choices[:_MAX_LISTED]))
        more = ", …" if len(choices) > _MAX_LISTED else ""
        found.append(f"{name}={quoted(value)} is not one of {listed}{more}.{hint}")
    if isinstance(spec.class_weights, str) and spec.class_weights != "balanced":
        found.append(
            f"class_weights={quoted(spec.class_weights)} is neither 'balanced' nor weights by "
            "class name, as in {'negative': 1.0, 'positive': 3.0}."
        )
    elif isinstance(spec.class_weights, dict):
        for label, weight in spec.class_weights.items():
            if not _is_number(weight) or not 0 < weight < math.inf:
                found.append(
                    f"class_weights[{quoted(label)}]={quoted(weight)} must be a number above 0."
                )
    elif spec.class_weights is not None and not isinstance(spec.class_weights, str):
        found.append(
            f"class_weights={quoted(spec.class_weights)} must be 'balanced' or weights by class "
            "name, as in {'negative': 1.0, 'positive': 3.0}."
        )
    for role, column in spec.columns.items():
        if column is not None and not isinstance(column, str):
            found.append(f"{role}={quoted(column)} must be the name of a column.")
    targets = spec.lora_target_modules
    if targets is not None and (not isinstance(targets, str) or not targets.strip(" ,")):
        found.append(
            f"lora_target_modules={quoted(targets)} must name layers, as in 'query,value', or be "
            "'all-linear'."
        )
    if spec.prefix is not None and not isinstance(spec.prefix, str):
        found.append(f"prefix={quoted(spec.prefix)} must be a text, as in 'summarize: '.")
    if spec.prompt is not None and (
        not isinstance(spec.prompt, str) or "{source}" not in spec.prompt
    ):
        found.append(
            f"prompt={quoted(spec.prompt)} must be a text with {{source}} in it, as in "
            "'English: {source} French:'."
        )
    for name in ("use_cpu", "deterministic", "from_scratch", "keep_head", "whole_word_mask"):
        if not isinstance(getattr(spec, name), bool):
            found.append(f"{name}={quoted(getattr(spec, name))} must be True or False.")
    return found


def _range_problems(spec: RunSpec) -> list[str]:
    found = []
    for name, (low, high, low_allowed, whole) in _RANGES.items():
        value = getattr(spec, name)
        if value is None and RunSpec.__dataclass_fields__[name].default is None:
            continue
        kind = "a whole number" if whole else "a number"
        bound = "at least" if low_allowed else "above"
        most = f"{high:,.0f}" if high >= 10_000 else f"{high:g}"
        wanted = f"{kind} {bound} {low:g} and at most {most}"
        if not _is_number(value) or (whole and not isinstance(value, int)):
            found.append(f"{name}={quoted(value)} must be {wanted}.")
        elif not (low <= value <= high) or (value == low and not low_allowed):
            found.append(f"{name}={value:g} must be {wanted}.")
    if (
        not _is_number(spec.max_steps)
        or not isinstance(spec.max_steps, int)
        or (spec.max_steps < 1 and spec.max_steps != -1)
    ):
        found.append(
            f"max_steps={quoted(spec.max_steps)} must be a whole number above 0, or -1 for none."
        )
    validation = spec.validation
    if isinstance(validation, float) and not 0 < validation < 1:
        found.append(
            f"validation={validation:g} must be a fraction between 0 and 1, a split's name, "
            "a file or False."
        )
    understood = validation is None or validation is False or isinstance(validation, (str, float))
    if not understood:
        found.append(
            f"validation={quoted(validation)} is not understood: give a fraction (0.1), a split's "
            "name, a file or False."
        )
    return found


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond what a float can hold
        return False


def _plain_number(name: str, value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    whole = name == "max_steps" or _RANGES[name][3]
    plain = float(value)
    return int(plain) if whole and plain.is_integer() else plain
