"""Training a run in its folder: one loop, read from `train` downwards.

The order of things at a step boundary: control file, signal, then the step; after it evaluation if
due, then a checkpoint. Everything that decides the next weights is in the weights, the moments and
`Progress`, so a run that goes on from a checkpoint takes the same steps as one that was never
stopped.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Literal

from nbtransfer.engine.advice import evaluation_warning, guessing_loss
from nbtransfer.engine.checkpoints import damage, load_checkpoint, read_state
from nbtransfer.engine.disk import warn_of_disk
from nbtransfer.engine.evaluate import Scores, score_rows
from nbtransfer.engine.export import export_run, export_what_is_left
from nbtransfer.engine.identity import check_identity, job_identity
from nbtransfer.engine.live import LiveControls
from nbtransfer.engine.loading import Rows, class_weights, load_run, with_counted_steps
from nbtransfer.engine.memory import smaller_evaluation_warning
from nbtransfer.engine.memory_watch import MemoryWatch, choose_evaluation_batch
from nbtransfer.engine.objectives import objective_of
from nbtransfer.engine.optim import Schedule, make_optimizer, set_learning_rate
from nbtransfer.engine.precision import load_scaler_state, scaler_state
from nbtransfer.engine.products import with_products
from nbtransfer.engine.progress import Progress
from nbtransfer.engine.reporting import Reader
from nbtransfer.engine.resuming import find_checkpoint, is_resumed, say_resumed
from nbtransfer.engine.samples import samples_of
from nbtransfer.engine.saving import CheckpointWriter, announce
from nbtransfer.engine.steplog import StepLog, TrainingDiverged
from nbtransfer.engine.stepping import make_step, rows_of_steps
from nbtransfer.models.load import set_training_mode
from nbtransfer.runs.run import Run
from nbtransfer.runs.state import fold
from nbtransfer.spec import LANGUAGE_MODELING
from nbtransfer.tasks.catalog import task_named
from nbtransfer.tasks.metric_words import worth

if TYPE_CHECKING:
    from torch import nn

    from nbtransfer.engine.worker import StopSignal
    from nbtransfer.runs.events import EventWriter
    from nbtransfer.runs.paths import RunPaths

CHECKPOINT_EVERY_S = 300.0

Cause = Literal["start", "schedule", "asked", "stop"]


def train(
    paths: RunPaths, events: EventWriter, stop_signal: StopSignal, *, restart: bool = False
) -> None:
    """Train the run from its newest checkpoint, or the start, to its end; see `find_checkpoint`."""
    training = Training(paths, events, stop_signal, restart=restart)
    training.resume()
    warn_of_disk(training.run, events)
    try:
        training.loop()
        training.finish()
    except TrainingDiverged:
        training.salvage()
        raise
    except BaseException:
        training.announce(wait=True)  # what is being saved is what the run will go on from
        raise


class Training:
    """One run being trained."""

    def __init__(
        self, paths: RunPaths, events: EventWriter, stop_signal: StopSignal, *, restart: bool
    ) -> None:
        self.paths = paths
        self.events = events
        self.stop_signal = stop_signal
        self.run = Run(paths.dir)
        self.found = find_checkpoint(self.run, events, restart=restart)
        self.spec = self.run.spec
        self.card = self.run.data_card
        self.main_metric = self.run.plan.metric_for_best_model
        self.ended_by: str | None = None
        self.writer = CheckpointWriter(paths.checkpoints_dir)
        self.run = with_products(self.run)
        self.loaded = load_run(self.run, events)
        self.run = with_counted_steps(self.run, len(self.loaded.train.encoded.lengths), events)
        self.plan = self.run.plan
        self.identity = job_identity(self.run, self.loaded)
        self.accelerator, self.model = self.loaded.accelerator, self.loaded.model
        self.learner: nn.Module = self.loaded.learner
        self.train_rows, self.validation = self.loaded.train.encoded, self.loaded.validation
        self.row_numbers = self.loaded.train.numbers()
        weights = class_weights(self.spec, self.train_rows.targets, self.card.label_names)
        self.guessing = guessing_loss(self.card, None if weights is None else weights.tolist())
        task = task_named(self.card.task)
        self.reader = Reader(task, self.card, self.loaded.tokenizer)
        self.objective = objective_of(task.objective(self.card), weights, self.card.settings)

    def resume(self) -> None:
        """Take up the newest checkpoint that verifies; without one, start at step 0."""
        spec, plan = self.spec, self.plan
        optimizer = make_optimizer(self.learner, spec)
        self.learner, self.optimizer = self.accelerator.prepare(self.learner, optimizer)
        self.step_kind = self.loaded.step_kind
        if self.step_kind == "graphed":
            self.identity["step kind"] = self.step_kind  # other rows make up its steps
        self.step_rows = rows_of_steps(self.step_kind, self.train_rows.lengths, spec, plan)
        schedule = Schedule.start(
            peak=plan.learning_rate,
            num_steps=plan.num_steps,
            warmup_steps=plan.warmup_steps,
            kind=spec.lr_scheduler_type,
        )
        self.progress = Progress(
            schedule=schedule,
            num_train_epochs=plan.num_train_epochs,
            planned_epochs=plan.num_train_epochs,
        )
        before, found = fold(self.run.events()), self.found
        if found.folder is not None:
            state = read_state(found.folder)
            check_identity(state["identity"], self.identity)  # first: another job's do not fit
            load_checkpoint(found.folder, self.plain_learner(), self.optimizer.optimizer)
            self.progress = Progress.from_json(state["progress"])
            load_scaler_state(self.accelerator, state)
            self.progress.take_length(plan.num_train_epochs, plan.num_steps)
        self.live = LiveControls(self.paths.control, self.progress, self.step_rows.steps_per_epoch)
        if is_resumed(before, found):
            # What was done live after the checkpoint is part of the run: it is done again.
            changes = [*before.changes, *before.undone_changes]
            self.live.replay(changes, before.wanted, before.asked_evaluations)
            say_resumed(self.events, self.progress, found)
        self.take_step = make_step(
            self.step_kind,
            loaded=self.loaded,
            learner=self.learner,
            optimizer=self.optimizer,
            objective=self.objective,
            step_rows=self.step_rows,
            micro_batch_size=self.progress.micro_batch_size or spec.per_device_train_batch_size,
            run=self.run,
        )
        precision = self.loaded.precision
        self.log = StepLog(self.events, self.accelerator.device, self.progress, precision)
        self.memory = MemoryWatch(
            self.take_step,
            self.progress,
            self.log,
            self.events,
            spec.per_device_train_batch_size * spec.gradient_accumulation_steps,
        )
        self.events.append(
            "training_started",
            num_steps=self.progress.schedule.num_steps,
            steps_per_epoch=self.step_rows.steps_per_epoch,
            num_train_epochs=self.progress.num_train_epochs,
            learning_rate=self.progress.schedule.peak,
            device=self.accelerator.device.type,
            precision=precision,
            step_kind=self.step_kind,
        )

    def plain_learner(self) -> nn.Module:
        """Return what learns without accelerate's wrapping."""
        return self.accelerator.unwrap_model(self.learner)

    def loop(self) -> None:
        """Take steps until the schedule ends, early stopping says so, or somebody stops the run."""
        progress = self.progress
        is_new = progress.step == 0 and not self.run.state().evaluations
        if is_new and self.validation is not None and self.card.task in LANGUAGE_MODELING:
            self.evaluate("start")
        choose_evaluation_batch(self)
        self._phase("training")
        self._train_mode()
        self.log.start()
        last_checkpoint = time.monotonic()
        self.memory.probe(self.accelerator.device)
        while progress.step < progress.schedule.num_steps:
            # Asked before each step, for a life may begin where the one before had lost patience.
            if progress.has_lost_patience(self.spec.early_stopping_patience):
                self.ended_by = "early_stopping"
                break
            if self._obey():
                break
            step = progress.step
            rate = progress.schedule.learning_rate(step)
            set_learning_rate(self.optimizer, rate)
            rows = self.step_rows(step)
            result = self.take_step(rows, step)
            progress.step = step + 1
            self.log.add(
                result,
                epoch=progress.step / self.step_rows.steps_per_epoch,
                learning_rate=rate,
                num_examples=len(rows),
                num_tokens=int(self.train_rows.lengths[rows].sum()),
                rows=self.row_numbers[rows],
            )
            ran_out = self.memory.ran_out()
            self.announce()
            if self._evaluation_is_due():
                self.evaluate("schedule")
                self.checkpoint("evaluation")
                last_checkpoint = time.monotonic()
            elif ran_out or time.monotonic() - last_checkpoint > CHECKPOINT_EVERY_S:
                self.checkpoint("memory" if ran_out else "time")
                last_checkpoint = time.monotonic()
            if ran_out:  # no later life of the run may take the next steps in the old size
                self.announce(wait=True)
        self.log.flush()

    def _obey(self) -> bool:
        """Do what control.json and SIGTERM ask for, for as long as the run is paused.

        Returns:
            Whether the run is to stop.
        """
        step = self.progress.step
        holding = False
        while True:
            asked = self.live.poll(step)
            if asked.revision is not None:
                self.log.flush()
                self.events.append(
                    "control_applied",
                    revision=asked.revision,
                    step=step,
                    changes={name: list(pair) for name, pair in asked.changes.items()},
                    wanted=self.live.wanted,
                    num_steps=self.progress.schedule.num_steps,
                    evaluations=self.progress.evaluations_done if asked.evaluate else None,
                )
            if self.stop_signal.reason is not None:
                self.ended_by = self.stop_signal.reason
            elif asked.stop is not None:
                self.ended_by = asked.stop
            elif asked.evaluate and self.validation is not None:
                self.evaluate("asked")
                self.checkpoint("evaluation")
            if self.ended_by is not None or not self.live.paused:
                break
            if not holding:
                holding = True
                self.checkpoint("pause")
                self.events.append("run_paused", step=step)
            self.announce()
            time.sleep(0.05)
        if holding:
            self.events.append("run_unpaused", step=step)
            self.log.start()  # the pause is no training time
        return self.ended_by is not None

    def _evaluation_is_due(self) -> bool:
        every, step = self.plan.eval_every_steps, self.progress.step
        last = step == self.progress.schedule.num_steps
        return self.validation is not None and (last or (every > 0 and step % every == 0))

    def evaluate(self, cause: Cause) -> None:
        """Measure the weights on the validation rows and note whether they are the best so far."""
        progress = self.progress
        self.log.flush()
        assert self.validation is not None
        self._phase("evaluating")
        start = time.monotonic()
        scores = self.score(self.validation, brief=True)
        reading = self.reader.read(self.validation, scores)
        value = worth(self.main_metric, reading.metrics)
        # No gain: weights that are no numbers, and the model as loaded, which has no checkpoint.
        is_gain = progress.best_value is None or value > progress.best_value
        is_best = is_gain and cause != "start" and math.isfinite(scores.loss + value)
        train_loss = progress.loss_sum / progress.loss_count if progress.loss_count else None
        if is_best:
            progress.best_value, progress.best_step = value, progress.step
        if cause == "schedule":
            progress.evaluations_without_gain += 1
            if is_best:
                progress.evaluations_without_gain = 0
            if train_loss is not None:
                progress.evaluation_losses.append((train_loss, scores.loss))
            progress.loss_sum, progress.loss_count = 0.0, 0
        progress.elapsed_s += (duration := time.monotonic() - start)
        samples = samples_of(  # after the clock was read: looking on is no training time
            self.accelerator, self.plain_learner(), self.reader, self.validation, scores
        )
        self.events.append(
            "evaluation_completed",
            step=progress.step,
            epoch=progress.step / self.step_rows.steps_per_epoch,
            metrics=reading.metrics,
            train_loss=train_loss,
            duration_s=duration,
            elapsed_s=progress.elapsed_s,
            is_best=is_best,
            cause=cause,
            examples=[list(example) for example in reading.examples],
            samples=[list(sample) for sample in samples],
        )
        if warning := evaluation_warning(progress.evaluation_losses, self.guessing):
            self.events.append("warning_raised", **warning._asdict())
        self._phase("training")
        self._train_mode()
        self.log.start()

    def score(self, rows: Rows, *, brief: bool = False) -> Scores:
        """Ask the model about `rows`, in smaller batches from now on where memory runs out.

        `brief` keeps what metrics need, and generates texts for as many rows as the plan says.
        """
        batch_size = self.progress.eval_batch_size or self.spec.eval_batch_size
        few = (self.plan.eval_generate_rows or None) if brief else None
        asked = (self.accelerator, self.learner, rows.encoded, self.objective)
        scores = score_rows(*asked, batch_size, few, brief=brief)
        if scores.batch_size < batch_size:
            self.progress.eval_batch_size = scores.batch_size
            when = f"after step {self.progress.step}"
            warning = smaller_evaluation_warning(when, batch_size, scores.batch_size)
            self.events.append("warning_raised", **warning._asdict())
        return scores

    def checkpoint(self, reason: str) -> None:
        """Begin to save everything the next step depends on; training goes on meanwhile.

        Raises:
            TrainingDiverged: if a step before was not finite; nothing is saved then.
        """
        self.log.flush()
        start = time.monotonic()
        if not self.events.sync():  # no checkpoint may lie beyond the durable end of the log
            return
        best = self.progress.best_step
        self.writer.save(
            self.paths.checkpoint(self.progress.step),
            step=self.progress.step,
            reason=reason,
            learner=self.plain_learner(),
            optimizer=self.optimizer.optimizer,
            state={
                "progress": self.progress.to_json(),
                "identity": self.identity,
                **scaler_state(self.accelerator),
            },
            best=None if best is None else self.paths.checkpoint(best).name,
            start=start,
        )
        self.announce()

    def announce(self, *, wait: bool = False) -> None:
        """Say in the log which checkpoints have become durable, or why one did not."""
        for saved in self.writer.finished(wait=wait):
            if saved.not_finite is not None:
                raise self.log.diverged(f"the weights became no numbers ({saved.not_finite})")
            announce(saved, self.paths.checkpoints_dir, self.events)

    def _train_mode(self) -> None:
        if self.learner is self.model:
            set_training_mode(self.model, self.spec.technique)
        else:
            self.learner.train()

    def _phase(self, phase: str) -> None:
        self.events.append("phase_started", phase=phase)

    def finish(self) -> None:
        """Keep the best evaluated model (otherwise the last), report on it, and end the run."""
        progress = self.progress
        ended_early = self.ended_by not in (None, "early_stopping")
        if ended_early:
            self.checkpoint("stop")
            self.announce(wait=True)
            # An evaluation of its own: not in the checkpoint, so a resumed run does not know of it.
            measured = any(row.step == progress.step for row in self.run.state().evaluations)
            if self.validation is not None and not measured:
                self.evaluate("stop")
        else:
            self.announce(wait=True)
            if damage(self.paths.checkpoint(progress.step)) is not None:
                self.checkpoint("end")
                self.announce(wait=True)
        self._phase("saving")
        export_run(self)
        kind = "run_stopped" if ended_early else "run_completed"
        self.events.append(
            kind,
            step=progress.step,
            reason=self.ended_by or "finished",
            train_runtime_s=progress.elapsed_s,
        )

    def salvage(self) -> None:
        """After a loss that was not finite: keep the best model evaluated before, if any."""
        for saved in self.writer.finished(wait=True):
            if saved.not_finite is None:
                announce(saved, self.paths.checkpoints_dir, self.events)
        export_what_is_left(self)
