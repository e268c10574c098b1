"""The record of an ended run: the static outputs that stay in the notebook after its panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.panels.figure_bundle import Bundle, figure_bundle
from nbtransfer.panels.forgetting_view import forgetting_bundle
from nbtransfer.panels.run_card import card_bundle
from nbtransfer.panels.run_view import About
from nbtransfer.runs.forgetting import read_forgetting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbtransfer.runs.run import Run

REPORT = "validation"
MAX_OUTPUTS = 4
EMPTY = Bundle({"text/plain": ""}, {})


def record_bundles(run: Run, status: str) -> Iterator[Bundle]:
    """Yield the outputs of an ended run: card, curves, report, matrix, and what it forgot.

    The card comes before anything else is read or drawn, so that it stands even if a figure fails.

    Args:
        run: the run; everything is read from its folder.
        status: how it ended.
    """
    about, state = About.of(run), run.state()
    yield card_bundle(about, state, status, run.dir)
    if len(state.steps) > 1:
        yield _curves_bundle(run, about)
    if run.paths.evaluation(REPORT).report.is_file():
        yield from _report_bundles(run)
    if run.paths.forgetting.is_file():
        yield forgetting_bundle(read_forgetting(run.paths.forgetting))


def _curves_bundle(run: Run, about: About) -> Bundle:
    from nbtransfer.plots import learning_curves as curves

    info = curves.learning_curves_info(run.state(), baseline=about.baseline)
    drawn = run.paths.learning_curves_png
    return figure_bundle(
        curves.learning_curves_figure(info),
        drawn.read_bytes() if drawn.is_file() else curves.learning_curves_png(info),
        curves.learning_curves_text(info),
    )


def _report_bundles(run: Run) -> Iterator[Bundle]:
    from nbtransfer.panels.report_panel import report_card
    from nbtransfer.plots import confusion_matrix as matrix

    report = run.report(REPORT)
    html = report_card(report, title="The kept model")
    yield Bundle({"text/html": str(html), "text/plain": str(report)}, {})
    if not report.confusion_matrix:
        return
    info = matrix.confusion_matrix_info(report)
    drawn = run.paths.evaluation(REPORT).confusion_png
    yield figure_bundle(
        matrix.confusion_matrix_figure(info),
        drawn.read_bytes() if drawn.is_file() else matrix.confusion_matrix_png(info),
        matrix.confusion_matrix_text(info),
    )
