"""Adapting a model to a corpus before it is fine-tuned: two runs, one after the other.

Each is a run like any other, with a folder of its own; the second starts from what the first left.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbtransfer.commandline import finetune_line
from nbtransfer.errors import SpecError
from nbtransfer.jobs import Job, prepare_job
from nbtransfer.keywords import sort_keywords
from nbtransfer.runs.store import new_run_name
from nbtransfer.settings import resolve_runs_dir
from nbtransfer.spec import RunSpec

if TYPE_CHECKING:
    from nbtransfer.answers import RunsDir
    from nbtransfer.runs.run import Run
    from nbtransfer.spec import TaskName

DEFAULT_EPOCHS = 3.0
# Options of both stages; the others are the fine-tuning's.
_SHARED = (
    *("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"),
    *("seed", "precision", "step", "deterministic", "use_cpu"),
)
# Options that only the first stage has a use for.
FIRST_ONLY = ("mlm_probability", "whole_word_mask", "from_scratch")
_ROOM_FOR_SUFFIX = 55


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """Two jobs, decided but not begun.

    Attributes:
        first: the adaptation.
        second: the fine-tuning, as it would be on the model that is not adapted yet: everything
            that can be wrong with it is found before the first stage takes its hours.
        options: what the line that asks for both has besides the second stage's own.
    """

    first: Job
    second: Job
    options: tuple[tuple[str, Any], ...]
    _again: dict[str, Any]

    def after(self, run: Run) -> Job:
        """Return the second job, on the model that the first stage left."""
        return prepare_job(run, **self._again)


def prepare_adaptation(
    model: object,
    data: object,
    corpus: object,
    *,
    task: TaskName,
    keywords: dict[str, Any],
    epochs: float | None = None,
    learning_rate: float | None = None,
    runs_dir: RunsDir = None,
    model_name: str | None = None,
    data_name: str | None = None,
    corpus_name: str | None = None,
) -> Adaptation:
    """Read everything, check both stages and decide their plans; start nothing.

    Args:
        model: see `finetune`.
        data: see `finetune`.
        corpus: unlabelled texts; see `pretrain`.
        task: how the model's family is pre-trained.
        keywords: fields of RunSpec and names of transformers' TrainingArguments, for the
            fine-tuning; batch sizes, seed and machine hold for both stages.
        epochs: passes over the corpus.
        learning_rate: the first stage's peak; chosen by the model's size if not given.
        runs_dir: where the runs would be kept.
        model_name: what to call a model that is no string.
        data_name: what to call data that is no string.
        corpus_name: what to call a corpus that is no string.

    Raises:
        SpecError, DataError, ModelError: see `finetune`.
    """
    folder = resolve_runs_dir(runs_dir)
    wanted = {
        "num_train_epochs": DEFAULT_EPOCHS if epochs is None else epochs,
        "learning_rate": learning_rate,
    }
    found = RunSpec(model="m", data="d", **wanted).problems()  # type: ignore[arg-type]
    if found:
        raise SpecError([_as_typed(problem) for problem in found])
    fields = sort_keywords(keywords).fields
    if fields.get("keep_head"):
        raise SpecError(
            "keep_head and adapt do not go together: a model that is pre-trained on a corpus has "
            "no head for classes any more. Drop one."
        )
    asked_name = fields.get("name")
    name = f"{asked_name[:_ROOM_FOR_SUFFIX]}-adapted" if asked_name else new_run_name(folder)
    first_keywords = {n: fields[n] for n in (*_SHARED, *FIRST_ONLY) if n in fields}
    if fields.get("technique") == "lora":  # who cannot train all weights cannot do so here either
        shared = ("technique", *(n for n in fields if n.startswith("lora_")))
        first_keywords |= {n: fields[n] for n in shared}
    first = prepare_job(
        model,
        corpus,
        keywords={**first_keywords, **wanted, "task": task, "name": name},
        runs_dir=folder,
        model_name=model_name,
        data_name=corpus_name or "corpus",
    )
    again: dict[str, Any] = {
        "data": data,
        "keywords": {n: value for n, value in keywords.items() if n not in FIRST_ONLY},
        "runs_dir": folder,
        "data_name": data_name,
    }
    second = prepare_job(model, model_name=model_name, **again)
    named = None if folder == resolve_runs_dir() else str(folder)
    follow_up = finetune_line(dataclasses.replace(second.spec, model=name), runs_dir=named)
    note = f"Stage 1 of 2: the model adapts to {first.spec.data}, then learns {second.spec.data}."
    plan = dataclasses.replace(first.plan, follow_up=follow_up)
    own = RunSpec(model="m", data="d")
    options = [
        ("adapt", first.spec.data),
        *([("adapt_epochs", epochs)] if epochs not in (None, DEFAULT_EPOCHS) else []),
        *([("adapt_learning_rate", learning_rate)] if learning_rate is not None else []),
        *((n, fields[n]) for n in FIRST_ONLY if fields.get(n, getattr(own, n)) != getattr(own, n)),
    ]
    return Adaptation(
        first=dataclasses.replace(first, plan=plan, notes=(note, *first.notes)),
        second=second,
        options=tuple(options),
        _again=again,
    )


def _as_typed(problem: str) -> str:
    """Return a problem of the first stage's options by the names that they are given under."""
    names = {"num_train_epochs": "adapt_epochs", "learning_rate": "adapt_learning_rate"}
    for name, typed in names.items():
        problem = problem.replace(name, typed)
    return problem


def check_adapt(model: object, data: object, adapt: object, resume: object, *, wait: bool) -> None:
    """Refuse what does not go together with adapting.

    Raises:
        SpecError: saying what to do instead.
    """
    if adapt is None:
        raise SpecError(
            "adapt_epochs and adapt_learning_rate need a corpus to adapt to: adapt='corpus.txt'."
        )
    if resume is not None:
        raise SpecError("resume takes a run as it is: leave out adapt.")
    if not wait:
        raise SpecError(
            "adapt runs two stages and waits for the first: leave out wait=False. Or take them one "
            "by one: adapted = nt.pretrain(model, corpus, wait=False), and when it is done "
            "nt.finetune(adapted, data, wait=False)."
        )
    if model is None or data is None:
        raise SpecError("adapt needs a model and data: nt.finetune('demo:minilm', df, adapt=texts)")
