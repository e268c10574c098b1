"""`%pretrain`: go on pre-training a model on unlabelled texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer import api
from nbtransfer.errors import SpecError
from nbtransfer.magics.arguments import Arguments, parse
from nbtransfer.magics.finetune import check_modes, launch
from nbtransfer.magics.help_text import help_text
from nbtransfer.magics.names import Names, resolve_model
from nbtransfer.magics.say import say
from nbtransfer.settings import resolve_runs_dir

if TYPE_CHECKING:
    from nbtransfer.runs.run import Run


def pretrain(line: str, cell: str | None, names: Names) -> Run | None:
    """Do what the line asks, and return the run where there is one."""
    asked = parse("pretrain", line, cell)
    if asked.get("help"):
        say(help_text("pretrain"))
        return None
    if len(asked.words) < 2:
        raise SpecError("%pretrain needs MODEL and CORPUS: %pretrain demo:bert-tiny corpus.txt")
    check_modes(asked)
    return launch(_with_task(asked, names), names)


def _with_task(asked: Arguments, names: Names) -> Arguments:
    """Return what was asked with the task that the model's family is pre-trained by."""
    runs_dir = resolve_runs_dir(asked.get("runs_dir"))
    model = resolve_model(asked.words[0], names, runs_dir)
    asked.values["task"] = api.pretraining_task(model.value, runs_dir=runs_dir)
    return asked
