"""The setup form in both front ends: the plan follows the controls, Start runs in place."""

from __future__ import annotations

import re

from tests.browser.harness import wait_until
from tests.browser.panel import WIDGET_VIEW, kinds

CELLS = (
    "%load_ext nbtransfer",
    "import pandas as pd\n"
    "words = {'good': ['fine', 'warm', 'kind', 'fun'], 'bad': ['cold', 'rude', 'dull', 'late']}\n"
    "rows = [(f'a {w} {thing} number {n}', mood) for mood, some in words.items() for w in some\n"
    "        for thing in ('day', 'meal', 'room') for n in range(4)]\n"
    "reviews = pd.DataFrame(rows, columns=['review', 'mood'])",
    "%finetune --epochs 2 --batch-size 16",
)


def test_plan_follows_the_controls_and_start_leaves_the_line_and_the_record(open_notebook):
    book = open_notebook(*CELLS)
    for cell in range(3):
        book.run_cell(cell)
    form = book.shown(2).locator(".nbt-setup")
    form.wait_for()
    start = form.locator("button.nbt-start")
    wait_until(start.is_enabled, "the plan")
    assert "reviews" in form.inner_text() and "review" in form.inner_text()
    before = steps_of(form)

    epochs = form.locator(".widget-slider", has_text="Epochs")
    book.drag_slider(epochs, by=0.3)
    wait_until(lambda: steps_of(form) > before, "the plan to follow the epochs")
    book.drag_slider(epochs, by=-0.9)
    wait_until(lambda: steps_of(form) < before, "the plan to follow back")
    book.scroll_to(2)
    book.screenshot(f"setup-{book.server.app}")
    if book.server.app == "lab":
        book.dark()
        book.screenshot("setup-lab-dark")

    start.click()
    book.shown(2).get_by_text("completed").first.wait_for(timeout=120_000)
    wait_until(lambda: not any(WIDGET_VIEW in k for k in kinds(book, 2)), "the form to give way")
    assert re.search(r"%finetune \S+ reviews .*--epochs 1", book.shown(2).inner_text())
    assert not book.console_errors()


def steps_of(form) -> int:
    """The number of steps that the plan says."""
    found = re.search(r"steps\s+([\d,]+)", form.inner_text())
    return int(found[1].replace(",", "")) if found else 0
