"""The learning curves: the losses above, accuracy and macro F1 on validation below."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.errors import count_of
from nbtransfer.plots.canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    agg_figure,
    plain_label,
    plotly_axis,
    plotly_label,
    plotly_layout,
    png_bytes,
)
from nbtransfer.tasks.metric_words import metric_word, shown_shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from matplotlib.axes import Axes

    from nbtransfer.runs.state import RunState

_MAX_POINTS = 400
_MAX_CHANGES = 40  # lines drawn
_MAX_CHANGE_NAMES = 4  # of these, the last are named
_MAX_DOTS = 60  # evaluations: more dots would hide their line
_SMOOTH_STEPS = 10  # the average looks back this far, or a fiftieth of a long run
_HEIGHT = 380
_WIDTH = 800  # JupyterLab shows so much beside its open sidebar in a window of 1,280


class Curve(NamedTuple):
    """One line: optimizer steps and the values there, of equal length."""

    steps: list[float]
    values: list[float]


class Change(NamedTuple):
    """A live change: the step from which it holds, and what it was in words."""

    step: int
    text: str


class LearningCurvesInfo(NamedTuple):
    """What the plot shows; a curve without points is left out. Losses in nats.

    `scores` are at most two metrics between 0 and 1, each with its name.
    """

    train_loss: Curve
    smooth_loss: Curve
    eval_loss: Curve
    scores: tuple[tuple[str, Curve], ...]
    baseline: float | None
    baseline_name: str
    changes: tuple[Change, ...]
    num_steps: int


def learning_curves_info(
    state: RunState, *, baseline: float | None = None, baseline_name: str = "majority class"
) -> LearningCurvesInfo:
    """Return the curves of a run.

    Args:
        state: the run's state.
        baseline: an accuracy to beat, drawn as a dashed line.
        baseline_name: what the baseline is.

    Returns:
        Curves of at most 400 points; values that are no numbers are left out.
    """
    decay = 1 - 1 / max(_SMOOTH_STEPS, len(state.steps) / 50)
    names = shown_shares(state.evaluations[-1].metrics) if state.evaluations else []
    losses = Curve([row.step for row in state.steps], [row.loss for row in state.steps])
    return LearningCurvesInfo(
        train_loss=_decimated(losses),
        smooth_loss=_decimated(Curve(losses.steps, smoothed(losses.values, decay))),
        eval_loss=_evaluated(state, "eval_loss"),
        scores=tuple((name, _evaluated(state, name)) for name in names),
        baseline=baseline,
        baseline_name=baseline_name,
        changes=tuple(
            Change(row.step, ", ".join(_change_text(*item) for item in row.changes.items()))
            for row in state.changes[-_MAX_CHANGES:]
        ),
        num_steps=max(state.num_steps, state.step),
    )


def decimate(
    steps: Sequence[float], values: Sequence[float], limit: int
) -> tuple[list[float], list[float]]:
    """Thin out a line so that it looks the same: each stretch keeps its lowest and highest point.

    Args:
        steps: ascending positions.
        values: the values there, all finite.
        limit: points to keep at most, 4 or more.

    Returns:
        Positions and values of the points kept; the first and last are always among them.
    """
    num = len(values)
    if num <= limit:
        return list(steps), list(values)
    num_stretches = (limit - 2) // 2
    kept = [0]
    for k in range(num_stretches):
        stretch = range(
            1 + k * (num - 2) // num_stretches, 1 + (k + 1) * (num - 2) // num_stretches
        )
        kept += sorted({min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)})
    kept.append(num - 1)
    return [steps[i] for i in kept], [values[i] for i in kept]


def smoothed(values: Sequence[float], decay: float) -> list[float]:
    """Return the exponential moving average, corrected for its start (Kingma and Ba, 2015).

    A value that is no number leaves the average as it was, and is not a number in the result.
    """
    average, weight, result = 0.0, 0.0, []
    for value in values:
        if not math.isfinite(value):
            result.append(math.nan)
            continue
        average = decay * average + (1 - decay) * value
        weight = decay * weight + (1 - decay)
        result.append(average / weight)
    return result


def _decimated(curve: Curve) -> Curve:
    points = [(s, v) for s, v in zip(*curve, strict=True) if math.isfinite(v)]
    return Curve(*decimate([s for s, _ in points], [v for _, v in points], _MAX_POINTS))


def _evaluated(state: RunState, name: str) -> Curve:
    rows = [row for row in state.evaluations if name in row.metrics]
    return _decimated(Curve([row.step for row in rows], [row.metrics[name] for row in rows]))


def _change_text(name: str, change: tuple[float, float]) -> str:
    old, new = change
    if name == "learning_rate":
        return f"peak lr {_rate(old)} → {_rate(new)}"
    if name == "num_train_epochs":
        return f"epochs {old:g} → {new:g}"
    return f"{name} {old:g} → {new:g}"


def _rate(rate: float) -> str:
    mantissa, _, exponent = f"{rate:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _baseline_text(info: LearningCurvesInfo) -> str:
    return f"{plain_label(info.baseline_name)} {100 * (info.baseline or 0):.1f} %"


def _has_scores(info: LearningCurvesInfo) -> bool:
    return any(curve.steps for _, curve in info.scores)


class _Line(NamedTuple):
    """How one curve is drawn."""

    name: str
    curve: Curve
    colour: str
    width: float
    opacity: float
    is_evaluation: bool
    dash: str | None

    @property
    def dots(self) -> bool:
        """Whether each point is marked."""
        return self.is_evaluation and len(self.curve.steps) <= _MAX_DOTS


def _losses(info: LearningCurvesInfo) -> list[_Line]:
    lines = [
        _Line("training loss", info.train_loss, BLUE, 0.8, 0.35, False, None),
        _Line("training loss, smoothed", info.smooth_loss, BLUE, 2, 1, False, None),
        _Line("validation loss", info.eval_loss, ORANGE, 2, 1, True, None),
    ]
    return [line for line in lines if line.curve.steps]


def _scores(info: LearningCurvesInfo) -> list[_Line]:
    styles = ((2.0, None), (1.4, "dot"))
    return [
        _Line(f"{metric_word(name)} on validation", curve, GREEN, width, 1, True, dash)
        for (name, curve), (width, dash) in zip(info.scores, styles, strict=False)
        if curve.steps
    ]


def learning_curves_figure(info: LearningCurvesInfo) -> go.Figure:
    """Return the curves as a plotly figure of two stacked plots."""
    import plotly.graph_objects as go

    both = _has_scores(info)
    upper = [0.42, 1.0] if both else [0.0, 1.0]
    steps = {"range": [0, max(info.num_steps, 1)], "title": {"text": "step", "standoff": 4}}
    layout: dict[str, Any] = {
        "xaxis": plotly_axis(**steps, anchor="y2" if both else "y"),
        "yaxis": plotly_axis(domain=upper, title={"text": "loss"}, rangemode="tozero"),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "hovermode": "x unified",
        # A unified label is opaque: on a transparent plot its colours must be its own.
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"color": "#1f2328"}, "namelength": -1},
        "margin": {"l": 10, "r": 10, "t": 30, "b": 10},
        "shapes": [_change_line(change) for change in info.changes],
        "annotations": [
            {
                "x": change.step,
                "y": 1 - 0.06 * k,
                "yref": "paper",
                "text": plotly_label(change.text, 60),
                "showarrow": False,
                "yanchor": "top",
                # A name at the right end would leave the plot: it goes to the line's left.
                "xanchor": "right" if change.step > 0.7 * info.num_steps else "left",
                "font": {"size": 10.5},
            }
            for k, change in enumerate(info.changes[-_MAX_CHANGE_NAMES:])
        ],
    }
    figure = go.Figure()
    for line in _losses(info):
        figure.add_scatter(**_trace(line), yaxis="y", hovertemplate="%{y:.3f}")
    if both:
        layout["yaxis2"] = plotly_axis(domain=[0.0, 0.32], tickformat=".0%", nticks=5)
        for line in _scores(info):
            figure.add_scatter(**_trace(line), yaxis="y2", hovertemplate="%{y:.1%}")
        if info.baseline is not None:
            layout["shapes"].append(
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "yref": "y2",
                    "y0": info.baseline,
                    "y1": info.baseline,
                    "line": {"color": GREY, "width": 1, "dash": "dash"},
                }
            )
            layout["annotations"].append(
                {
                    "xref": "paper",
                    "x": 1,
                    "xanchor": "right",
                    "yref": "y2",
                    "y": info.baseline,
                    "yanchor": "bottom",
                    "text": plotly_label(_baseline_text(info), 60),
                    "showarrow": False,
                    "font": {"size": 10.5},
                }
            )
    figure.update_layout(plotly_layout(_HEIGHT if both else 260, **layout))
    return figure


def _trace(line: _Line) -> dict[str, Any]:
    return {
        "x": line.curve.steps,
        "y": [float(f"{value:.5g}") for value in line.curve.values],
        "name": line.name,
        "mode": "lines+markers" if line.dots else "lines",
        "line": {"color": line.colour, "width": line.width}
        | ({"dash": line.dash} if line.dash else {}),
        "marker": {"size": 7},
        "opacity": line.opacity,
        # The raw loss is shown by the smoothed one's entry and label.
        "showlegend": line.opacity == 1,
        **({} if line.opacity == 1 else {"hoverinfo": "skip"}),
    }


def _change_line(change: Change) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": change.step,
        "x1": change.step,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": GREY, "width": 1, "dash": "dot"},
    }


def learning_curves_png(info: LearningCurvesInfo) -> bytes:
    """Return the curves as a PNG."""
    both = _has_scores(info)
    with agg_figure(_WIDTH, _HEIGHT if both else 260) as figure:
        if both:
            upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(0.62, 0.38))
            _draw(lower, _scores(info), info)
            lower.locator_params(axis="y", nbins=4, steps=[1, 2, 5, 10])
            lower.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
            if info.baseline is not None:
                lower.axhline(info.baseline, color=GREY, linewidth=0.8, linestyle="--")
                lower.annotate(
                    _baseline_text(info),
                    (1, info.baseline),
                    xycoords=("axes fraction", "data"),
                    xytext=(0, 2),
                    textcoords="offset points",
                    ha="right",
                    fontsize=8,
                )
        else:
            upper = lower = figure.subplots()
        _draw(upper, _losses(info), info)
        upper.set_ylim(bottom=0)
        upper.set_ylabel("loss")
        lower.set_xlabel("step")
        for k, change in enumerate(info.changes[-_MAX_CHANGE_NAMES:]):
            late = change.step > 0.7 * info.num_steps
            upper.annotate(
                plain_label(change.text, 60),
                (change.step, 1),
                xycoords=("data", "axes fraction"),
                xytext=(-3 if late else 3, -2 - 10 * k),
                textcoords="offset points",
                ha="right" if late else "left",
                va="top",
                fontsize=8,
            )
        figure.tight_layout(pad=0.4)
        return png_bytes(figure)


def _draw(axes: Axes, lines: list[_Line], info: LearningCurvesInfo) -> None:
    """Draw `lines` and the live changes into one of the two plots."""
    for line in lines:
        axes.plot(
            *line.curve,
            color=line.colour,
            linewidth=0.75 * line.width,
            alpha=line.opacity,
            linestyle=":" if line.dash else "-",
            marker="o" if line.dots else "",
            markersize=4,
            label=line.name if line.opacity == 1 else "_",
        )
    for change in info.changes:
        axes.axvline(change.step, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, max(info.num_steps, 1))
    axes.patch.set_alpha(0.0)
    axes.grid(axis="y", color=GREY, alpha=0.28, linewidth=0.6)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if any(line.opacity == 1 for line in lines):
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, borderaxespad=0.1
        )


def learning_curves_text(info: LearningCurvesInfo) -> str:
    """Return the evaluations as lines of text."""
    done = int(info.train_loss.steps[-1]) if info.train_loss.steps else 0
    share = "" if done == info.num_steps else f"{done:,} of "
    lines = [f"Learning curves over {share}{count_of(info.num_steps, 'step')}"]
    if info.smooth_loss.values:
        lines.append(f"training loss, smoothed: {info.smooth_loss.values[-1]:.3f} at the end")
    for line in [*_losses(info)[2:], *_scores(info)]:
        points = list(zip(*line.curve, strict=True))[-10:]
        lines.append(f"{line.name}: " + ", ".join(f"{v:.3f} (step {s:g})" for s, v in points))
    lines += [f"step {change.step}: {change.text}" for change in info.changes]
    return "\n".join(lines)
