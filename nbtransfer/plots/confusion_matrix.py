"""The confusion matrix: right answers in blue, wrong ones in orange, with their shares."""

# Shapes: C classes; rows are actual, columns predicted.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.errors import count_of
from nbtransfer.plots.canvas import (
    GREY,
    agg_figure,
    mixed,
    plain_label,
    plotly_axis,
    plotly_label,
    plotly_layout,
    png_bytes,
    text_on,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from nbtransfer.runs.report import Report

# From a share near 0 to a full cell. An error of half its row is as bad as the scale shows.
_RIGHT = ("#aec4f2", "#3566cc")
_WRONG = ("#e6b794", "#bd4f16")
_FULL_ERROR = 0.5

_MAX_WITH_SHARES = 10
_MAX_WITH_NUMBERS = 30
_MAX_CLASSES = 100
_MAX_CELLS = 1_500  # bounds the figure's size where many classes are confused with many


class Cell(NamedTuple):
    """One pair of classes that occurs; `share` is of the actual class's texts (or words)."""

    actual: int
    predicted: int
    num_texts: int
    share: float

    @property
    def colour(self) -> str:
        """The cell's fill."""
        if self.actual == self.predicted:
            return mixed(*_RIGHT, self.share)
        return mixed(*_WRONG, min(self.share / _FULL_ERROR, 1.0))


class ConfusionMatrixInfo(NamedTuple):
    """What the matrix shows: full class names, the cells that are not 0, what was left out."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]
    unit: str = "text"


def confusion_matrix_info(report: Report) -> ConfusionMatrixInfo:
    """Return the cells of `report`'s matrix; of very many classes, those with the most texts."""
    matrix, notes = report.confusion_matrix, []
    total = len(report.labels)
    by_size = sorted(range(total), key=lambda c: -sum(matrix[c]))
    classes = sorted(by_size[:_MAX_CLASSES])
    if len(classes) < total:
        notes.append(f"the {len(classes)} classes with the most texts, of {total}")
    if len(classes) > _MAX_WITH_NUMBERS:
        notes.append(f"{len(classes)} classes leave no room for numbers in the cells")
    cells = [
        Cell(i, j, matrix[actual][predicted], matrix[actual][predicted] / sum(matrix[actual]))
        for i, actual in enumerate(classes)
        for j, predicted in enumerate(classes)
        if matrix[actual][predicted]
    ]
    if len(cells) > _MAX_CELLS:
        notes.append(f"the {_MAX_CELLS:,} largest cells of {len(cells):,}")
        cells = sorted(sorted(cells, key=lambda cell: -cell.num_texts)[:_MAX_CELLS])
    labels = tuple(report.labels[c] for c in classes)
    unit = "word" if report.task == "token-classification" else "text"
    return ConfusionMatrixInfo(labels, tuple(cells), tuple(notes), unit)


def _zeros(info: ConfusionMatrixInfo) -> list[tuple[int, int]]:
    """Return the empty cells that get a written 0: of few classes all, of more none."""
    num = len(info.labels)
    if num > _MAX_WITH_SHARES:
        return []
    filled = {(cell.actual, cell.predicted) for cell in info.cells}
    return [(i, j) for i in range(num) for j in range(num) if (i, j) not in filled]


class _Size(NamedTuple):
    """How large a cell and its texts are, in pixels."""

    cell_width: float
    cell_height: float
    number: float
    label_limit: int
    tilted: bool


def _size(info: ConfusionMatrixInfo) -> _Size:
    num = len(info.labels)
    longest = max(len(plain_label(label)) for label in info.labels)
    if num <= 4:
        return _Size(max(110.0, min(7.5 * longest, 190.0)), 74, 16, 28, False)
    if num <= _MAX_WITH_SHARES:
        return _Size(72, 46, 13, 24, longest > 9)
    if num <= _MAX_WITH_NUMBERS:
        return _Size(max(28.0, 780 / num * 0.9), 26, 10, 18, True)
    return _Size(max(700 / num, 7), max(560 / num, 7), 0, 18, True)


def _cell_text(cell: Cell, info: ConfusionMatrixInfo) -> tuple[str, str]:
    """Return the cell's number and share; either is empty where there is no room for it."""
    num = len(info.labels)
    number = f"{cell.num_texts:,}" if num <= _MAX_WITH_NUMBERS else ""
    return number, f"{100 * cell.share:.1f} %" if num <= _MAX_WITH_SHARES else ""


def _font(info: ConfusionMatrixInfo) -> float:
    """Return the size of the class names: many classes stand closer than 12 pixels."""
    return 12 if len(info.labels) <= _MAX_WITH_NUMBERS else max(_size(info).cell_height - 1, 6)


def _height(info: ConfusionMatrixInfo) -> int:
    size = _size(info)
    longest = max(len(plain_label(label, size.label_limit)) for label in info.labels)
    below = 52 + (0.55 * _font(info) * longest if size.tilted else 0)
    return round(size.cell_height * len(info.labels) + below + (24 if info.notes else 10))


def confusion_matrix_figure(info: ConfusionMatrixInfo) -> go.Figure:
    """Return the matrix as a plotly figure; hovering a cell names both classes."""
    import plotly.graph_objects as go

    size, num = _size(info), len(info.labels)
    right = [cell for cell in info.cells if cell.actual == cell.predicted]
    wrong = [cell for cell in info.cells if cell.actual != cell.predicted]
    figure = go.Figure()
    for cells, colours, full in ((right, _RIGHT, 100), (wrong, _WRONG, 100 * _FULL_ERROR)):
        # A gap for every class on the diagonal tells plotly where empty rows and columns are.
        gaps = sorted(set(range(num)) - {c.actual for c in cells if c.actual == c.predicted})
        figure.add_heatmap(
            x=[c.predicted for c in cells] + gaps,
            y=[c.actual for c in cells] + gaps,
            z=[round(100 * c.share, 1) for c in cells] + [None] * len(gaps),
            text=[count_of(c.num_texts, info.unit) for c in cells] + [""] * len(gaps),
            hovertemplate=(
                "actual %{y}, predicted %{x}:<br>%{text}, %{z:.1f} % of %{y}<extra></extra>"
            ),
            colorscale=[[0, colours[0]], [1, colours[1]]],
            zmin=0,
            zmax=full,
            xgap=3 if num <= _MAX_WITH_SHARES else 1,
            ygap=3 if num <= _MAX_WITH_SHARES else 1,
            showscale=False,
            hoverongaps=False,
        )
    if num <= _MAX_WITH_NUMBERS:
        for colour in ("#000000", "#ffffff"):
            cells = [c for c in info.cells if text_on(c.colour) == colour]
            if cells:
                figure.add_scatter(
                    x=[c.predicted for c in cells],
                    y=[c.actual for c in cells],
                    text=[_plotly_cell(c, info, size) for c in cells],
                    mode="text",
                    textfont={"color": colour, "size": min(size.number, 12)},
                    hoverinfo="skip",
                    showlegend=False,
                )
    if zeros := _zeros(info):
        figure.add_scatter(
            x=[predicted for _, predicted in zeros],
            y=[actual for actual, _ in zeros],
            text=["0"] * len(zeros),
            mode="text",
            hoverinfo="skip",
            showlegend=False,
        )
    names = {
        "tickvals": list(range(num)),
        "ticktext": [plotly_label(label, size.label_limit) for label in info.labels],
        "range": [-0.5, num - 0.5],
        "tickfont": {"size": _font(info)},
        "showgrid": False,
        "showline": False,
        "constrain": "domain",
        "fixedrange": num <= _MAX_WITH_NUMBERS,
    }
    figure.update_layout(
        plotly_layout(
            _height(info),
            margin={"l": 10, "r": 10, "t": 24 if info.notes else 8, "b": 10},
            title={
                "text": "; ".join(info.notes),
                "font": {"size": 11, "color": GREY},
                "x": 0,
                "xref": "paper",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "pad": {"t": 6},
            },
            xaxis=plotly_axis(
                title={"text": "predicted", "standoff": 6},
                constraintoward="left",
                tickangle=-90 if size.tilted else 0,
                **names,
            ),
            yaxis=plotly_axis(
                title={"text": "actual", "standoff": 8},
                scaleanchor="x",
                scaleratio=size.cell_height / size.cell_width,
                constraintoward="top",
                **names | {"range": [num - 0.5, -0.5]},
            ),
        )
    )
    return figure


def _plotly_cell(cell: Cell, info: ConfusionMatrixInfo, size: _Size) -> str:
    number, share = _cell_text(cell, info)
    if not share:
        return number
    return f'<span style="font-size:{size.number:g}px"><b>{number}</b></span><br>{share}'


def confusion_matrix_png(info: ConfusionMatrixInfo) -> bytes:
    """Return the matrix as a PNG."""
    size, num, font = _size(info), len(info.labels), _font(info)
    names = [plain_label(label, size.label_limit) for label in info.labels]
    height = _height(info)
    left = 34 + 0.62 * font * max(map(len, names))
    top = 24 if info.notes else 8
    matrix = (size.cell_width * num, size.cell_height * num)
    width = left + matrix[0] + 14
    with agg_figure(width, height) as figure:
        from matplotlib.collections import PolyCollection

        axes = figure.add_axes(
            (
                left / width,
                1 - (top + matrix[1]) / height,
                matrix[0] / width,
                matrix[1] / height,
            )
        )
        gap = 0.02 if num <= _MAX_WITH_SHARES else 0.03
        axes.add_collection(
            PolyCollection(
                [_corners(cell, gap) for cell in info.cells],
                facecolors=[cell.colour for cell in info.cells],
                antialiased=num <= _MAX_WITH_NUMBERS,
            )
        )
        for cell in info.cells:
            number, share = _cell_text(cell, info)
            if number:
                at = {"ha": "center", "color": text_on(cell.colour)}
                up = 0.1 if share else 0.0
                axes.text(
                    cell.predicted,
                    cell.actual - up,
                    number,
                    va="center",
                    fontsize=0.75 * size.number,
                    fontweight="bold" if share else "normal",
                    **at,
                )
                axes.text(cell.predicted, cell.actual + 0.22, share, va="center", fontsize=8, **at)
        for actual, predicted in _zeros(info):
            axes.text(predicted, actual, "0", ha="center", va="center")
        axes.patch.set_alpha(0.0)
        axes.set_xlim(-0.5, num - 0.5)
        axes.set_ylim(num - 0.5, -0.5)
        axes.set_xticks(range(num), names, rotation=90 if size.tilted else 0, fontsize=0.75 * font)
        axes.set_yticks(range(num), names, fontsize=0.75 * font)
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        if info.notes:
            axes.set_title("; ".join(info.notes), loc="left", fontsize=8, pad=4)
        return png_bytes(figure)


def _corners(cell: Cell, gap: float) -> list[tuple[float, float]]:
    half = 0.5 - gap
    x, y = cell.predicted, cell.actual
    return [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]


def confusion_matrix_text(info: ConfusionMatrixInfo) -> str:
    """Return the matrix as lines of text: whole for few classes, else its largest errors."""
    num = len(info.labels)
    names = [plain_label(label, 16) for label in info.labels]
    if num <= _MAX_WITH_SHARES:
        counts = {(c.actual, c.predicted): c.num_texts for c in info.cells}
        rows = [["actual / predicted", *names]]
        rows += [
            [name, *(f"{counts.get((i, j), 0):,}" for j in range(num))]
            for i, name in enumerate(names)
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                [row[0].ljust(widths[0])]
                + [v.rjust(w) for v, w in zip(row[1:], widths[1:], strict=True)]
            )
            for row in rows
        )
    wrong = sorted((c for c in info.cells if c.actual != c.predicted), key=lambda c: -c.num_texts)[
        :10
    ]
    return "\n".join(
        [
            f"Confusion matrix of {num} classes; its largest errors:",
            *(
                f"actual {names[c.actual]}, predicted {names[c.predicted]}: "
                f"{count_of(c.num_texts, info.unit)}, {100 * c.share:.1f} % of {names[c.actual]}"
                for c in wrong
            ),
        ]
    )
