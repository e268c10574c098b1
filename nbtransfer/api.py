"""Everything a magic does, as Python calls."""

from __future__ import annotations

import functools
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

from nbtransfer import answers
from nbtransfer.adaptation import Adaptation, check_adapt, prepare_adaptation
from nbtransfer.answers import RunsDir, embeddings
from nbtransfer.errors import ModelError, NbTransferError, SpecError, quoted
from nbtransfer.gauge import forgetting
from nbtransfer.jobs import Job, prepare_job, resume_job, start_job
from nbtransfer.runs import store
from nbtransfer.runs.interrupts import InterruptCounter
from nbtransfer.settings import resolve_runs_dir
from nbtransfer.spec import RunSpec
from nbtransfer.tasks.text_classification import Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbtransfer.planning import Plan
    from nbtransfer.runs.run import Run
    from nbtransfer.spec import TaskName

F = TypeVar("F", bound="Callable[..., Any]")

__all__ = [
    "Adaptation",
    "Job",
    "Prediction",
    "embeddings",
    "evaluate",
    "finetune",
    "forgetting",
    "list_runs",
    "load_model",
    "open_run",
    "plan",
    "plan_adaptation",
    "predict",
    "prepare_job",
    "pretrain",
    "pretraining_task",
    "resume_run",
    "run_adaptation",
    "show_run",
    "start_job",
]


def _telling(function: F) -> F:
    """Let a wait for a worker's answers be seen while it lasts."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as the function has it
        from nbtransfer.panels.waiting_line import WaitingLine
        from nbtransfer.runs.scoring import progress_told

        with progress_told(WaitingLine(), say=_tell):
            return function(*args, **kwargs)

    return cast("F", call)


evaluate = _telling(answers.evaluate)
predict = _telling(answers.predict)


def finetune(
    model: object = None,
    data: object = None,
    *,
    task: str | None = None,
    text: str | None = None,
    label: str | Sequence[str] | None = None,
    technique: str = "full",
    num_train_epochs: float = 3,
    per_device_train_batch_size: int = 16,
    learning_rate: float | None = None,
    max_length: int | None = None,
    validation: object = None,
    seed: int = 42,
    precision: str = "auto",
    max_steps: int = -1,
    name: str | None = None,
    adapt: object = None,
    adapt_epochs: float | None = None,
    adapt_learning_rate: float | None = None,
    runs_dir: RunsDir = None,
    resume: object = None,
    allow: bool = False,
    wait: bool = True,
    show: bool | None = None,
    **more: object,
) -> Run:
    """Fine-tune a pre-trained model on labelled texts.

        run = nt.finetune("demo:minilm", df, text="review", label="sentiment")

    Args:
        model: `demo:NAME`, a folder, a run's name, a hub id, a model, or a (model, tokenizer) pair.
        data: `demo:NAME`, a file or glob, a hub id, a DataFrame, a Dataset(Dict), or a list of
            dicts.
        task: recognised from the data if not given.
        text: the column of texts; recognised if not given, as all columns are.
        label: the column of classes, or several columns of 0 and 1, one for each class.
        technique: `full`, `top:N` (the last N layers), `head`, `features` or `lora` (`lora_r`,
            `lora_alpha`, `lora_dropout`, `lora_target_modules`).
        num_train_epochs: passes over the training rows.
        per_device_train_batch_size: rows a forward pass.
        learning_rate: the schedule's peak; chosen by technique and size if not given.
        max_length: tokens a text is cut to; chosen from the texts if not given.
        validation: a split's name, a fraction, rows, a file, or False.
        seed: decides head weights, order of rows and dropout.
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        max_steps: optimizer steps in all, if positive.
        name: the run's name.
        adapt: a corpus, as for `pretrain`: the model is first pre-trained on it, in a run of its
            own, and what comes of that is fine-tuned. Where the first stage is stopped, its run is
            returned, and the second does not begin.
        adapt_epochs: passes over the corpus (3).
        adapt_learning_rate: the first stage's peak; chosen by the model's size if not given.
        runs_dir: where runs are kept.
        resume: a run to go on with from its newest checkpoint; nothing else is needed then.
        allow: with `resume`, take another number of epochs or another evaluation interval; without
            such changes, begin again at step 0 where no checkpoint of the run is good any more.
        wait: block until the run ends. An interrupt stops it at its next step and keeps its model.
        show: draw the panel; by default in a notebook or IPython, and nowhere else.
        more: any other field of RunSpec, or a name of transformers' TrainingArguments.

    Returns:
        The run. Stopped or interrupted, it holds a usable model too.

    Raises:
        SpecError: what was asked is impossible; every problem is listed.
        DataError: the data cannot be read or does not fit.
        ModelError: the model cannot be found or does not fit.
        RunError: the run failed; `.run` is the run.
    """
    keywords = {
        "task": task,
        "text": text,
        "label": label,
        "technique": technique,
        "num_train_epochs": num_train_epochs,
        "per_device_train_batch_size": per_device_train_batch_size,
        "learning_rate": learning_rate,
        "max_length": max_length,
        "validation": validation,
        "seed": seed,
        "precision": precision,
        "max_steps": max_steps,
        "name": name,
        **more,
    }
    is_shown = show if show is not None else _in_ipython()
    if any(value is not None for value in (adapt, adapt_epochs, adapt_learning_rate)):
        check_adapt(model, data, adapt, resume, wait=wait)
        asked = plan_adaptation(
            model,
            data,
            adapt,
            keywords=keywords,
            epochs=adapt_epochs,
            learning_rate=adapt_learning_rate,
            runs_dir=runs_dir,
        )
        return run_adaptation(asked, show=is_shown)
    job = None
    if resume is None:
        if model is None or data is None:
            missing = "a model and data" if model is None and data is None else "data"
            raise SpecError(f"finetune needs {missing}: nt.finetune('demo:minilm', df)")
        job = prepare_job(model, data, keywords=keywords, runs_dir=runs_dir)
    with InterruptCounter() as interrupts:  # a run that has begun is stopped, not forgotten
        if job is not None:
            run = start_job(job)
        else:
            # What was not given has its default here, and is no wish to change anything.
            defaults = RunSpec.__dataclass_fields__
            given = {k: v for k, v in keywords.items() if k in more or v != defaults[k].default}
            run = resume_run(resume, changes=given, allow=allow, runs_dir=runs_dir)
        if is_shown:
            show_run(run, wait=wait)
        elif wait:
            _wait(run, interrupts)
    return run


def plan_adaptation(
    model: object,
    data: object,
    corpus: object,
    *,
    runs_dir: RunsDir = None,
    **more: Any,  # noqa: ANN401
) -> Adaptation:
    """Decide both stages of a fine-tuning with `adapt=corpus`; see `prepare_adaptation`."""
    task = pretraining_task(model, runs_dir=runs_dir)
    return prepare_adaptation(model, data, corpus, task=task, runs_dir=runs_dir, **more)


def run_adaptation(asked: Adaptation, *, show: bool) -> Run:
    """Run both stages, one after the other, and measure what was forgotten on the way.

    Returns:
        The second stage's run; the first one's where that did not come to its end.

    Raises:
        RunError: a stage failed; `.run` is its run.
    """
    with InterruptCounter() as interrupts:
        first = start_job(asked.first)
        try:
            _follow(first, interrupts, show=show)
        finally:
            is_ready = first.status == "completed" and not interrupts.count
            # Where it is shown and has ended, its record says so.
            if not is_ready and (not show or first.status == "running"):
                _tell(
                    "The second stage has not begun. Go on with the first, then begin it:\n"
                    f"    %finetune --resume {first.reference}\n    {first.plan.follow_up}"
                )
        if not is_ready:
            return first
        second = start_job(asked.after(first))
        _follow(second, interrupts, show=show)
        if second.status in ("completed", "stopped"):
            _gauge(second, show=show)
    return second


def _follow(run: Run, interrupts: InterruptCounter, *, show: bool) -> None:
    if show:
        show_run(run, wait=True)
    else:
        _wait(run, interrupts)


def _gauge(run: Run, *, show: bool) -> None:
    """Measure what the run's model forgot; that it cannot be measured costs the run nothing."""
    try:
        found = forgetting(run)
    except (NbTransferError, KeyboardInterrupt) as error:
        reason = str(error) or f"interrupted. Later: %evaluate {run.reference} --forgetting"
        _tell(f"What the model forgot could not be measured: {reason}")
        return
    if show:
        from nbtransfer.panels.forgetting_view import show_forgetting

        show_forgetting(found)


def _tell(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


def pretrain(
    model: object,
    corpus: object,
    *,
    name: str | None = None,
    **options: Any,  # noqa: ANN401
) -> Run:
    """Go on pre-training a model on unlabelled texts; the run is a model for `finetune`.

        adapted = nt.pretrain("demo:bert-tiny", "demo:python-docs")
        run = nt.finetune(adapted, df)

    Models that read both sides (BERT) guess hidden tokens, those that read from left to right (GPT)
    each next one, and T5 writes hidden stretches of text. `from_scratch=True` begins from random
    weights of the model's configuration.

    Args:
        model: as for `finetune`.
        corpus: a text file, a folder or pattern of them, a list of texts, a table with a column of
            text, `demo:NAME` or a hub id.
        name: the run's name.
        options: as for `finetune`; `text=` names the column, `mlm_probability=` is the share of
            hidden tokens, `whole_word_mask=True` hides whole words.

    Returns:
        The run. Its metrics are `eval_loss`, `eval_perplexity` and `eval_accuracy`, measured before
        the first step too.

    Raises:
        SpecError, DataError, ModelError, RunError: as `finetune` does.
    """
    task = options.pop("task", None) or pretraining_task(model, runs_dir=options.get("runs_dir"))
    return finetune(model, corpus, task=task, name=name, **options)


def pretraining_task(model: object, *, runs_dir: RunsDir = None) -> TaskName:
    """Return how a model's family is pre-trained.

    Raises:
        ModelError: if there is no such model, or it is not pre-trained in a way that is built.
    """
    from nbtransfer.jobs import open_model_of
    from nbtransfer.models.shape import language_modeling_of

    model_type = getattr(
        getattr(model[0] if isinstance(model, tuple) else model, "config", None), "model_type", None
    )
    if model_type is None:
        model_type = open_model_of(model, runs_dir=runs_dir).model_type
    task = language_modeling_of(model_type)
    if task is None:
        raise ModelError(
            f"models of the family {quoted(model_type)} cannot be pre-trained here: their own way "
            "is not built. Take one of the families bert, roberta, gpt2, llama or t5."
        )
    return task


def resume_run(
    reference: object,
    *,
    changes: dict[str, Any] | None = None,
    allow: bool = False,
    runs_dir: RunsDir = None,
) -> Run:
    """Start a run again from its newest checkpoint; returns at once.

    Args:
        reference: a Run, its name or folder.
        changes: options that are to be other than they were.
        allow: take changes that are safe: more or fewer epochs, another evaluation interval.
            Without changes: begin again at step 0 where no checkpoint is good any more.
        runs_dir: where runs are kept.

    Raises:
        RunError: if there is no such run, it is running, or a change would make it another job.
    """
    return resume_job(open_run(reference, runs_dir=runs_dir), changes or {}, allow=allow)


def plan(model: object, data: object, *, runs_dir: RunsDir = None, **keywords: object) -> Plan:
    """Return what `finetune` would do with the same arguments: steps, time, memory, warnings."""
    return prepare_job(model, data, keywords=keywords, runs_dir=runs_dir).plan


def list_runs(*, runs_dir: RunsDir = None) -> list[Run]:
    """Return the runs, newest first."""
    return store.list_runs(resolve_runs_dir(runs_dir))


def open_run(reference: object = None, *, runs_dir: RunsDir = None) -> Run:
    """Return the run named by a Run, an id or a folder; None takes the newest.

    Raises:
        RunError: if there is none.
    """
    return store.open_run(reference, resolve_runs_dir(runs_dir))


def load_model(run: object = None, *, runs_dir: RunsDir = None) -> tuple[Any, Any]:
    """Return a run's model, in evaluation mode, and its tokenizer. This imports torch here.

    Raises:
        RunError: if there is no such run, or it left no model.
    """
    from nbtransfer.models.load import load_finetuned
    from nbtransfer.runs.scoring import require_model
    from nbtransfer.tasks.catalog import task_named

    opened = open_run(run, runs_dir=runs_dir)
    require_model(opened)
    return load_finetuned(opened.paths.model_dir, task_named(opened.data_card.task).auto_class)


def show_run(run: Run, *, wait: bool = False) -> None:
    """Draw a run's panel: live while it runs, its record afterwards."""
    from nbtransfer.panels.show import show_run as draw

    draw(run, wait=wait)


def _wait(run: Run, interrupts: InterruptCounter) -> None:
    """Wait for the run's end; an interrupt stops it, a second one goes through."""
    is_asked = False
    while run.status in ("created", "running", "paused"):
        if interrupts.count and not is_asked:
            run.stop(reason="interrupt")
            is_asked = True
        if interrupts.count > 1:
            raise KeyboardInterrupt
        time.sleep(0.05)
    run.raise_if_failed()


def _in_ipython() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
