"""The end of a run: the model that is kept, the report on it, and the figure of the record."""

from __future__ import annotations

import math
import shutil
import time
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from nbtransfer.engine.checkpoints import damage, load_model_state
from nbtransfer.engine.disk import NOT_WRITABLE, DiskFull, NotWritten, is_disk_full
from nbtransfer.engine.memory import release_memory
from nbtransfer.engine.reporting import decision_of, write_decision, write_evaluation
from nbtransfer.engine.verify import NUM_ROWS, Verification, write_questions
from nbtransfer.errors import NbTransferError
from nbtransfer.models.lora import has_adapters, merge_adapters, save_adapter
from nbtransfer.plots.learning_curves import learning_curves_info, learning_curves_png
from nbtransfer.runs.faults import reach
from nbtransfer.runs.files import make_durable, sync_folder, write_bytes, write_json
from nbtransfer.tasks.metric_words import worth

if TYPE_CHECKING:
    from nbtransfer.engine.train import Training
    from nbtransfer.models.card import ModelCard

_ADAPTER_DIR = "adapter"
_ADAPTER_WORDS = (
    f"The adapters are part of these weights. By themselves they lie in `{_ADAPTER_DIR}/`, for the "
    "model named above: `peft.PeftModel.from_pretrained(model, folder)`.\n\n"
)


def export_run(training: Training, *, at_hand: bool = True) -> None:
    """Keep the best evaluated model, otherwise the last; write it, its report and the figure.

    Args:
        training: has taken its steps.
        at_hand: whether the weights as they are may be the ones that are kept.

    Raises:
        DiskFull: if there is no space for them; the checkpoints are as they were.
        NotWritten: if the folder cannot be written for another reason.
        ModelError: if the model cannot be loaded again as it was.
    """
    try:
        _export(training, at_hand)
    except (OSError, SafetensorError) as error:
        if not is_disk_full(error):
            if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
                raise NotWritten("the trained model", training.paths.dir, error) from error
            raise
        weights = training.model.state_dict().values()
        needed = sum(tensor.numel() * tensor.element_size() for tensor in weights)
        raise DiskFull("the trained model and its report", training.paths.dir, needed) from error


def export_what_is_left(training: Training) -> None:
    """Keep the best model whose weights are in a checkpoint; those at hand are no numbers.

    That it cannot be kept is no reason to say less of what ended the run.
    """
    try:
        if _step_to_keep(training, at_hand=False) is not None:
            training.events.append("phase_started", phase="saving")
            export_run(training, at_hand=False)
    except (NbTransferError, OSError, RuntimeError, SafetensorError) as error:
        training.events.append(
            "warning_raised",
            code="model_not_kept",
            headline="The best model before could not be kept: "
            f"{(str(error).splitlines() or [type(error).__name__])[0]}",
            advice="Its checkpoint is whole, and what goes on begins from there.",
        )


def _step_to_keep(training: Training, *, at_hand: bool) -> int | None:
    """Return the step of the best evaluation whose weights there are, the first of several.

    The very best may have lost its weights: its checkpoint could not be written, or was refused
    because something in it was no number.
    """
    progress, paths = training.progress, training.paths

    def has_weights(step: int) -> bool:
        return (at_hand and step == progress.step) or damage(paths.checkpoint(step)) is None

    if training.validation is None or progress.best_step is None:
        return None
    if has_weights(progress.best_step):
        return progress.best_step
    rows = [row for row in training.run.state().evaluations if row.cause != "start"]
    values = {row.step: worth(training.main_metric, row.metrics) for row in rows}
    others = sorted((-value, step) for step, value in values.items() if math.isfinite(value))
    return next((step for _, step in others if has_weights(step)), None)


def _export(training: Training, at_hand: bool) -> None:
    progress, paths, events = training.progress, training.paths, training.events
    best = _step_to_keep(training, at_hand=at_hand)
    kept_step = progress.step if best is None else best
    if progress.best_step not in (None, kept_step):
        reason = damage(paths.checkpoint(progress.best_step))
        events.append(
            "warning_raised",
            code="best_not_kept",
            headline=f"The weights of the best evaluation, of step {progress.best_step}, are gone "
            f"({reason}).",
            advice=f"The best of those that are left is kept: that of step {kept_step}.",
        )
    if not (at_hand and kept_step == progress.step):
        load_model_state(paths.checkpoint(kept_step), training.plain_learner())
    if training.loaded.words is not None:
        training.loaded.words.restore()
    # The moments are not needed any more, and the fresh process needs the memory.
    training.optimizer.optimizer.state.clear()
    release_memory()
    write_questions(training)  # before adapters and weights become one
    _write_model(training, kept_step)
    verification = Verification(training)  # loads while the report is made
    state = training.run.state()
    row = next((r for r in reversed(state.evaluations) if r.step == kept_step), None)
    metric = f"eval_{training.main_metric}"
    events.append(
        "model_saved",
        step=kept_step,
        choice="last" if best is None else "best",
        metric=None if row is None else metric,
        value=None if row is None else row.metrics[metric],
    )
    if training.validation is not None:
        _report(training)
    info = learning_curves_info(training.run.state(), baseline=training.plan.baseline_accuracy)
    write_bytes(paths.learning_curves_png, learning_curves_png(info))
    decision = decision_of(training.reader.card, training.plan.max_length)
    events.append("model_verified", num_rows=NUM_ROWS, difference=verification.result(decision))


def _report(training: Training) -> None:
    """Evaluate the kept model once more, this time keeping every prediction."""
    assert training.validation is not None
    start = time.monotonic()
    scores = training.score(training.validation)
    reader = training.reader
    validation = training.validation
    card = reader.task.tuned(scores.answers, validation.encoding, validation.table(), reader.card)
    if card != reader.card:
        write_decision(training.paths.model_dir, decision_of(card, training.plan.max_length))
        training.reader = reader._replace(card=card)
    write_evaluation(
        training.paths.evaluation("validation"),
        training.reader,
        training.validation,
        scores,
        run_id=training.run.id,
        split="validation",
        duration_s=time.monotonic() - start,
    )
    training.events.append("report_saved", name="validation")


def _write_model(training: Training, step: int) -> None:
    """Write model/ beside its place, sync it, and put it in the place of an earlier one."""
    target = training.paths.model_dir
    staging = target.with_name(f".{target.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    reach("export.write")
    try:
        staging.mkdir()
        if has_adapters(training.model):
            save_adapter(training.model, staging / _ADAPTER_DIR)
            merge_adapters(training.model)
        training.model.save_pretrained(staging)
        training.loaded.tokenizer.save_pretrained(staging)
        write_decision(staging, decision_of(training.card, training.plan.max_length))
        write_json(staging / training.paths.usage.name, training.run.usage.to_json())
        (staging / "README.md").write_text(_model_card(training, step), encoding="utf-8")
        make_durable(staging, mode=(staging / "README.md").stat().st_mode)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)  # half a model must not take the last space
        raise
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    try:
        if target.exists():
            reach("export.aside")
            target.rename(old)
        reach("export.rename")
        staging.rename(target)
    except OSError as error:
        what = f"the trained model (it lies whole in {staging.name})"
        raise NotWritten(what, training.paths.dir, error) from error
    sync_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _lineage(card: ModelCard) -> str:
    """Return the runs that the model went through before this one, as a section."""
    if not card.lineage:
        return ""
    first = f"- `{card.lineage[0].model}`\n"
    runs = "".join(f"- {a.task} on `{a.data}`, run `{a.run}`\n" for a in card.lineage)
    return f"## Where it comes from\n\n{first}{runs}\n"


def _model_card(training: Training, step: int) -> str:
    """Return the README of the saved model: what it is, from what, on what, and how good."""
    run, spec, card = training.run, training.spec, training.run.model_card
    row = next((r for r in reversed(run.state().evaluations) if r.step == step), None)
    figures = sorted(row.metrics.items()) if row is not None else []
    base = card.location if card.source == "hub" else card.name
    adapter = _ADAPTER_WORDS if spec.technique == "lora" else ""
    if prompt := training.card.settings.get("prompt"):
        shown = "".join(f"    {line}\n" for line in prompt.split("\n"))
        adapter += f"It is asked in this prompt (in its chat template, if any):\n\n{shown}\n"
    names = training.card.label_names[:50]
    labels = "".join(f"- {name}\n" for name in names)
    classes = f"## Classes\n\n{labels}\n" if names else ""
    metrics = "\n".join(f"- {name}: {value:.4f}" for name, value in figures) or "- not evaluated"
    use = "A copy of this folder answers by itself: `nbtransfer.predict(folder, texts)`.\n\n"
    return (
        f"---\nlibrary_name: transformers\nbase_model: {base}\n"
        f"tags:\n- {training.reader.task.name}\n- nbtransfer\n---\n\n"
        f"# {run.id}\n\n"
        f"`{card.name}` fine-tuned with nbtransfer on `{run.data_card.name}`: technique "
        f"{spec.technique}, weights of step {step} of {training.progress.step}.\n\n{use}{adapter}"
        f"{_lineage(card)}{classes}## On the validation rows\n\n{metrics}\n"
    )
