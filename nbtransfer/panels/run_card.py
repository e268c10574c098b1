"""A run as one static card: HTML that reads well without its styles, and plain text."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nbtransfer.errors import quoted
from nbtransfer.panels import run_view as view
from nbtransfer.panels.examples_view import latest_examples, samples_lines
from nbtransfer.panels.figure_bundle import Bundle
from nbtransfer.panels.markup import Markup, tag
from nbtransfer.panels.run_notes import note_lines, notes_block
from nbtransfer.panels.style import card
from nbtransfer.runs.run import Run
from nbtransfer.tasks.metric_words import metric_text, metric_word

if TYPE_CHECKING:
    from nbtransfer.panels.run_view import About
    from nbtransfer.runs.state import RunState


def card_bundle(
    about: About, state: RunState, status: str, run_dir: Path, opened: float | None = None
) -> Bundle:
    """Return the run's card as HTML with plain text beside it; no controls, no chart.

    Args:
        about: the run.
        state: what its events add up to.
        status: as `Run.status` says.
        run_dir: the run's folder.
        opened: when its display was opened, for the clock before the worker tells its own.
    """
    now = time.time()
    html = card(
        view.head(about, state, status, now, opened),
        view.facts_row(about, state, status),
        tag("div", view.evaluations_table(state), class_="nbt-section")
        if state.evaluations
        else None,
        latest_examples(state),
        view.warnings_block(view.warning_pairs(about, state)),
        _ending_block(about, state, status, run_dir),
        notes_block(note_lines(about, state)),
    )
    text = card_text(about, state, status, run_dir, now, opened)
    return Bundle({"text/html": str(html), "text/plain": text}, {})


def card_text(
    about: About,
    state: RunState,
    status: str,
    run_dir: Path,
    now: float,
    opened: float | None = None,
    told: tuple[str, ...] = (),
) -> str:
    """Return the card as plain text, without the notes that were told before."""
    figures = " · ".join(f"{strong} {dim}" for strong, dim in view.facts(about, state, status))
    clock = view.clock_text(about, state, status, now, opened)
    ending, commands = ending_lines(about, state, status, run_dir)
    return "\n".join(
        [
            f"{about.name} ({view.phase_of(state, status)}, {clock})",
            about.source,
            *([figures] if figures else []),
            *view.evaluations_text(state),
            *samples_lines(state),
            *(
                f"! {f'{head} {advice}'.strip()}"
                for head, advice in view.warning_pairs(about, state)
            ),
            *ending,
            *(f"    {command}" for command in commands),
            *(f"- {note}" for note in note_lines(about, state) if note not in told),
        ]
    )


def ending_lines(
    about: About, state: RunState, status: str, run_dir: Path
) -> tuple[list[str], list[str]]:
    """Return how the run ended, in sentences, and what to type next; empty while it goes on."""
    if status not in view.ENDED:
        return [], []
    run = Run(run_dir)
    lines, name = [], run.reference
    then = [about.follow_up] if about.follow_up else []
    if status == "failed":
        kind = f"{state.error_type}: " if state.error_type else ""
        lines.append(
            f"Failed at step {state.ended_step or state.step:,}. {kind}{state.error_message}"
        )
        if state.error_advice:
            lines.append(state.error_advice)
    elif status == "lost":
        seen = run.last_seen()
        worker = f"The worker, last seen on {quoted(seen[0])}," if seen else "The worker"
        lines.append(f"{worker} is gone; the last it told was step {state.step:,}.")
    elif status == "stopped":
        lines.append(f"{_STOP_WORDS.get(state.ending_reason, 'Stopped')} at step {state.step:,}.")
    elif state.ending_reason == "early_stopping":
        lines.append(f"Stopped early at step {state.step:,}: the metric no longer got better.")
    if status in ("failed", "lost") and state.lost_checkpoints:
        # Why is part of the message above.
        return lines, [f"%finetune --resume {name} --allow", *then]
    if status in ("failed", "lost"):
        lines.append(
            f"The last checkpoint is of step {state.checkpoints[-1].step:,}. Go on from it:"
            if state.checkpoints
            else "There is no checkpoint yet. Start it over:"
        )
        return lines, [f"%finetune --resume {name}", *then]
    if state.saved_choice is not None:
        lines.append(_kept_sentence(state, run_dir))
    if status == "stopped" and then:
        lines.append("The second stage has not begun. Go on with this one, then begin it:")
        return lines, [f"%finetune --resume {name}", *then]
    if then:
        lines.append(
            "The first of two stages is done. The second, where it does not begin by itself:"
        )
        return lines, then
    if about.reads_pairs:  # a line has no room for two texts
        return lines, [
            f"%evaluate {name}",
            'pairs = [("a text of yours", "and another")]',
            f"%predict {name} pairs",
        ]
    asked = '"a text of yours"'
    if about.task == "question-answering":
        asked = '--question "Who ...?" --context "a text of yours"'
    return lines, [f"%evaluate {name}", f"%predict {name} {asked}"]


_STOP_WORDS = {
    "stop": "Stopped on request",
    "interrupt": "Stopped by an interrupt",
    "sigterm": "Stopped by the system",
    "lease": "Stopped when its kernel had been gone for the time allowed",
}


def _kept_sentence(state: RunState, run_dir: Path) -> str:
    value = ""
    if state.saved_metric is not None and state.saved_value is not None:
        is_loss = state.saved_metric == "eval_loss"
        word = "validation loss" if is_loss else metric_word(state.saved_metric)
        value = f" ({word} {metric_text(state.saved_metric, state.saved_value)})"
    return (
        f"Kept: the {state.saved_choice} model, from step {state.saved_step or 0:,}{value}, "
        f"in {_near(run_dir / 'model')}{', verified by loading it again' if state.verified else ''}"
    )


def _near(path: Path) -> str:
    """Return `path` from the working directory where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return os.fspath(path)


def _ending_block(about: About, state: RunState, status: str, run_dir: Path) -> Markup | None:
    lines, commands = ending_lines(about, state, status, run_dir)
    if not lines and not commands:
        return None
    is_bad = status in ("failed", "lost")
    sentences = [tag("p", line) for line in lines]
    if is_bad and sentences:
        sentences = [tag("div", *sentences, class_="nbt-say-bad nbt-ended")]
    codes = [tag("pre", "\n".join(commands), class_="nbt-code")] if commands else []
    return tag("div", *sentences, *codes, class_="nbt-section")
