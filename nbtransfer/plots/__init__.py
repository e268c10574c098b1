"""Finished figures: each an info tuple, a plotly figure and a PNG of the same."""
