"""The setup form's ways to pick one of several: a dropdown, and one with a field for more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from nbtransfer.panels.setup_choices import Choice, with_choice

if TYPE_CHECKING:
    from collections.abc import Callable

_ANOTHER = Choice(None, "another …")


class Select:
    """A dropdown that tells which Choice is chosen, by its place.

    ipywidgets' own Dropdown takes the value None for nothing chosen, and False for 0.

    Attributes:
        control: the widget.
    """

    def __init__(self, label: str, choices: list[Choice], value: object) -> None:
        self.control = widgets.Dropdown(description=label)
        self.control.add_class("nbt-field")
        self._choices: list[Choice] = []
        self.offer(choices, value)

    @property
    def value(self) -> Any:  # noqa: ANN401 -- whatever the choices stand for
        """What is chosen."""
        return self._choices[self.control.value].value

    @value.setter
    def value(self, value: object) -> None:
        self.control.value = self._place(value)

    @property
    def options(self) -> tuple[Choice, ...]:
        """What is on offer."""
        return tuple(self._choices)

    def offer(self, choices: list[Choice], value: object) -> None:
        """Offer `choices` with `value` chosen; a value that is not among them is added."""
        wanted = with_choice(choices, value)
        if wanted != self._choices:
            self._choices = list(wanted)
            self.control.options = [(choice.label, n) for n, choice in enumerate(wanted)]
        self.value = value

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` when something else is chosen."""
        self.control.observe(lambda _change: changed(), names="value")

    def _place(self, value: object) -> int:
        return next(
            n
            for n, choice in enumerate(self._choices)
            if choice.value == value and type(choice.value) is type(value)
        )


class Picker:
    """A list of what is at hand, and a field for everything else; the field shows when asked for.

    Not a Combobox: browsers filter its list by the text that is in it, so a field that holds a
    choice offers only that choice.
    """

    def __init__(self, label: str, choices: list[Choice], value: str, placeholder: str) -> None:
        self._choices = list(with_choice(choices, value))
        self.list = Select(label, [*self._choices, _ANOTHER], value)
        self.field = widgets.Text(placeholder=placeholder, continuous_update=False)
        self.field.description = f"{label}: name, path or hub id"
        self.field.add_class("nbt-field")
        self.field.layout.display = "none"
        self.box = plain_box([self.list.control, self.field])
        self.list.watch(self._show_field)

    @property
    def value(self) -> str:
        """What is chosen or typed; empty where the field is still empty."""
        return str(self.list.value or self.field.value.strip())

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` when another value is chosen or typed."""
        self.list.watch(lambda: changed() if self.list.value else None)
        self.field.observe(lambda _change: changed(), names="value")

    def settle(self, words: str) -> None:
        """Say what the chosen one turned out to be; a typed one becomes an entry of the list."""
        value = self.value
        entry = Choice(value, f"{value} · {words}")
        if any(choice.value == value for choice in self._choices):
            self._choices = [entry if c.value == value else c for c in self._choices]
        else:
            self._choices.insert(0, entry)
        self.list.offer([*self._choices, _ANOTHER], value)

    def _show_field(self) -> None:
        self.field.layout.display = "none" if self.list.value else ""


def plain_box(children: list[widgets.Widget]) -> widgets.VBox:
    """Return the widgets one below the other, cutting nothing off."""
    box = widgets.VBox(children)
    box.layout.overflow = "visible"
    return box
