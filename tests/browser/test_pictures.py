"""Pictures of the live panel, light and dark; `--update-pictures` puts one into the README."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.browser.harness import wait_until
from tests.browser.panel import LivePanel

README_PICTURE = Path(__file__).parents[2] / "notebooks" / "images" / "live_panel.png"


@pytest.mark.parametrize("server", ["lab"], indirect=True)
def test_live_panel_in_both_themes(open_notebook, request):
    updates = request.config.getoption("--update-pictures")
    # The README shows what a reader will see; a test needs a panel with something in it, soon.
    model, epochs = ("demo:minilm", 4) if updates else ("demo:bert-tiny", 200)
    line = f"%finetune {model} demo:tweets --epochs {epochs} --lr 1e-4 --batch-size 32"
    book = open_notebook("%load_ext nbtransfer", f"{line} --name calm-heron")
    book.page.set_viewport_size({"width": 1360, "height": 900})
    book.js("await window.jupyterapp.commands.execute('application:toggle-left-area');")
    book.run_cell(0)
    book.start_cell(1)
    panel = LivePanel(book, 1, "calm-heron")
    panel.wait_for_training()
    panel.wait_for_state(lambda s: s.step >= 50, "half of the second epoch", 180)
    book.drag_slider(panel.learning_rate, by=-0.1)
    panel.wait_for_state(lambda s: bool(s.changes), "the learning rate to be applied")
    panel.wait_for_state(lambda s: s.step >= 84, "half of the third epoch", 180)
    wait_until(lambda: panel.step() >= 84, "the page")
    light = book.screenshot("live-light", panel.card)
    book.dark()
    book.screenshot("live-dark", panel.card)
    if updates:
        README_PICTURE.parent.mkdir(exist_ok=True)
        shutil.copyfile(light, README_PICTURE)
    panel.stop()
    book.wait_for_cell(1)
    book.scroll_to(1)
    book.screenshot("finished-lab-dark")
