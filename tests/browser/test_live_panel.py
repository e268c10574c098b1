"""The live panel in JupyterLab and Notebook 7: live while its cell blocks, and after it is gone."""

from __future__ import annotations

import json

from tests.browser.harness import wait_until
from tests.browser.panel import WIDGET_VIEW, LivePanel, kinds

LOAD = "%load_ext nbtransfer"
# Small and fast, with epochs enough to outlast every click of a test; all tests stop it.
LINE = "%finetune demo:bert-tiny demo:tweets --epochs 200 --lr 3e-4 --name "


def test_panel_is_live_while_its_cell_blocks_and_leaves_a_record(open_notebook):
    book = open_notebook(LOAD, f"run = {LINE}steered", '%predict run "what a lovely day"')
    book.run_cell(0)
    book.start_cell(1)
    panel = LivePanel(book, 1, "steered")
    panel.wait_for_training()

    seen = panel.step()
    wait_until(lambda: panel.step() > seen, "the step to move while the cell blocks")
    assert book.is_running(1)

    book.drag_slider(panel.learning_rate, by=-0.2)
    panel.wait_for_state(lambda s: "learning_rate" in changed(s), "the learning rate to be applied")
    old, new = changed(panel.run.state())["learning_rate"]
    assert new < old
    panel.card.get_by_text("applied at step").first.wait_for()
    assert book.is_running(1), "the slider acted only after the cell"

    panel.button("Pause").click()
    panel.wait_for_state(lambda s: s.paused, "the run to pause")
    panel.button("Resume").wait_for()
    at = panel.run.state().step
    book.page.wait_for_timeout(500)
    assert panel.run.state().step == at
    panel.button("Resume").click()
    panel.wait_for_state(lambda s: not s.paused and s.step > at, "the run to go on")

    evaluated = len(panel.run.state().evaluations)
    panel.button("Evaluate now").click()
    panel.wait_for_state(lambda s: len(s.evaluations) > evaluated, "an evaluation")
    book.scroll_to(1)
    book.screenshot(f"live-{book.server.app}")

    panel.stop()
    book.wait_for_cell(1)
    check_record(book, 1)
    book.run_cell(2)
    assert "positive" in book.shown(2).inner_text()
    assert (panel.run.paths.model_dir / "config.json").is_file()
    assert not book.console_errors()


def changed(state) -> dict[str, tuple[float, float]]:
    return {name: pair for row in state.changes for name, pair in row.changes.items()}


def check_record(book, cell: int) -> None:
    """What is left is a static record, each figure once, the matrix interactive under the mouse."""
    found = kinds(book, cell)
    assert not any(WIDGET_VIEW in output for output in found)
    figures = [output for output in found if "image/png" in output]
    assert len(figures) == 2, found
    assert all("application/vnd.plotly.v1+json" in output for output in figures)
    book.shown(cell).get_by_text("stopped").first.wait_for()

    # The picture gives way to the interactive figure as soon as the mouse is over it.
    picture = book.shown(cell).locator(".jp-OutputArea-output img").last
    picture.scroll_into_view_if_needed()
    book.screenshot(f"finished-{book.server.app}")
    at = picture.bounding_box()
    assert at
    label = book.shown(cell).locator(".js-plotly-plot").last.locator(".hoverlayer .hovertext")

    def is_labelled() -> bool:
        """The first move draws the figure, the next ones are the figure's own."""
        for shift in (0, 3):
            book.page.mouse.move(at["x"] + at["width"] * 0.8 + shift, at["y"] + at["height"] * 0.6)
        return label.count() > 0

    wait_until(is_labelled, "the matrix to answer the mouse")
    book.screenshot(f"matrix-{book.server.app}")
    assert "positive" in (label.first.text_content() or "")

    saved = book.save()
    assert len(json.dumps(saved["cells"][cell])) < 200_000


def test_panel_of_a_background_run_survives_a_reload_and_a_kernel_restart(open_notebook):
    book = open_notebook(LOAD, f"{LINE}kept --background", f"{LOAD}\n%finetune --attach kept")
    book.run_cell(0)
    book.run_cell(1)
    panel = LivePanel(book, 1, "kept")
    panel.wait_for_training()

    book.save()
    book.load()
    book.scroll_to(1)
    panel.card.wait_for()
    seen = panel.step()
    wait_until(lambda: panel.step() > seen, "the panel to move after a reload")

    at = panel.run.state().step
    book.restart_kernel()
    panel.wait_for_state(lambda s: s.step > at + 5, "the run to go on without its kernel")
    book.start_cell(2)
    attached = LivePanel(book, 2, "kept")
    attached.wait_for_training()
    seen = attached.step()
    wait_until(lambda: attached.step() > seen, "the attached panel to move")
    attached.stop()
    book.wait_for_cell(2)
    check_record(book, 2)
    assert not book.console_errors()


def test_interrupt_stops_the_run_and_keeps_its_model(open_notebook):
    book = open_notebook(LOAD, f"run = {LINE}interrupted", "print(run.status)")
    book.run_cell(0)
    book.start_cell(1)
    panel = LivePanel(book, 1, "interrupted")
    panel.wait_for_training()
    book.interrupt()
    book.wait_for_cell(1)
    book.run_cell(2)
    assert book.text(2) == "stopped\n"
    assert (panel.run.paths.model_dir / "config.json").is_file()
    assert not [o for o in book.outputs(1) if o["output_type"] == "error"]
