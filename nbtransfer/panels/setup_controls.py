"""The setup form's controls: ipywidgets that are read as a RunSpec and follow a Draft."""

from __future__ import annotations

import dataclasses
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import ipywidgets as widgets

from nbtransfer.panels import setup_choices as offers
from nbtransfer.panels.markup import tag
from nbtransfer.panels.setup_choices import Choice, with_choice
from nbtransfer.panels.setup_columns import Columns
from nbtransfer.panels.setup_pickers import Picker, Select, plain_box
from nbtransfer.spec import Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbtransfer.panels.setup_draft import Draft
    from nbtransfer.spec import RunSpec


class Controls:
    """All controls of the form, and what they say.

    The learning rate and the maximum length stay open until the user moves them: the plan decides
    them, and their sliders show what it decided.

    Attributes:
        changed: called with True after a change of model or data, with False after any other.
    """

    def __init__(self, spec: RunSpec, models: list[Choice], data: list[Choice]) -> None:
        self._asked = spec
        self._following = False
        self.changed: Callable[[bool], None] = lambda _sources: None

        self.model = Picker("Model", models, spec.model, "bert-base-uncased, ./my-model, a run")
        self.data = Picker("Data", data, spec.data, "df, reviews.csv, a hub id")
        self.columns = Columns(spec)
        validation = with_choice(offers.validation_choices(None), spec.validation)
        self.validation = Select("Validation", validation, spec.validation)
        techniques = [
            Choice(n, f"{n} · {words}") for n, words in offers.techniques(spec.technique).items()
        ]
        self.technique = Select("Technique", techniques, spec.technique)

        # A slider would silently pull in what was given beyond its ends: they make room for it.
        rate = spec.learning_rate or 1e-4
        epochs, length = max(1, round(spec.num_train_epochs)), spec.max_length or 64
        self.rate = widgets.FloatLogSlider(
            value=rate,
            base=10,
            min=min(-6, math.log10(rate)),
            max=max(-1, math.log10(rate)),
            step=0.05,
            readout_format=".1e",
            description="Learning rate",
        )
        self.epochs = widgets.IntSlider(
            value=epochs, min=1, max=max(20, epochs), description="Epochs"
        )
        sizes = sorted({*offers.BATCH_SIZES, spec.per_device_train_batch_size})
        self.batch = widgets.SelectionSlider(
            options=sizes, value=spec.per_device_train_batch_size, description="Batch size"
        )
        self.length = widgets.IntSlider(
            value=length, min=min(8, length), max=max(512, length), step=8, description="Max length"
        )
        for slider in (self.rate, self.epochs, self.batch, self.length):
            slider.add_class("nbt-slide")
        self.rate_hint = _hint()
        self.length_hint = _hint()

        metrics = offers.metric_choices(spec.task)
        self.metric = Select("Best model by", metrics, spec.metric_for_best_model)
        self.warmup = widgets.BoundedFloatText(
            value=spec.warmup_steps, min=0, max=1e9, step=0.01, description="Warm-up"
        )
        self.decay = widgets.BoundedFloatText(
            value=spec.weight_decay, min=0, max=1, step=0.01, description="Weight decay"
        )
        weights: list[Choice] = [Choice(None, "none"), Choice("balanced", "balanced")]
        if isinstance(spec.class_weights, dict):
            weights.append(Choice(spec.class_weights, "as given"))
        self.weights = Select("Class weights", weights, spec.class_weights)
        patience = spec.early_stopping_patience
        stopping = offers.early_stopping_choices(patience)
        self.stopping = Select("Early stopping", stopping, patience)
        precisions = [Choice(name, name) for name in get_args(Precision)]
        self.precision = Select("Precision", precisions, spec.precision)
        kinds = [Choice(name, name) for name in ("auto", "eager", "graphed")]
        self.step = Select("Steps", kinds, spec.step)
        self.seed = widgets.BoundedIntText(
            value=spec.seed, min=0, max=2**32 - 1, description="Seed"
        )
        for field in (self.warmup, self.decay, self.seed):
            field.add_class("nbt-field")
        self.more = widgets.Accordion(children=[self._more_box()], selected_index=None)
        self.more.add_class("nbt-more")

        self._free = {
            name
            for name, given in (
                ("learning_rate", spec.learning_rate),
                ("max_length", spec.max_length),
            )
            if given is None
        }
        self._watch()

    def read(self) -> RunSpec:
        """Return what the controls ask for; options without a control stay as they were given."""
        return dataclasses.replace(
            self._asked,
            model=self.model.value,
            data=self.data.value,
            **self.columns.values,
            validation=self.validation.value,
            technique=self.technique.value,
            learning_rate=None if "learning_rate" in self._free else self._rate(),
            num_train_epochs=self._epochs(),
            per_device_train_batch_size=self.batch.value,
            max_length=None if "max_length" in self._free else self.length.value,
            metric_for_best_model=self.metric.value,
            warmup_steps=self.warmup.value,
            weight_decay=self.decay.value,
            class_weights=self.weights.value,
            early_stopping_patience=self.stopping.value,
            precision=self.precision.value,
            step=self.step.value,
            seed=self.seed.value,
        )

    def follow(self, draft: Draft) -> None:
        """Bring choices, ranges and hints up to what the draft found, without asking again."""
        with self._quiet():
            self.columns.follow(draft)
            if draft.task is not None:
                self.metric.offer(offers.metric_choices(draft.task), self.metric.value)
            self.validation.offer(offers.validation_choices(draft.tables), self.validation.value)
            if draft.model is not None:
                self.model.settle(offers.model_words(draft.model))
            if draft.tables is not None:
                self.data.settle(offers.data_words(draft.tables))
            self.rate_hint.value = _small(offers.rate_hint(draft.spec.technique))
            if draft.model is not None:
                self._bound_length(draft)
            if draft.plan is not None:
                if "learning_rate" in self._free:
                    self.rate.value = draft.plan.learning_rate
                if "max_length" in self._free:
                    self.length.value = draft.plan.max_length
            cut = offers.cut_words(draft.plan) if draft.plan is not None else ""
            self.length_hint.value = _small(cut)
            self.more.set_title(0, offers.more_summary(draft.spec))

    def set_disabled(self, disabled: bool) -> None:
        """Let nothing be changed, or everything again."""
        lists = (self.model.list, self.data.list, self.columns.task)
        for widget in (*self._selects(), *lists):
            widget.control.disabled = disabled
        for field in (*self._fields(), self.rate, self.length, self.model.field, self.data.field):
            field.disabled = disabled

    def _selects(self) -> tuple[Select, ...]:
        """The dropdowns whose change asks for another plan and nothing else; the technique too."""
        return (
            *(*self.columns.selects, self.validation, self.technique),
            *(self.metric, self.weights, self.stopping, self.precision, self.step),
        )

    def _fields(self) -> tuple[Any, ...]:
        """The sliders and numbers of which the same is true."""
        return self.epochs, self.batch, self.warmup, self.decay, self.seed

    def _more_box(self) -> widgets.Widget:
        hint = _hint()
        hint.value = _small("Warm-up below 1 is a share of all steps, from 1 on it is steps.")
        box = plain_box(
            [
                *(self.metric.control, self.stopping.control, self.warmup, self.decay, hint),
                *(self.weights.control, self.precision.control, self.step.control, self.seed),
            ]
        )
        box.add_class("nbt-more-fields")
        return box

    def _watch(self) -> None:
        self.columns.task.watch(self._task_changed)
        self.model.watch(self._model_changed)
        self.data.watch(self._data_changed)
        self.rate.observe(lambda _change: self._moved("learning_rate"), names="value")
        self.length.observe(lambda _change: self._moved("max_length"), names="value")
        for select in self._selects():
            is_technique = select is self.technique
            select.watch(self._technique_changed if is_technique else self._option_changed)
        for field in self._fields():
            field.observe(lambda _change: self._option_changed(), names="value")

    def _option_changed(self) -> None:
        self._tell(sources=False)

    def _model_changed(self) -> None:
        if self._following:
            return
        self._free |= {"learning_rate", "max_length"}
        self._tell(sources=True)

    def _data_changed(self) -> None:
        """Other data has other columns and lengths: guess them again."""
        if self._following:
            return
        with self._quiet():
            self.columns.forget()
            self.metric.offer([Choice(None, "the task's own")], None)
            self.validation.offer(offers.validation_choices(None), None)
        self._free.add("max_length")
        self._tell(sources=True)

    def _task_changed(self) -> None:
        """Another task reads other columns and has other metrics: guess them again."""
        if self._following:
            return
        with self._quiet():
            self.columns.forget()
            self.metric.offer([Choice(None, "the task's own")], None)
        self._free |= {"learning_rate", "max_length"}
        self._tell(sources=True)

    def _technique_changed(self) -> None:
        """A rate that is right for one technique is wrong by a factor of ten for the next."""
        if not self._following:
            self._free.add("learning_rate")
        self._tell(sources=False)

    def _moved(self, name: str) -> None:
        if not self._following:
            self._free.discard(name)
        self._tell(sources=False)

    def _tell(self, *, sources: bool) -> None:
        if not self._following:
            self.changed(sources)

    def _rate(self) -> float:
        """Return a given rate as it was given, a moved one as the readout shows it."""
        given = self._asked.learning_rate
        is_untouched = given is not None and self.rate.value == given
        return float(self.rate.value) if is_untouched else _two_digits(self.rate.value)

    def _epochs(self) -> float:
        """A given fraction of an epoch, which the slider cannot show, stays until it is moved."""
        given = self._asked.num_train_epochs
        return given if self.epochs.value == max(1, round(given)) else float(self.epochs.value)

    def _bound_length(self, draft: Draft) -> None:
        """Let the slider end where the longest text or the model does."""
        highest = draft.model.max_positions if draft.model is not None else 512
        if draft.lengths is not None and len(draft.lengths.tokens):
            longest = 8 * math.ceil(int(draft.lengths.tokens.max()) / 8)
            highest = min(highest, max(64, longest, self.length.value))
        self.length.max = max(highest, 16)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Change controls without taking it for the user's doing."""
        before, self._following = self._following, True
        try:
            yield
        finally:
            self._following = before


def _hint() -> widgets.HTML:
    hint = widgets.HTML()
    hint.add_class("nbt-hint")
    return hint


def _small(words: str) -> str:
    return tag("div", words, class_="nbt-note") if words else ""


def _two_digits(rate: float) -> float:
    """Return the rate as the slider's readout shows it, so that the line says the same."""
    return float(f"{rate:.1e}")
