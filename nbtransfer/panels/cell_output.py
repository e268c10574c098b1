"""Lets a widget's callback display in the cell that showed the widget."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from IPython import get_ipython

if TYPE_CHECKING:
    from collections.abc import Iterator


class CellOutput:
    """The output of the cell that runs when this is made.

    What a callback displays belongs to the message that brought the click, and no front end shows
    it. Named as an answer to the cell's own request, it is shown where the cell's outputs are.
    """

    def __init__(self) -> None:
        self._publisher = getattr(get_ipython(), "display_pub", None)
        self._parent = getattr(self._publisher, "parent_header", None)

    @contextmanager
    def shown_here(self) -> Iterator[None]:
        """Send what is displayed inside to the cell; where that cannot be done, change nothing."""
        publisher, parent = self._publisher, self._parent
        if publisher is None or not parent:
            yield
        elif hasattr(publisher, "set_thread_parent"):  # ipykernel 7: for this thread alone
            token = publisher.set_thread_parent({"header": parent})
            try:
                yield
            finally:
                publisher.reset_thread_parent(token)
        else:
            before, publisher.parent_header = publisher.parent_header, parent
            try:
                yield
            finally:
                publisher.parent_header = before
