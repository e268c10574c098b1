"""`%dataset`: look at data before training."""

from __future__ import annotations

from nbtransfer.errors import DataError
from nbtransfer.magics.arguments import parse
from nbtransfer.magics.help_text import help_text
from nbtransfer.magics.names import Names, data_names, resolve_data
from nbtransfer.magics.say import say
from nbtransfer.spec import ROLES


def dataset(line: str, cell: str | None, names: Names) -> None:
    """Show the data that the line names."""
    asked = parse("dataset", line, cell)
    if asked.get("help"):
        say(help_text("dataset"))
        return
    if not asked.words:
        found = ", ".join([*data_names(names), "demo:tweets"])
        raise DataError(f"%dataset needs DATA. There is: {found}.")
    data = resolve_data(asked.words[0], names)
    options = {k: v for k, v in asked.values.items() if k in ("task", "max_length")}
    options["columns"] = {role: asked.values[role] for role in ROLES if role in asked.values}
    if "model" in asked.values:
        model = asked.values["model"]
        options["model"] = None if model.lower() in ("no", "none") else model
    from nbtransfer.panels.data_panel import show_dataset

    show_dataset(data.value, name=data.name, **options)
