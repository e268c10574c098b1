"""What every plot stands on: colours for light and dark pages, safe labels, and Agg's canvas.

One figure serves both themes, so backgrounds are transparent and text is the grey that keeps about
the same contrast on white as on near-black (4.3:1; nothing reaches 4.5:1 on both). Text on a
coloured cell is black or white, whichever stands out more: one of them always reaches 4.5:1.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

GREY = "#777b81"
GRID = "rgba(128,136,144,0.28)"
BLUE = "#4a7de0"
ORANGE = "#dd7733"
GREEN = "#27945c"
FONT_SIZE = 12
_PNG_COLOURS = 96


class Rgb(NamedTuple):
    """A colour, each part from 0 to 255."""

    red: float
    green: float
    blue: float

    @classmethod
    def parse(cls, colour: str) -> Rgb:
        """Return the colour written `#rrggbb`."""
        return cls(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))

    def __str__(self) -> str:
        return "#" + "".join(f"{round(part):02x}" for part in self)


def mixed(low: str, high: str, share: float) -> str:
    """Return the colour at `share` of the way from `low` to `high`."""
    pairs = zip(Rgb.parse(low), Rgb.parse(high), strict=True)
    return str(Rgb(*(a + (b - a) * share for a, b in pairs)))


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2, relative luminance), 1 to 21."""
    lower, higher = sorted((_luminance(first), _luminance(second)))
    return (higher + 0.05) / (lower + 0.05)


def _luminance(colour: str) -> float:
    parts = (part / 255 for part in Rgb.parse(colour))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def text_on(colour: str) -> str:
    """Return black or white, whichever is easier to read on `colour`."""
    return max(("#000000", "#ffffff"), key=lambda text: contrast(text, colour))


def plain_label(text: str, limit: int = 28) -> str:
    """Return `text` as one line of at most `limit` printable characters, cut in the middle."""
    line = re.sub(r"\s+", " ", text)
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    if len(line) <= limit:
        return line
    end = limit // 3  # class names often differ in their last word only
    return f"{line[: limit - end - 1]}…{line[-end:]}"


def plotly_label(text: str, limit: int = 28) -> str:
    """Return `text` cut and escaped for plotly, which reads tags, entities and TeX in any text."""
    line = plain_label(text, limit).replace("&", "&amp;")
    return line.replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")


def plotly_layout(height: int, **more: object) -> dict[str, Any]:
    """Return the layout all figures begin with: as wide as its place, transparent, no template."""
    return {
        "template": "none",  # the default one alone is 7 kB a figure
        "autosize": True,
        "height": height,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": GREY, "size": FONT_SIZE, "family": "system-ui, DejaVu Sans, sans-serif"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": BLUE},
        "hoverlabel": {"align": "left"},
        **more,
    }


def plotly_axis(**more: object) -> dict[str, Any]:
    """Return an axis with thin lines in the grey of all figures."""
    return {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        **more,
    }


@contextmanager
def agg_figure(width: float, height: float) -> Iterator[Figure]:
    """Yield a matplotlib figure on Agg's own canvas: no pyplot, nothing global stays changed.

    Inside, text is taken literally (no TeX, no mathematics) whatever the user's settings are, and a
    character that the font lacks is drawn as a box without a warning.
    """
    import logging
    import warnings

    import matplotlib
    from matplotlib.figure import Figure

    settings = {
        "text.usetex": False,
        "text.parse_math": False,
        "font.family": ["DejaVu Sans"],
        "font.size": FONT_SIZE * 0.75,  # points: a CSS pixel is 3/4 of one
        "text.color": GREY,
        "axes.labelcolor": GREY,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "axes.edgecolor": GREY,
    }
    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), matplotlib.rc_context(settings):
            warnings.simplefilter("ignore")
            figure = Figure(figsize=(width / 96, height / 96))
            figure.patch.set_alpha(0.0)
            yield figure
    finally:
        log.setLevel(before)


def png_bytes(figure: Figure) -> bytes:
    """Return the figure as a PNG with a transparent background, one pixel for a pixel of the page.

    Finer would be sharper on some screens, but JupyterLab shows a plotly output's PNG at its own
    size: drawn twice as fine it would be twice as large, and jump when it turns interactive.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # matplotlib's own way to PNG

    figure.set_dpi(96)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # Smooth edges make thousands of colours; few of them are a third of the size.
    image = Image.fromarray(np.asarray(canvas.buffer_rgba()))
    image = image.quantize(_PNG_COLOURS, method=Image.Quantize.FASTOCTREE)
    sink = io.BytesIO()
    image.save(sink, format="png", optimize=True)
    return sink.getvalue()
