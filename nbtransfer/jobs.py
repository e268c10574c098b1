"""A fine-tuning job: everything decided before anything is written, then started as a run."""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbtransfer.errors import RunError
from nbtransfer.keywords import sort_keywords
from nbtransfer.runs import launch, store
from nbtransfer.runs.files import write_json
from nbtransfer.runs.run import Run
from nbtransfer.settings import resolve_runs_dir
from nbtransfer.spec import LANGUAGE_MODELING, RunSpec

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.data.lengths import Lengths
    from nbtransfer.models.catalog import ModelCard
    from nbtransfer.planning import Plan
    from nbtransfer.tasks.task import Prepared


@dataclass(frozen=True, kw_only=True)
class Job:
    """A fine-tuning job, decided but not begun: nothing of it is on disk yet.

    Attributes:
        spec: what was asked.
        plan: what was decided.
        prepared: the rows, split and labelled, with the data card.
        model_card: the pre-trained model.
        lengths: tokens of the training texts, or of a sample of very many; None where no
            tokenizer.json is at hand.
        runs_dir: where the run will be kept.
        notes: choices made and names dropped, in words.
    """

    spec: RunSpec
    plan: Plan
    prepared: Prepared
    model_card: ModelCard
    lengths: Lengths | None
    runs_dir: Path
    notes: tuple[str, ...]


def prepare_job(
    model: object,
    data: object,
    *,
    keywords: dict[str, Any],
    runs_dir: str | os.PathLike[str] | None = None,
    model_name: str | None = None,
    data_name: str | None = None,
) -> Job:
    """Read data and model card, check everything, decide the plan; write and start nothing.

    Args:
        model: see `finetune`.
        data: see `finetune`.
        keywords: fields of RunSpec and names of transformers' TrainingArguments.
        runs_dir: where the run would be kept.
        model_name: what to call a model that is no string.
        data_name: what to call data that is no string.

    Raises:
        SpecError, DataError, ModelError: see `finetune`.
    """
    from nbtransfer.data.corpus import load_corpus
    from nbtransfer.data.lengths import measure_lengths
    from nbtransfer.data.sources import load_tables
    from nbtransfer.hardware import detect_hardware
    from nbtransfer.models.catalog import open_model
    from nbtransfer.models.in_memory import write_model
    from nbtransfer.planning import make_plan
    from nbtransfer.tasks.catalog import choose_task
    from nbtransfer.tasks.kept_head import in_head_order
    from nbtransfer.tasks.task import Decides

    folder = resolve_runs_dir(runs_dir)
    data = os.fspath(data) if isinstance(data, os.PathLike) else data
    model = _model_reference(model, folder)
    sorted_keywords = sort_keywords(keywords)
    fields = sorted_keywords.fields
    held_out = fields.get("validation")
    named = held_out is None or isinstance(held_out, (str, float, bool, int))
    fields["validation"] = held_out if named else "given"
    spec = RunSpec(
        model=model if isinstance(model, str) else model_name or "model",
        data=data if isinstance(data, str) else data_name or "data",
        **fields,
    )
    spec.check()
    read = load_corpus if spec.task in LANGUAGE_MODELING else load_tables
    tables = read(data, name=data_name)
    task = choose_task(spec.task, tables, spec.columns)
    prepared = task.prepare(tables, spec.columns, validation=held_out)
    # Beside what the data itself told, as the languages of a translation.
    settings = prepared.card.settings | {name: getattr(spec, name) for name in task.options}
    prepared = prepared._replace(card=dataclasses.replace(prepared.card, settings=settings))
    if isinstance(model, str):
        card = open_model(model, runs_dir=folder)
    else:
        card = write_model(model, spec.model)
    if spec.keep_head:
        prepared = in_head_order(prepared, card.head_labels)
    decided = task.decide(spec, prepared, card) if isinstance(task, Decides) else None
    texts = task.texts(prepared.splits["train"])
    if decided is not None:
        prepared, texts = prepared._replace(card=decided.card), decided.texts
    lengths = None
    if card.tokenizer_file is not None:
        lengths = measure_lengths(texts, card.tokenizer_file)
    hardware = detect_hardware(folder)
    plan = make_plan(spec, prepared.card, lengths, card, hardware, decided=decided)
    notes = (*sorted_keywords.notes, *prepared.card.notes, *card.notes, *plan.notes)
    return Job(
        spec=spec,
        plan=plan,
        prepared=prepared,
        model_card=card,
        lengths=lengths,
        runs_dir=folder,
        notes=tuple(dict.fromkeys(notes)),
    )


def _model_reference(model: object, runs_dir: Path) -> object:
    """Return what names a model where a run or a path was given; other models as they are."""
    if isinstance(model, Run):
        return model.id if model.dir.parent == runs_dir else str(model.dir)
    return os.fspath(model) if isinstance(model, os.PathLike) else model


def open_model_of(model: object, *, runs_dir: str | os.PathLike[str] | None = None) -> ModelCard:
    """Return the card of a model that is named by a string, a path or a run.

    Raises:
        ModelError: if there is none.
    """
    from nbtransfer.models.catalog import open_model

    folder = resolve_runs_dir(runs_dir)
    return open_model(_model_reference(model, folder), runs_dir=folder)  # type: ignore[arg-type]


def start_job(job: Job) -> Run:
    """Write the job's run folder and hand it to the worker; returns at once."""
    from nbtransfer.models.in_memory import adopt

    launch.warm_up()  # the imports run while the folder is written
    run = store.create_run(
        job.runs_dir,
        spec=job.spec,
        plan=dataclasses.replace(job.plan, notes=job.notes),
        data_card=job.prepared.card,
        model_card=job.model_card,
        splits=job.prepared.splits,
    )
    if job.model_card.source == "variable":
        card = adopt(job.model_card, run.paths.base_model_dir)
        write_json(run.paths.model_card, card.to_json())
    launch.submit_run(run)
    return run


# What may be changed of a run that goes on: none of it decides a step that was taken.
_CHANGEABLE = ("num_train_epochs", "eval_steps", "early_stopping_patience")


def resume_job(run: Run, changes: dict[str, Any], *, allow: bool) -> Run:
    """Start a run again from its newest checkpoint, with other options where that is safe.

    Args:
        run: a stopped, failed or lost run; a finished one too, where it gets more epochs, or
            more patience after early stopping.
        changes: fields of RunSpec and Trainer's names, as for a new run.
        allow: take the changes that are safe; without it they are only listed. Without changes:
            begin again at step 0 where none of the run's checkpoints is good any more. Take the
            run from another machine's worker, which may be gone or not.

    Returns:
        The run, which reads the changed spec.

    Raises:
        RunError: if the run cannot go on, or a change would make it another job.
        SpecError: if a value is impossible.
    """
    fields = sort_keywords(changes).fields
    old = run.spec
    new = dataclasses.replace(old, **fields)
    new.check()
    differing = [name for name in fields if getattr(new, name) != getattr(old, name)]
    listed = ", ".join(f"{name} {getattr(old, name)} -> {getattr(new, name)}" for name in differing)
    if unsafe := [name for name in differing if name not in _CHANGEABLE]:
        raise RunError(
            f"run {run.id!r} goes on as the job it was begun as; with {listed} it would be "
            f"another. Leave out {', '.join(unsafe)}, or start a new run.",
            run,
        )
    if differing and not allow:
        raise RunError(f"this would change run {run.id!r}: {listed}. If meant, add --allow.", run)
    longer = new.num_train_epochs > old.num_train_epochs or _has_more_patience(run, new)
    # A run taken from another machine goes on; that none of its checkpoints can be read, as where
    # they are still being copied, was not known when its user allowed that.
    was_refused = bool(run.state().lost_checkpoints)
    launch.resume_run(
        run,
        finished_too=longer,
        restart=allow and not differing and was_refused,
        allow=allow,
        change=lambda: _write_changes(run, new) if differing else None,
    )
    return Run(run.dir) if differing else run


def _has_more_patience(run: Run, spec: RunSpec) -> bool:
    """Return whether early stopping ended `run`, and `spec` gives it more time to gain."""
    old, new = run.spec.early_stopping_patience, spec.early_stopping_patience
    if old is None or run.state().ending_reason != "early_stopping":
        return False
    return new is None or new > old


def _write_changes(run: Run, spec: RunSpec) -> None:
    """Put the changed spec and what follows for the plan into the run's folder."""
    plan = run.plan
    num_steps = math.ceil(round(spec.num_train_epochs * plan.steps_per_epoch, 6))
    changed = dataclasses.replace(
        plan,
        num_train_epochs=spec.num_train_epochs,
        num_steps=num_steps,
        eval_every_steps=spec.eval_steps or plan.eval_every_steps,
    )
    write_json(run.paths.plan, changed.to_json())
    write_json(run.paths.spec, {"v": 1, **spec.to_json(), "name": run.id})
