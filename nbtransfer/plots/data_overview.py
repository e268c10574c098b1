"""The data at a glance: rows of each class, and how long the texts are in tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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
from nbtransfer.tasks.catalog import task_named

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.lengths import Lengths

_MAX_CLASSES = 20
_MAX_BINS = 40
_WIDTH = 800  # JupyterLab shows so much beside its open sidebar in a window of 1,280
_COLOURS = {"train": BLUE, "validation": ORANGE, "test": GREEN}


class Bin(NamedTuple):
    """Texts of `low` to `high` tokens, both included; None is the rest of a long tail."""

    low: int
    high: int | None
    num_texts: int

    @property
    def name(self) -> str:
        """The bin in words."""
        if self.high is None:
            return f"{self.low} tokens or more"
        return (
            f"{self.low} tokens" if self.low == self.high else f"{self.low} to {self.high} tokens"
        )


class DataOverviewInfo(NamedTuple):
    """What the plot shows: the classes with the most rows, their rows by split, the length bins."""

    classes: tuple[str, ...]
    num_hidden: int
    counts: dict[str, tuple[int, ...]]
    bins: tuple[Bin, ...]
    max_length: int | None
    share_texts_cut: float
    share_tokens_cut: float
    counted: str = "class"


def data_overview_info(
    card: DataCard, lengths: Lengths | None, max_length: int | None = None
) -> DataOverviewInfo:
    """Return what is known of the data in numbers.

    Args:
        card: the data.
        lengths: tokens of each text, or None where no tokenizer was at hand.
        max_length: tokens a text is cut to, or None where that is not decided.

    Returns:
        At most 20 classes, the most frequent in train, and at most 40 bins.
    """
    counted = card.counted
    train = counted.counts.get("train", ())
    shown = sorted(range(len(train)), key=lambda c: -train[c])[:_MAX_CLASSES]
    cut = (0.0, 0.0)
    if lengths is not None and max_length is not None:
        cut = lengths.cut(max_length)
        if task_named(card.task).reads_windows:
            cut = (cut[0], 0.0)
    return DataOverviewInfo(
        classes=tuple(counted.names[c] for c in shown),
        num_hidden=len(train) - len(shown),
        counts={split: tuple(c[i] for i in shown) for split, c in counted.counts.items()},
        bins=_bins(lengths) if lengths is not None else (),
        max_length=max_length,
        share_texts_cut=cut[0],
        share_tokens_cut=cut[1],
        counted=counted.word,
    )


def _bins(lengths: Lengths) -> tuple[Bin, ...]:
    """Return bins of equal width; the longest 0.5 % share the last one where they lie far out."""
    import numpy as np

    tokens = lengths.tokens
    if not len(tokens):
        return ()
    low, high = int(tokens.min()), int(tokens.max())
    far = int(np.quantile(tokens, 0.995, method="higher"))
    has_tail = high - low > 1.5 * (far - low)
    end = far if has_tail else high
    num = _MAX_BINS - has_tail
    width = -(-(end - low + 1) // num)
    edges = list(range(low, end + 1, width))
    counts, _ = np.histogram(tokens, bins=[*edges, edges[-1] + width])
    bins = [Bin(e, e + width - 1, int(n)) for e, n in zip(edges, counts, strict=True)]
    rest = len(tokens) - sum(b.num_texts for b in bins)
    return (*bins, Bin(edges[-1] + width, None, rest)) if rest else tuple(bins)


def _cut_text(info: DataOverviewInfo) -> str:
    if info.share_texts_cut and not info.share_tokens_cut:
        share = f"{100 * info.share_texts_cut:.1f} %"
        return f"{share} of texts in windows of {info.max_length} tokens"
    return (
        f"max_length {info.max_length} cuts {100 * info.share_texts_cut:.1f} % of texts, "
        f"{100 * info.share_tokens_cut:.1f} % of tokens"
    )


def _centre(a: Bin, width: int) -> float:
    return a.low + (width - 1) / 2


def _bin_width(info: DataOverviewInfo) -> int:
    first = info.bins[0]
    return (first.high or first.low) - first.low + 1


def _line_at(info: DataOverviewInfo) -> float | None:
    """Return where the max_length line stands, or None where no text comes near it."""
    if info.max_length is None or not info.bins:
        return None
    width = _bin_width(info)
    return info.max_length + 0.5 if info.max_length < info.bins[-1].low + width else None


def _length_title(info: DataOverviewInfo) -> str:
    last = info.bins[-1]
    tail = f" (last bar: {last.low} or more)" if last.high is None else ""
    return f"tokens of a text{tail}"


def _height(info: DataOverviewInfo) -> int:
    return max(230, 70 + 26 * len(info.classes))


def _class_title(info: DataOverviewInfo) -> str:
    if info.num_hidden:
        if info.counted == "entity":
            return f"entities of the {len(info.classes)} commonest types ({info.num_hidden} more)"
        return f"rows of the {len(info.classes)} largest classes ({info.num_hidden} more)"
    return "entities of each type" if info.counted == "entity" else "rows of each class"


def data_overview_figure(info: DataOverviewInfo) -> go.Figure:
    """Return both plots as one plotly figure, side by side; one alone where the other is empty."""
    import plotly.graph_objects as go

    both = bool(info.bins and info.classes)
    figure = go.Figure()
    for split, counts in info.counts.items():
        figure.add_bar(
            x=list(counts),
            y=list(range(len(counts))),
            orientation="h",
            name=plotly_label(split),
            marker={"color": _COLOURS.get(split, GREY)},
            hovertemplate="%{y}: %{x:,}<extra>%{fullData.name}</extra>",
        )
    title = {"font": {"size": 12}, "standoff": 6}
    layout: dict[str, Any] = {
        "xaxis": plotly_axis(
            domain=[0.0, 0.42 if both else 1.0],
            title={"text": _class_title(info), **title},
            rangemode="tozero",
            visible=bool(info.classes),
        ),
        "yaxis": plotly_axis(
            tickvals=list(range(len(info.classes))),
            ticktext=[plotly_label(name) for name in info.classes],
            range=[len(info.classes) - 0.5, -0.5],
            showgrid=False,
            visible=bool(info.classes),
        ),
        "barmode": "group",
        "bargap": 0.25,
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        "margin": {"l": 10, "r": 10, "t": 28, "b": 10},
    }
    if info.bins:
        width = _bin_width(info)
        figure.add_bar(
            x=[_centre(b, width) for b in info.bins],
            y=[b.num_texts for b in info.bins],
            width=width * 0.92,
            text=[b.name for b in info.bins],
            textposition="none",
            hovertemplate="%{text}: %{y:,} texts<extra></extra>",
            marker={"color": BLUE},
            showlegend=False,
            xaxis="x2",
            yaxis="y2",
        )
        layout["xaxis2"] = plotly_axis(
            domain=[0.5 if both else 0.0, 1.0],
            anchor="y2",
            title={"text": _length_title(info), **title},
            showgrid=False,
        )
        layout["yaxis2"] = plotly_axis(anchor="x2", title={"text": "texts", **title})
        if (at := _line_at(info)) is not None:
            layout["shapes"] = [
                {
                    "type": "line",
                    "xref": "x2",
                    "x0": at,
                    "x1": at,
                    "yref": "paper",
                    "y0": 0,
                    "y1": 1,
                    "line": {"color": ORANGE, "width": 1.5, "dash": "dash"},
                }
            ]
        if info.max_length is not None:
            layout["annotations"] = [
                {
                    "xref": "paper",
                    "x": 1,
                    "xanchor": "right",
                    "yref": "paper",
                    "y": 1,
                    "yanchor": "bottom",
                    "text": _cut_text(info),
                    "showarrow": False,
                    "font": {"size": 11},
                }
            ]
    figure.update_layout(plotly_layout(_height(info), **layout))
    return figure


def data_overview_png(info: DataOverviewInfo) -> bytes:
    """Return both plots as one PNG."""
    import numpy as np

    with agg_figure(_WIDTH, _height(info)) as figure:
        drawn = [_draw_classes] * bool(info.classes) + [_draw_lengths] * bool(info.bins)
        for draw, axes in zip(drawn, np.atleast_1d(figure.subplots(1, len(drawn))), strict=True):
            draw(axes, info)
        figure.tight_layout(pad=0.4, w_pad=2)
        return png_bytes(figure)


def _draw_classes(axes: Axes, info: DataOverviewInfo) -> None:
    thickness = 0.75 / len(info.counts)
    for k, (split, counts) in enumerate(info.counts.items()):
        offset = (k - (len(info.counts) - 1) / 2) * thickness
        axes.barh(
            [i + offset for i in range(len(counts))],
            counts,
            thickness * 0.92,
            color=_COLOURS.get(split, GREY),
            label=plain_label(split),
        )
    axes.set_yticks(range(len(info.classes)), [plain_label(name) for name in info.classes])
    axes.set_ylim(len(info.classes) - 0.5, -0.5)
    axes.set_xlabel(_class_title(info))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, borderaxespad=0.1)
    _plain(axes, "x")


def _draw_lengths(axes: Axes, info: DataOverviewInfo) -> None:
    width = _bin_width(info)
    axes.bar(
        [_centre(b, width) for b in info.bins],
        [b.num_texts for b in info.bins],
        width * 0.92,
        color=BLUE,
    )
    if (at := _line_at(info)) is not None:
        axes.axvline(at, color=ORANGE, linewidth=1.2, linestyle="--")
    if info.max_length is not None:
        axes.set_title(_cut_text(info), fontsize=8.5, loc="right", pad=5)
    axes.set_xlabel(_length_title(info))
    axes.set_ylabel("texts")
    _plain(axes, "y")


def _plain(axes: Axes, grid: str) -> None:
    """Take away the frame and leave thin lines along one axis, behind the bars."""
    axes.patch.set_alpha(0.0)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color=GREY, alpha=0.28, linewidth=0.6)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def data_overview_text(info: DataOverviewInfo) -> str:
    """Return the class counts and the share that is cut as lines of text."""
    lines = []
    if info.classes:
        lines = [f"{_class_title(info)} ({', '.join(map(plain_label, info.counts))}):"]
    for i, name in enumerate(info.classes):
        values = ", ".join(f"{counts[i]:,}" for counts in info.counts.values())
        lines.append(f"  {plain_label(name)}: {values}")
    if info.bins:
        last = info.bins[-1]
        lines.append(
            f"tokens of a text: {info.bins[0].low} to {last.high or f'{last.low} or more'}"
        )
        if info.max_length is not None:
            lines.append(_cut_text(info))
    return "\n".join(lines)
