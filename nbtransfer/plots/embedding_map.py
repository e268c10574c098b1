"""The map of texts before and after training, and how well each layer tells their classes apart."""

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

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes

    from nbtransfer.runs.representations import EmbeddingMap, Stage

# Far apart for the colour-blind too: hue and lightness both change from one to the next.
_COLOURS = (BLUE, ORANGE, GREEN, "#a85ac0", "#8a6d3b", "#d14a7a", "#2aa3b8", "#9aa02c")
_MAX_HOVER = 90
_WIDTH, _HEIGHT = 760, 330


class ClassPoints(NamedTuple):
    """The texts of one class (or of all that have no colour of their own) on both maps."""

    name: str
    colour: str
    before: list[tuple[float, float]]
    after: list[tuple[float, float]]
    texts: list[str]


class EmbeddingMapInfo(NamedTuple):
    """What the figure shows; probe accuracies are shares by layer, the embeddings first."""

    groups: tuple[ClassPoints, ...]
    title_before: str
    title_after: str
    probes_before: tuple[float, ...]
    probes_after: tuple[float, ...]
    majority_share: float


def embedding_map_info(found: EmbeddingMap) -> EmbeddingMapInfo:
    """Return the points by class, the largest classes first; beyond eight they share one colour."""
    counts = {c: found.classes.count(c) for c in set(found.classes)}
    order = sorted(counts, key=lambda c: (-counts[c], c))
    own = order if len(order) <= len(_COLOURS) else order[: len(_COLOURS) - 1]
    members = [([c], found.labels[c], colour) for c, colour in zip(own, _COLOURS, strict=False)]
    if rest := order[len(own) :]:
        members.append((rest, f"{len(rest)} other classes", GREY))
    return EmbeddingMapInfo(
        groups=tuple(_group(found, *member) for member in members),
        title_before=_title("before", found.before),
        title_after=_title("after", found.after),
        probes_before=found.before.probe_accuracies,
        probes_after=found.after.probe_accuracies,
        majority_share=found.majority_share,
    )


def _group(found: EmbeddingMap, classes: list[int], name: str, colour: str) -> ClassPoints:
    rows = [i for i, c in enumerate(found.classes) if c in classes]
    return ClassPoints(
        name,
        colour,
        [found.before.points[i] for i in rows],
        [found.after.points[i] for i in rows],
        [found.texts[i] for i in rows],
    )


def _title(when: str, stage: Stage) -> str:
    apart = "" if stage.silhouette is None else f": silhouette {stage.silhouette:.2f}"
    return f"{when} training{apart}"


def embedding_map_figure(info: EmbeddingMapInfo) -> go.Figure:
    """Return both maps and the probes by layer as one plotly figure, side by side."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for axis, name in (("", "before"), ("2", "after")):
        for group in info.groups:
            points = getattr(group, name)
            figure.add_scattergl(
                x=[x for x, _ in points],
                y=[y for _, y in points],
                mode="markers",
                name=plotly_label(group.name),
                legendgroup=plotly_label(group.name),
                showlegend=name == "before",
                marker={"color": group.colour, "size": 5, "opacity": 0.75},
                text=[plotly_label(text, _MAX_HOVER) for text in group.texts],
                hovertemplate="%{text}<extra>%{fullData.name}</extra>",
                xaxis=f"x{axis}",
                yaxis=f"y{axis}",
            )
    for values, colour, name in (
        (info.probes_before, GREY, "probe before"),
        (info.probes_after, BLUE, "probe after"),
    ):
        figure.add_scatter(
            x=list(range(len(values))),
            y=list(values),
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2},
            hovertemplate="layer %{x}: %{y:.1%}<extra>%{fullData.name}</extra>",
            xaxis="x3",
            yaxis="y3",
        )
    blank = {"showticklabels": False, "showgrid": False}
    layout: dict[str, Any] = {
        "legend": {"orientation": "h", "x": 0, "y": -0.08, "yanchor": "top"},
        "margin": {"l": 10, "r": 10, "t": 30, "b": 10},
        "hovermode": "closest",
        "shapes": [
            {
                "type": "line",
                "xref": "x3 domain",
                "x0": 0,
                "x1": 1,
                "yref": "y3",
                "y0": info.majority_share,
                "y1": info.majority_share,
                "line": {"color": GREY, "width": 1, "dash": "dash"},
            }
        ],
        "annotations": [
            {
                "xref": f"x{axis} domain",
                "x": 0.5,
                "yref": "paper",
                "y": 1,
                "yanchor": "bottom",
                "text": title,
                "showarrow": False,
            }
            for axis, title in (
                ("", info.title_before),
                ("2", info.title_after),
                ("3", "linear probe by layer"),
            )
        ],
    }
    for axis, domain in (("", [0.0, 0.32]), ("2", [0.35, 0.67]), ("3", [0.74, 1.0])):
        own = blank if axis != "3" else {"title": {"text": "layer"}, "dtick": 1}
        layout[f"xaxis{axis}"] = plotly_axis(domain=domain, anchor=f"y{axis}", **own)
        own = blank if axis != "3" else {"tickformat": ".0%", "nticks": 5}
        layout[f"yaxis{axis}"] = plotly_axis(anchor=f"x{axis}", **own)
    figure.update_layout(plotly_layout(_HEIGHT, **layout))
    return figure


def embedding_map_png(info: EmbeddingMapInfo) -> bytes:
    """Return both maps and the probes by layer as one PNG."""
    with agg_figure(_WIDTH, _HEIGHT) as figure:
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.2, 1.2, 1))
        for axes, name, title in (
            (left, "before", info.title_before),
            (middle, "after", info.title_after),
        ):
            for group in info.groups:
                points = getattr(group, name)
                axes.scatter(
                    [x for x, _ in points],
                    [y for _, y in points],
                    s=9,
                    color=group.colour,
                    alpha=0.75,
                    linewidths=0,
                    label=plain_label(group.name),
                )
            axes.set_xticks([])
            axes.set_yticks([])
            _plain(axes, title)
        layers = range(len(info.probes_before))
        right.plot(layers, info.probes_before, color=GREY, marker="o", markersize=3, label="before")
        right.plot(layers, info.probes_after, color=BLUE, marker="o", markersize=3, label="after")
        right.axhline(info.majority_share, color=GREY, linewidth=0.8, linestyle="--")
        right.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        right.set_xlabel("layer")
        right.grid(axis="y", color=GREY, alpha=0.28, linewidth=0.6)
        right.legend(frameon=False, fontsize=8)
        _plain(right, "linear probe by layer")
        left.legend(
            loc="upper left",
            bbox_to_anchor=(0, -0.02),
            ncols=4,
            frameon=False,
            borderaxespad=0.1,
            handletextpad=0.1,
        )
        figure.tight_layout(pad=0.4, w_pad=1.5)
        return png_bytes(figure)


def _plain(axes: Axes, title: str) -> None:
    axes.patch.set_alpha(0.0)
    axes.set_title(title, fontsize=9)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
