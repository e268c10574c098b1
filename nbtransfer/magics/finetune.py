"""`%finetune`: train a model, attach to a run, resume one, or only say what would happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtransfer import api
from nbtransfer.errors import DataError, RunError, SpecError
from nbtransfer.magics.arguments import Arguments, parse
from nbtransfer.magics.help_text import help_text
from nbtransfer.magics.names import Names, data_names, require_run, resolve_data, resolve_model
from nbtransfer.magics.say import say
from nbtransfer.magics.words import Word
from nbtransfer.runs.interrupts import InterruptCounter
from nbtransfer.settings import resolve_runs_dir

if TYPE_CHECKING:
    from nbtransfer.runs.run import Run

_SPLITS = ("train", "validation", "valid", "val", "dev", "test")
_MODES = ("attach", "resume")
_ADAPT = ("adapt_epochs", "adapt_learning_rate")


def finetune(line: str, cell: str | None, names: Names) -> Run | None:
    """Do what the line asks, and return the run where there is one."""
    asked = parse("finetune", line, cell)
    if asked.get("help"):
        say(help_text("finetune"))
        return None
    check_modes(asked)
    if asked.get("attach"):
        return _attach(asked, names)
    if asked.get("resume"):
        return _resume(asked, names)
    if not asked.words:
        _set_up(asked, names)
        return None
    return launch(asked, names)


def launch(asked: Arguments, names: Names) -> Run | None:
    """Start what is asked for, or show what would be; return the run where there is one."""
    if len(asked.words) < 2:
        found = ", ".join(data_names(names)) or "none yet, but demo:tweets is always there"
        raise DataError(
            f"%finetune {asked.words[0].text[:60]} needs DATA too. Data in this notebook: {found}."
        )
    if asked.get("as_code"):
        _show_code(asked, names)
        return None
    if asked.get("adapt"):
        return _adapt(asked, names)
    job = _prepare(asked, names)
    if asked.get("plan"):
        from nbtransfer.panels.plan_view import show_plan

        show_plan(job, runs_dir=asked.get("runs_dir"))
        return None
    with InterruptCounter():  # from here on an interrupt stops the run, and the cell returns it
        run = api.start_job(job)
        _show(run, wait=not asked.get("background"), notes=job.notes)
    return run


def _prepare(asked: Arguments, names: Names) -> api.Job:
    from nbtransfer.runs.launch import warm_up

    runs_dir = resolve_runs_dir(asked.get("runs_dir"))
    model = resolve_model(asked.words[0], names, runs_dir)
    data = resolve_data(asked.words[1], names)
    if not asked.get("plan"):
        warm_up()  # it imports while the data is read
    return api.prepare_job(
        model.value,
        data.value,
        keywords=_keywords(asked, names),
        runs_dir=runs_dir,
        model_name=model.name,
        data_name=data.name,
    )


def _adapt(asked: Arguments, names: Names) -> Run | None:
    """Do both stages, or show what they would do."""
    from nbtransfer.runs.launch import warm_up

    runs_dir = resolve_runs_dir(asked.get("runs_dir"))
    model = resolve_model(asked.words[0], names, runs_dir)
    data = resolve_data(asked.words[1], names)
    corpus = resolve_data(Word(asked.values["adapt"]), names)
    if not asked.get("plan"):
        warm_up()
    found = api.plan_adaptation(
        model.value,
        data.value,
        corpus.value,
        keywords=_keywords(asked, names),
        epochs=asked.get("adapt_epochs"),
        learning_rate=asked.get("adapt_learning_rate"),
        runs_dir=runs_dir,
        model_name=model.name,
        data_name=data.name,
        corpus_name=corpus.name,
    )
    if asked.get("plan"):
        from nbtransfer.panels.plan_view import show_plans

        show_plans(found, runs_dir=asked.get("runs_dir"))
        return None
    return api.run_adaptation(found, show=True)


def _keywords(asked: Arguments, names: Names) -> dict[str, Any]:
    """Return the options of the run, held-out rows in a variable put in for its name."""
    keywords = dict(asked.keywords)
    validation = keywords.get("validation")
    if isinstance(validation, str) and validation.isidentifier() and validation not in _SPLITS:
        keywords["validation"] = resolve_data(Word(validation), names).value
    return keywords


def _show(run: Run, *, wait: bool, notes: tuple[str, ...] = ()) -> None:
    from nbtransfer.panels.show import find_place, show_run

    if notes and not wait and find_place() == "terminal":
        say("\n".join(notes))  # elsewhere the panel states them
    show_run(run, wait=wait)


def _show_code(asked: Arguments, names: Names) -> None:
    from nbtransfer.commandline import finetune_code
    from nbtransfer.keywords import sort_keywords
    from nbtransfer.spec import RunSpec

    model, data = (word.text for word in asked.words)
    spec = RunSpec(model=model, data=data, **sort_keywords(asked.keywords).fields)
    variables = {w.text for w in asked.words if not w.is_quoted and w.text in names}
    more = [(name, asked.values[name]) for name in ("adapt", *_ADAPT) if name in asked.values]
    if asked.get("adapt") in names:
        variables.add(asked.values["adapt"])
    say(finetune_code(spec, more=more, variables=variables, runs_dir=asked.get("runs_dir")))


def _set_up(asked: Arguments, names: Names) -> None:
    from nbtransfer.keywords import sort_keywords
    from nbtransfer.panels.setup_panel import show_setup

    show_setup(
        names,
        runs_dir=resolve_runs_dir(asked.get("runs_dir")),
        defaults=sort_keywords(asked.keywords).fields,
    )


def _attach(asked: Arguments, names: Names) -> Run:
    runs_dir = resolve_runs_dir(asked.get("runs_dir"))
    if isinstance(asked.values["attach"], str):
        run = require_run(Word(asked.values["attach"]), names, runs_dir)
    else:
        runs = api.list_runs(runs_dir=runs_dir)
        live = [run for run in runs if run.status in ("running", "paused", "created")]
        if not live:
            raise RunError(f"no run is going on in {str(runs_dir)!r}. See them all: %runs")
        run = live[0]
    is_live = run.status in ("running", "paused", "created")
    _show(run, wait=is_live and not asked.get("background"))
    return run


def _resume(asked: Arguments, names: Names) -> Run:
    runs_dir = resolve_runs_dir(asked.get("runs_dir"))
    run = require_run(Word(asked.values["resume"]), names, runs_dir)
    changes = {name: value for name, value in asked.keywords.items() if name != "allow"}
    with InterruptCounter():
        run = api.resume_run(run, changes=changes, allow=bool(asked.get("allow")))
        _show(run, wait=not asked.get("background"))
    return run


def check_modes(asked: Arguments) -> None:
    """Refuse what would be ignored.

    Raises:
        SpecError: naming the options and words that do not go together.
    """
    mode = next((name for name in _MODES if asked.get(name)), None)
    if mode is not None:
        allowed = {mode, "runs_dir", "background"}
        if mode == "resume":
            allowed |= {"allow", *asked.keywords}
        spare = [w.text[:60] for w in asked.words]
        spare += [asked.typed[name] for name in asked.values if name not in allowed]
        if spare:
            raise SpecError(
                f"--{mode} takes a run as it is: leave out {', '.join(spare)}. "
                "The learning rate and the epochs can be changed in the panel."
            )
    alone = [asked.typed[name] for name in _ADAPT if name in asked.values]
    if alone and not asked.get("adapt"):
        raise SpecError(f"{alone[0]} needs a corpus to adapt to: --adapt corpus.txt")
    if asked.get("adapt") and asked.get("background"):
        raise SpecError(
            "--adapt runs two stages and waits for the first: leave out --background. Or take them "
            "one by one: %pretrain MODEL CORPUS --background, and when that run is done "
            "%finetune RUN DATA --background."
        )
    if asked.get("adapt") and not asked.words:
        raise SpecError("--adapt needs a model and data: %finetune MODEL DATA --adapt CORPUS")
    quiet = [asked.typed[name] for name in ("plan", "as_code", "background") if asked.get(name)]
    if mode is None and len(quiet) > 1:
        raise SpecError(f"{' and '.join(quiet)} do not go together: leave all but one out.")
    if mode is None and quiet and not asked.words:
        raise SpecError(f"{quiet[0]} needs a model and data: %finetune MODEL DATA {quiet[0]}")
