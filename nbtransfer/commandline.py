"""A RunSpec written back as what a user would type: the magic's line, or the Python call."""

from __future__ import annotations

import dataclasses
import shlex
from typing import TYPE_CHECKING, Any

from nbtransfer.spec import LANGUAGE_MODELING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from nbtransfer.spec import RunSpec

# Spellings that are shorter than the field's name; every other option is the field's own name with
# hyphens. `magics.options` defines them for the parser (a test holds the two together).
_SHORT = {
    "num_train_epochs": "--epochs",
    "per_device_train_batch_size": "--batch-size",
    "per_device_eval_batch_size": "--eval-batch-size",
    "learning_rate": "--lr",
    "lr_scheduler_type": "--scheduler",
    "warmup_steps": "--warmup",
    "metric_for_best_model": "--metric",
    "mlm_probability": "--mask-share",
    "whole_word_mask": "--whole-word",
    "early_stopping_patience": "--early-stopping",
    "adapt_learning_rate": "--adapt-lr",
}
# The order a reader looks for them: what, then how; the other fields follow as RunSpec has them.
_FIRST = (
    "text",
    "label",
    "question",
    "context",
    "answers",
    "answer_start",
    "source",
    "target",
    "technique",
    "learning_rate",
    "num_train_epochs",
    "per_device_train_batch_size",
    "max_length",
    "validation",
)


def finetune_line(
    spec: RunSpec, *, more: Sequence[tuple[str, Any]] = (), runs_dir: str | None = None
) -> str:
    """Return the shortest `%finetune` line that asks for the same run.

    Args:
        spec: what is asked for.
        more: options that are no fields of it, with their values.
        runs_dir: a runs folder to name; None leaves the session's own.

    Returns:
        One line; values are quoted as the magic's parser (shlex) reads them.
    """
    words = [f"%{_verb(spec)}", _word(spec.model), _word(spec.data)]
    for name, value in (*_chosen(spec), *more):
        option = _SHORT.get(name, "--" + name.replace("_", "-"))
        text = "" if value is True else _option_text(value)
        if text.startswith("-"):  # argparse would take it for the next option
            words.append(f"{option}={_word(text)}")
        else:
            words += [option] if value is True else [option, _word(text)]
    if runs_dir is not None:
        words += ["--runs-dir", _word(runs_dir)]
    return " ".join(words)


def finetune_code(
    spec: RunSpec,
    *,
    more: Sequence[tuple[str, Any]] = (),
    variables: Collection[str] = (),
    runs_dir: str | None = None,
) -> str:
    """Return the Python call that asks for the same run.

    Args:
        spec: what is asked for.
        more: arguments that are no fields of it, with their values.
        variables: names that stand for objects of the notebook; written bare instead of as strings.
        runs_dir: a runs folder to name; None leaves the session's own.

    Returns:
        Python source of two or more lines, `run = nt.finetune(...)` at its end.
    """
    arguments = [_name_or_text(reference, variables) for reference in (spec.model, spec.data)]
    arguments += [f"{name}={_literal(value)}" for name, value in _chosen(spec)]
    for name, value in more:
        is_name = isinstance(value, str)
        arguments.append(
            f"{name}={_name_or_text(value, variables) if is_name else _literal(value)}"
        )
    if runs_dir is not None:
        arguments.append(f"runs_dir={runs_dir!r}")
    call = f"run = nt.{_verb(spec)}({', '.join(arguments)})"
    if len(call) > 88:
        call = f"run = nt.{_verb(spec)}(\n" + "".join(f"    {a},\n" for a in arguments) + ")"
    return f"import nbtransfer as nt\n\n{call}"


def _verb(spec: RunSpec) -> str:
    """Return what is typed for a job: pre-training chooses its task by the model."""
    return "pretrain" if spec.task in LANGUAGE_MODELING else "finetune"


def _chosen(spec: RunSpec) -> Iterator[tuple[str, Any]]:
    """Yield the options that differ from the defaults, the most looked-for first."""
    fields = {f.name: f.default for f in dataclasses.fields(spec)}
    names = [*_FIRST, *(n for n in fields if n not in _FIRST and n not in ("model", "data"))]
    for name in names:
        value = getattr(spec, name)
        if name == "task" and value in LANGUAGE_MODELING:
            continue
        # `False == 0`, so the types are compared too: validation=False is not a fraction of 0.
        if value != fields[name] or type(value) is bool is not type(fields[name]):
            yield name, value


def _option_text(value: object) -> str:
    if value is False:
        return "no"
    if isinstance(value, dict):
        return ",".join(f"{label}={_literal(float(weight))}" for label, weight in value.items())
    return value if isinstance(value, str) else _literal(value)


def _literal(value: object) -> str:
    """Return `value` as Python reads it; numbers as short as they can be without changing."""
    if not isinstance(value, float):
        return repr(value)
    if value.is_integer() and abs(value) < 1e6:
        return str(int(value))
    if abs(value) >= 1e-2:
        return repr(value)
    mantissa, _, exponent = f"{value:e}".partition("e")
    short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return short if float(short) == value else repr(value)


def _word(text: str) -> str:
    """Return `text` as one word of the line."""
    return shlex.quote(text)


def _name_or_text(reference: str, variables: Collection[str]) -> str:
    return reference if reference in variables and reference.isidentifier() else repr(reference)
