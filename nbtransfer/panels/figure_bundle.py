"""Publishes a finished figure: plotly, PNG and text as one output, so that it is drawn once.

JupyterLab shows the PNG and turns it interactive under the mouse; GitHub and nbconvert show the
PNG; a terminal shows the text.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.display import display

if TYPE_CHECKING:
    import plotly.graph_objects as go

_PLOTLY = "application/vnd.plotly.v1+json"
# plotly.js 4 has a button that uploads a figure to its makers: the data are not ours to send.
_CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "showSendToCloud": False,
    "modeBarButtonsToRemove": ["sendChartToCloud", "sendDataToCloud", "select2d", "lasso2d"],
}


class Bundle(NamedTuple):
    """One output: content by MIME type, and how it is to be shown."""

    data: dict[str, Any]
    metadata: dict[str, Any]


def figure_bundle(figure: go.Figure, png: bytes, text: str) -> Bundle:
    """Return the three forms of a figure as one output.

    Args:
        figure: the interactive form; its height is fixed in its layout.
        png: the same, drawn at any scale.
        text: the same in words.

    Returns:
        The output; the PNG is shown as large as the figure is.
    """
    # Through JSON: plain lists and numbers, whatever the plotly version keeps arrays as.
    record = json.loads(figure.to_json(validate=False))
    record["layout"].pop("template", None)
    record["config"] = _CONFIG
    width, height = _png_size(png)
    scale = height / figure.layout.height
    return Bundle(
        {
            _PLOTLY: record,
            "image/png": base64.b64encode(png).decode("ascii"),
            "text/plain": text,
        },
        {"image/png": {"width": round(width / scale), "height": round(height / scale)}},
    )


def show_figure(figure: go.Figure, png: bytes, text: str) -> None:
    """Display the three forms of a figure as one output."""
    bundle = figure_bundle(figure, png, text)
    display(bundle.data, raw=True, metadata=bundle.metadata)  # type: ignore[no-untyped-call]


def _png_size(png: bytes) -> tuple[int, int]:
    """Return width and height from a PNG's header, which always comes first."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height
