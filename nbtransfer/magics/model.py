"""`%model`: look at a model before training."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from nbtransfer.errors import ModelError
from nbtransfer.magics.arguments import parse
from nbtransfer.magics.help_text import help_text
from nbtransfer.magics.names import Names, model_names, resolve_model
from nbtransfer.magics.say import say
from nbtransfer.settings import resolve_runs_dir

if TYPE_CHECKING:
    from pathlib import Path


def model(line: str, cell: str | None, names: Names) -> None:
    """Show the model that the line names."""
    asked = parse("model", line, cell)
    if asked.get("help"):
        say(help_text("model"))
        return
    if not asked.words:
        found = ", ".join([*model_names(names), "demo:minilm"])
        raise ModelError(f"%model needs MODEL. There is: {found}.")
    runs_dir = resolve_runs_dir(asked.get("runs_dir"))
    named = resolve_model(asked.words[0], names, runs_dir)
    from nbtransfer.panels.model_panel import show_model

    if isinstance(named.value, str):
        show_model(named.value, runs_dir=runs_dir)
    else:
        _show_variable(named.value, str(named.name), runs_dir)


def _show_variable(value: object, name: str, runs_dir: Path) -> None:
    from nbtransfer.hardware import detect_hardware
    from nbtransfer.models.in_memory import write_model
    from nbtransfer.panels.model_panel import show_model_card

    card = write_model(value, name)
    try:
        show_model_card(card, detect_hardware(runs_dir))
    finally:
        shutil.rmtree(card.location, ignore_errors=True)
