"""The live panel in a page: where its parts are, and what the run's folder says of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nbtransfer.runs.run import Run
from tests.browser.harness import OpenNotebook, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator

    from nbtransfer.runs.state import RunState

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class LivePanel:
    """The panel below one cell of an open notebook, and the run it shows."""

    def __init__(self, book: OpenNotebook, cell: int, run_name: str):
        self.book, self.cell = book, cell
        self.run = Run(book.server.runs_dir / run_name)

    @property
    def card(self) -> Locator:
        return self.book.shown(self.cell).locator(".nbt-live")

    def button(self, label: str) -> Locator:
        return self.card.locator("button", has_text=label).first

    @property
    def learning_rate(self) -> Locator:
        return self.card.locator(".widget-slider").nth(0)

    @property
    def epochs(self) -> Locator:
        return self.card.locator(".widget-slider").nth(1)

    def step(self) -> int:
        """The step among the figures on the page; the chart's axis has steps of its own."""
        figures = " ".join(self.card.locator(".nbt-facts").all_inner_texts())
        found = re.search(r"step\s+([\d,]+)", figures)
        return int(found[1].replace(",", "")) if found else 0

    def wait_for_training(self, timeout_s: float = 120) -> None:
        """Wait until the page shows steps: imports take the worker a while."""
        self.card.wait_for(timeout=timeout_s * 1000)
        wait_until(lambda: self.step() >= 3, "the first steps on the page", timeout_s)

    def wait_for_state(
        self, holds: Callable[[RunState], bool], what: str, timeout_s: float = 30
    ) -> None:
        """Wait for what the worker writes in the run's folder."""
        wait_until(lambda: holds(self.run.state()), what, timeout_s)

    def stop(self) -> None:
        """Press Stop and keep, and wait for the worker."""
        self.button("Stop and keep").click()
        wait_until(lambda: self.run.status == "stopped", "the run to stop", 60)


def kinds(book: OpenNotebook, cell: int) -> list[set[str]]:
    """The types of each of a cell's outputs."""
    return [set(output.get("data", ())) for output in book.outputs(cell)]
