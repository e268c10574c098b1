"""The record of an ended run: the static outputs that stay in the notebook after its panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.panels.run_card import Bundle, card_bundle
from nbtransfer.panels.run_view import About

if TYPE_CHECKING:
    from nbtransfer.runs.run import Run

REPORT = "validation"
EMPTY: Bundle = {"text/plain": ""}


def record_bundles(run: Run) -> list[Bundle]:
    """Return the outputs of an ended run, in their order: the card, the curves, the report.

    Args:
        run: the run; everything is read from its folder.
    """
    status, state = run.status, run.state()
    bundles = [card_bundle(About.of(run), state, status, run.dir)]
    if len(state.steps) > 1:
        bundles.append(_curves_bundle(run))
    if run.paths.evaluation(REPORT).report.is_file():
        from nbtransfer.panels.report_panel import report_bundles

        bundles += report_bundles(run.report(REPORT), run=run)
    return bundles


def _curves_bundle(run: Run) -> Bundle:
    from nbtransfer.panels.figure_bundle import figure_bundle
    from nbtransfer.plots.learning_curves import learning_curves_figure, learning_curves_info

    png = run.paths.learning_curves_png
    return figure_bundle(
        learning_curves_figure(learning_curves_info(run.state())),
        png.read_bytes() if png.is_file() else None,
        "",
    )
