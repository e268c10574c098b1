"""What `%evaluate --embeddings` shows: the map of texts before and after, then the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.panels.figure_bundle import show_figure
from nbtransfer.plots.embedding_map import (
    embedding_map_figure,
    embedding_map_info,
    embedding_map_png,
)

if TYPE_CHECKING:
    from nbtransfer.runs.representations import EmbeddingMap


def show_embeddings(found: EmbeddingMap) -> None:
    """Display the figure; its text form holds the numbers."""
    info = embedding_map_info(found)
    show_figure(embedding_map_figure(info), embedding_map_png(info), str(found))
