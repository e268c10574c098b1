"""Draws a run's live chart as inline SVG: losses above, accuracy below, marks of live changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.panels.markup import Markup, join, tag
from nbtransfer.panels.quantities import rate_text
from nbtransfer.plots.learning_curves import decimate, smoothed
from nbtransfer.tasks.metric_words import metric_word, shown_shares

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbtransfer.runs.state import ChangeRow, RunState

_POINTS = 400  # of a trace: more costs the browser time and shows nothing
_DOTS = 60  # of evaluations: each carries a tooltip, and more would hide each other
_MARKS = 12  # of live changes: the newest
_MARK_ROWS = 6
_EMA_DECAY = 0.9
_EPOCH_TICKS = 8

_WIDTH, _HEIGHT, _LEFT, _RIGHT = 700.0, 264.0, 40.0, 16.0
_LOSS_TOP, _LOSS_HEIGHT = 12.0, 136.0
_ACCURACY_TOP, _ACCURACY_HEIGHT = 180.0, 62.0
_TICKS_Y = 258.0
# Text keeps clear of the lines behind it.
_HALO = "paint-order:stroke;stroke:var(--nbt-bg);stroke-width:3px;stroke-linejoin:round"

Point = tuple[float, float]


class ChartInfo(NamedTuple):
    """What the chart shows, as numbers: points are (step, value); NaN and infinities are left out.

    `scores` is the task's first metric between 0 and 1; `baseline` is the accuracy of always saying
    the largest class, or None where it is not known.
    """

    num_steps: int
    steps_per_epoch: int
    raw_losses: list[Point]
    losses: list[Point]
    eval_losses: list[Point]
    scores: list[Point]
    score_word: str
    marks: list[tuple[int, str]]
    baseline: float | None


def chart_info(state: RunState, baseline: float | None = None, num_steps: int = 0) -> ChartInfo:
    """Return the traces of `state`, thinned to what can be seen.

    Args:
        state: what the run's events add up to.
        baseline: accuracy of always saying the largest class, where it is known.
        num_steps: planned steps, until the worker has confirmed them.
    """
    raw = [(float(row.step), row.loss) for row in state.steps if math.isfinite(row.loss)]
    shares = shown_shares(state.evaluations[-1].metrics) if state.evaluations else []
    score = shares[0] if shares else None
    smooth = smoothed([loss for _, loss in raw], _EMA_DECAY)
    return ChartInfo(
        num_steps=max(state.num_steps or num_steps, state.step, 1),
        steps_per_epoch=state.steps_per_epoch,
        raw_losses=_thinned(raw),
        losses=_thinned(list(zip([step for step, _ in raw], smooth, strict=True))),
        eval_losses=_thinned(_evaluated(state, "eval_loss")),
        scores=_thinned(_evaluated(state, score)) if score else [],
        score_word=metric_word(score or "accuracy"),
        marks=[(row.step, described(row)) for row in state.changes[-_MARKS:]],
        baseline=baseline if baseline is not None and math.isfinite(baseline) else None,
    )


def described(change: ChangeRow) -> str:
    """Return a live change as the chart names it: `peak lr 1.0e-4 → 6.0e-5`."""
    parts = []
    if "learning_rate" in change.changes:
        old, new = change.changes["learning_rate"]
        parts.append(f"peak lr {rate_text(old)} → {rate_text(new)}")
    if "num_train_epochs" in change.changes:
        old, new = change.changes["num_train_epochs"]
        parts.append(f"epochs {old:g} → {new:g}")
    return ", ".join(parts)


def _evaluated(state: RunState, name: str) -> list[Point]:
    pairs = [(float(row.step), row.metrics.get(name, math.nan)) for row in state.evaluations]
    return [(step, value) for step, value in pairs if math.isfinite(value)]


def _thinned(points: list[Point]) -> list[Point]:
    steps, values = decimate([step for step, _ in points], [value for _, value in points], _POINTS)
    return list(zip(steps, values, strict=True))


class _Axis(NamedTuple):
    """One plot's vertical axis: values from `low` to `high` over `height` units from `top`."""

    top: float
    height: float
    low: float
    high: float
    ticks: list[float]

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        # A spike beyond the axis is drawn at its edge, not over the other plot.
        return self.top + self.height * (1 - min(max(share, 0.0), 1.0))


def _loss_axis(info: ChartInfo) -> _Axis:
    values = sorted(y for _, y in [*info.raw_losses, *info.eval_losses])
    high = 1.0
    if values:
        # One spike must not flatten the curve: the axis ends at the 98th percentile, where that is
        # far below.
        most = values[min(len(values) - 1, int(0.98 * len(values)))]
        smooth = max((y for _, y in [*info.losses, *info.eval_losses]), default=most)
        high = max(most, smooth if smooth < 3 * most else most)
    return _nice_axis(_LOSS_TOP, _LOSS_HEIGHT, 0.0, high if high > 0 else 1.0, 4)


def _accuracy_axis(info: ChartInfo) -> _Axis:
    values = [y for _, y in info.scores]
    if info.baseline is not None:
        values.append(info.baseline)
    lowest, highest = (min(values), max(values)) if values else (0.0, 1.0)
    # In whole percent, so that the ticks are what their labels say; at most three spaces.
    for step in (5, 10, 20, 50):
        low = math.floor(100 * lowest / step) * step
        high = max(math.ceil(100 * highest / step) * step, low + step)
        if high - low <= 3 * step:
            break
    ticks = [percent / 100 for percent in range(low, high + 1, step)]
    return _Axis(_ACCURACY_TOP, _ACCURACY_HEIGHT, low / 100, high / 100, ticks)


def _nice_axis(top: float, height: float, low: float, high: float, num_ticks: int) -> _Axis:
    rough = (high - low) / num_ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    count = max(math.ceil((high - low) / step - 1e-9), 1)
    return _Axis(top, height, low, low + count * step, [low + i * step for i in range(count + 1)])


def chart_svg(info: ChartInfo) -> Markup:
    """Return the chart, as wide as its place."""

    def x(step: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / info.num_steps

    loss, accuracy = _loss_axis(info), _accuracy_axis(info)
    word = info.score_word
    last = f"; last {info.losses[-1][1]:.3f}" if info.losses else ""
    return tag(
        "svg",
        tag("title", f"Training and validation loss over {info.num_steps} steps{last}"),
        _grid(loss, lambda v: f"{v:.{_decimals(loss)}f}"),
        _grid(accuracy, lambda v: f"{100 * v:.0f}%"),
        _baseline(accuracy, info.baseline),
        _step_ticks(info, x),
        _marks(info, x),
        _line(info.raw_losses, x, loss, "a", width=0.8, opacity=0.35),
        _line(info.losses, x, loss, "a", title="training loss, smoothed"),
        _line(info.eval_losses, x, loss, "b"),
        _dots(info.eval_losses, x, loss, "b", lambda v: f"validation loss {v:.3f}"),
        _line(info.scores, x, accuracy, "c"),
        _dots(info.scores, x, accuracy, "c", lambda v: f"{word} {100 * v:.1f} %"),
        _legend(_WIDTH - _RIGHT, 22, "end", [("a", "training loss"), ("b", "validation loss")]),
        _legend(
            _LEFT + 6,
            _ACCURACY_TOP - 8,
            "start",
            [("c", f"{word} on validation" if info.scores else "after the first epoch")],
        ),
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        width="100%",
        role="img",
        style="display:block;height:auto",
        preserveAspectRatio="xMidYMid meet",
    )


def _decimals(axis: _Axis) -> int:
    step = axis.ticks[1] - axis.ticks[0]
    return min(max(1, math.ceil(-math.log10(step) - 1e-9) + (f"{step:.1e}"[0:3] == "2.5")), 6)


def _grid(axis: _Axis, label: Callable[[float], str]) -> Markup:
    parts = []
    for value in axis.ticks:
        y = axis.y(value)
        parts.append(_rule(_LEFT, y, _WIDTH - _RIGHT, y, "var(--nbt-line)"))
        parts.append(_text(_LEFT - 6, y + 3.5, label(value), "end"))
    return join(*parts)


def _rule(
    x1: float, y1: float, x2: float, y2: float, stroke: str, dash: str | None = None
) -> Markup:
    return tag(
        "line",
        x1=f"{x1:.1f}",
        y1=f"{y1:.1f}",
        x2=f"{x2:.1f}",
        y2=f"{y2:.1f}",
        stroke=stroke,
        stroke_dasharray=dash,
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> Markup:
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, style=_HALO)


def _baseline(axis: _Axis, baseline: float | None) -> Markup | None:
    if baseline is None:
        return None
    y = axis.y(baseline)
    # Above the line where there is room, and never over the plot above.
    text_y = y - 4 if y - 14 > axis.top else y + 12
    return join(
        _rule(_LEFT, y, _WIDTH - _RIGHT, y, "var(--nbt-dim)", "4 4"),
        _text(_WIDTH - _RIGHT, text_y, f"majority class {100 * baseline:.1f} %", "end"),
    )


def _step_ticks(info: ChartInfo, x: Callable[[float], float]) -> Markup:
    """Return the steps at which epochs end, as many as fit, and the last step."""
    per_epoch = info.steps_per_epoch or info.num_steps
    num_epochs = info.num_steps / per_epoch
    stride = max(1, math.ceil(num_epochs / _EPOCH_TICKS)) * per_epoch
    last = f"step {info.num_steps:,}"
    # The last label is long: ticks that would run into it are left out.
    room = _WIDTH - _RIGHT - 7 * len(last) - 14
    parts = [
        _text(x(step), _TICKS_Y, f"{step:,}", "middle")
        for step in range(0, info.num_steps, stride)
        if x(step) <= room
    ]
    return join(*parts, _text(_WIDTH - _RIGHT, _TICKS_Y, last, "end"))


def _marks(info: ChartInfo, x: Callable[[float], float]) -> Markup:
    """Return a dashed line at each live change; labels that would cover another go a row down."""
    bottom = _ACCURACY_TOP + _ACCURACY_HEIGHT
    parts = []
    ends: list[float] = []  # where the labels of each row end
    # The top row is shared with the legend, which starts at two thirds.
    legend_left = _WIDTH - _RIGHT - 190
    for step, label in info.marks:
        at = x(step)
        width = 5.6 * len(label) + 8
        to_left = at + width > _WIDTH - _RIGHT
        left = at - width if to_left else at
        row = 0
        while (row < len(ends) and ends[row] > left) or (row == 0 and left + width > legend_left):
            row += 1
            if row >= len(ends):
                ends.append(-1.0)
        while len(ends) <= row:
            ends.append(-1.0)
        ends[row] = left + width
        row = min(row, _MARK_ROWS)
        parts.append(
            tag(
                "g",
                tag("title", f"step {step}: {label}"),
                _text(at - 4, 22 + 13 * row, label, "end")
                if to_left
                else _text(at + 4, 22 + 13 * row, label),
            )
        )
    lines = [
        tag(
            "g",
            tag("title", f"step {step}: {label}"),
            _rule(x(step), _LOSS_TOP, x(step), bottom, "var(--nbt-dim)", "2 3"),
        )
        for step, label in info.marks
    ]
    return join(*lines, *parts)


def _line(
    points: Sequence[Point],
    x: Callable[[float], float],
    axis: _Axis,
    series: str,
    *,
    width: float = 2.0,
    opacity: float = 1.0,
    title: str | None = None,
) -> Markup | None:
    if len(points) < 2:
        return None
    return tag(
        "polyline",
        tag("title", title) if title else None,
        points=" ".join(f"{x(step):.1f},{axis.y(value):.1f}" for step, value in points),
        fill="none",
        stroke=f"var(--nbt-{series})",
        stroke_width=width,
        stroke_linejoin="round",
        opacity=opacity,
    )


def _dots(
    points: Sequence[Point],
    x: Callable[[float], float],
    axis: _Axis,
    series: str,
    label: Callable[[float], str],
) -> Markup:
    stride = math.ceil(len(points) / _DOTS) or 1
    shown = points[::-stride][::-1]  # counted from the end: the newest is always there
    radius = 3.5 if len(points) <= _DOTS // 2 else 2
    return join(
        *(
            tag(
                "circle",
                tag("title", f"step {step:.0f}: {label(value)}"),
                cx=f"{x(step):.1f}",
                cy=f"{axis.y(value):.1f}",
                r=radius,
                fill=f"var(--nbt-{series})",
            )
            for step, value in shown
        )
    )


def _legend(x: float, y: float, anchor: str, entries: Sequence[tuple[str, str]]) -> Markup:
    parts = []
    for index, (series, label) in enumerate(entries):
        parts.append(tag("tspan", "●", class_=f"nbt-{series}"))
        parts.append(tag("tspan", f" {label}" + ("\u00a0" * 3 if index + 1 < len(entries) else "")))
    return tag("text", *parts, x=f"{x:g}", y=f"{y:g}", text_anchor=anchor, style=_HALO)
