"""The setup form behind a bare `%finetune`: pick, look at the plan, start in place."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from IPython.display import display

from nbtransfer.errors import NbTransferError
from nbtransfer.panels import setup_choices as offers
from nbtransfer.panels.cell_output import CellOutput
from nbtransfer.panels.markup import Markup, join, style_sheet, tag
from nbtransfer.panels.setup_controls import Controls
from nbtransfer.panels.setup_draft import Draft, Drafter
from nbtransfer.panels.setup_style import SETUP_STYLE
from nbtransfer.panels.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.display import DisplayHandle

    from nbtransfer.runs.run import Run
    from nbtransfer.spec import RunSpec


def show_setup(
    namespace: Mapping[str, object],
    *,
    runs_dir: Path,
    model: str | None = None,
    data: str | None = None,
    defaults: Mapping[str, object] | None = None,
) -> None:
    """Show the form; without a front end, show the line for the best guess and return.

    Args:
        namespace: the notebook's variables, among which models and data are looked for.
        runs_dir: where the run will be kept, and where finished runs are offered as models.
        model: the model to begin with.
        data: the data to begin with.
        defaults: further fields of RunSpec to begin with.
    """
    from nbtransfer.panels.show import find_place
    from nbtransfer.runs.store import list_runs

    models = offers.model_choices(namespace, list_runs(runs_dir))
    datas = offers.data_choices(namespace, Path.cwd())
    given = {**(defaults or {}), "model": model, "data": data}
    spec = offers.first_guess(models, datas, given)
    drafter = Drafter(namespace, runs_dir)
    if find_place() != "widgets":
        bundle = {"text/plain": guess_text(drafter, spec)}
        display(bundle, raw=True)  # type: ignore[no-untyped-call]
        return
    form = SetupForm(drafter, Controls(spec, models, datas))
    form.show()


def guess_text(drafter: Drafter, spec: RunSpec) -> str:
    """Return the line that starts the best guess, and what stands in its way if anything does."""
    draft = drafter.draft(spec)
    if draft.roles:
        named: dict[str, Any] = dict(draft.roles)
        draft = drafter.draft(dataclasses.replace(spec, **named))
    return "\n".join([draft.line, *draft.problems])


class SetupForm:
    """The form as shown: controls, the plan that follows them, and Start."""

    def __init__(self, drafter: Drafter, controls: Controls) -> None:
        self.drafter = drafter
        self.controls = controls
        self.draft: Draft | None = None
        self._handle: DisplayHandle | None = None
        self._cell = CellOutput()
        self.plan = widgets.HTML(_waiting("looking at the model and the data …"))
        self.start = widgets.Button(description="Start", disabled=True)
        self.start.add_class("nbt-start")
        self.start.tooltip = "Start this run here"
        c = controls
        what = _column(
            "What",
            *(c.model.box, c.data.box, c.columns.task.control, c.columns.box),
            *(c.validation.control, c.technique.control),
        )
        how = _column(
            "How",
            *(c.rate, c.rate_hint, c.epochs, _gap(), c.batch, _gap()),
            *(c.length, c.length_hint, c.more),
        )
        columns = widgets.Box([what, how, _column("Plan", self.plan, self.start)])
        columns.add_class("nbt-columns")
        self.root = widgets.VBox([widgets.HTML(_head()), columns])
        self.root.add_class("nbt").add_class("nbt-setup")
        self.controls.changed = self._changed
        self.start.on_click(self._start)

    def show(self) -> None:
        """Show the form at once, then look at what it begins with."""
        from nbtransfer.panels.live_controls import make_live
        from nbtransfer.runs.launch import warm_up

        self._handle = display(self.root, display_id=True)  # type: ignore[no-untyped-call]
        make_live(self.root)
        warm_up()
        self.update()

    def update(self) -> None:
        """Draw the plan for what the controls ask for."""
        draft = self.drafter.draft(self.controls.read())
        self.controls.follow(draft)
        # The columns that were recognised now stand in the controls, so the line names them.
        asked = self.controls.read()
        self.draft = draft if asked == draft.spec else self.drafter.draft(asked)
        self.plan.value = plan_markup(self.draft)
        self.start.disabled = self.draft.plan is None

    def _changed(self, sources: bool) -> None:
        try:
            if sources:
                self.drafter.forget_failures()
                self.start.disabled = True
                self.plan.value = _waiting("looking at the model and the data …")
            self.update()
        except Exception as error:  # a widget callback shows its error where the user looks
            self._show_bug(error)

    def _start(self, _button: object) -> None:
        self._hold(True)
        try:
            self._run()
        except NbTransferError as error:
            self._hold(False)
            self.plan.value = _problem_list(getattr(error, "problems", (str(error),)))
        except Exception as error:  # a widget callback shows its error where the user looks
            self._hold(False)
            self._show_bug(error)

    def _hold(self, starting: bool) -> None:
        self.start.disabled = starting
        self.start.description = "Starting …" if starting else "Start"
        self.controls.set_disabled(starting)

    def _run(self) -> None:
        spec = self.controls.read()
        run = start_run(self.drafter, spec)
        self._give_way(run, self.drafter.line(spec))

    def _give_way(self, run: Run, line: str) -> None:
        """Leave the line in the form's place, and the run's panel below it."""
        from nbtransfer.panels.live_controls import walk
        from nbtransfer.panels.show import show_run

        with self._cell.shown_here():
            if self._handle is not None:
                self._handle.update({"text/plain": line}, raw=True)  # type: ignore[no-untyped-call]
            show_run(run, wait=False)
        self.drafter.close()
        for widget in list(walk(self.root)):
            widget.close()

    def _show_bug(self, error: Exception) -> None:
        import traceback

        lines = "".join(traceback.format_exception(error))
        self.plan.value = join(
            _problem_list([f"{type(error).__name__}: {error}"]),
            tag("details", tag("summary", "traceback"), tag("pre", lines)),
        )


def start_run(drafter: Drafter, spec: RunSpec) -> Run:
    """Start what `spec` asks for and return its run at once.

    Raises:
        NbTransferError: if it cannot be done.
    """
    from nbtransfer import api

    defaults = type(spec)(model=spec.model, data=spec.data)
    keywords: dict[str, Any] = {
        f.name: getattr(spec, f.name)
        for f in dataclasses.fields(spec)
        if f.name not in ("model", "data")
        and getattr(spec, f.name) is not getattr(defaults, f.name)
    }
    if "validation" in keywords:
        keywords["validation"] = drafter.validation_object(spec.validation)
    job = api.prepare_job(
        drafter.model_object(spec.model),
        drafter.data_object(spec.data),
        keywords=keywords,
        runs_dir=drafter.runs_dir,
        model_name=spec.model,
        data_name=spec.data,
    )
    return api.start_job(job)


def plan_markup(draft: Draft) -> Markup:
    """Return the plan column: the plan and its warnings, or the problems; then the line."""
    line = join(
        tag("p", "the same as typing", class_="nbt-note nbt-same"),
        tag("div", *(_word(word) for word in draft.line.split(" ")), class_="nbt-code"),
    )
    if draft.plan is None:
        return join(_problem_list(draft.problems), line)
    rows = [
        join(tag("span", n, class_="nbt-dim"), tag("b", v)) for n, v in offers.plan_rows(draft.plan)
    ]
    warnings = [tag("p", words, class_="nbt-warning") for words in draft.plan.warnings]
    return join(tag("div", *rows, class_="nbt-kv"), *warnings, line)


def _word(word: str) -> Markup:
    """Return a word that the line is not broken within: browsers break after hyphens."""
    return join(tag("span", word, class_="nbt-unbroken"), " ")


def _head() -> Markup:
    return join(
        style_sheet(STYLE + SETUP_STYLE),
        tag(
            "div",
            tag("span", "Fine-tune", class_="nbt-title"),
            tag("span", "pick a model and data, look at the plan, start", class_="nbt-dim"),
            class_="nbt-head",
        ),
    )


def _column(title: str, *children: widgets.Widget) -> widgets.VBox:
    return widgets.VBox([widgets.HTML(tag("h4", title)), *children])


def _gap() -> widgets.HTML:
    gap = widgets.HTML()
    gap.add_class("nbt-gap")
    return gap


def _waiting(words: str) -> Markup:
    return tag("p", words, class_="nbt-dim")


def _problem_list(problems: tuple[str, ...] | list[str]) -> Markup:
    return join(*(tag("p", words, class_="nbt-problem") for words in problems))
