"""The process that lives are forked from, with everything imported that a life imports."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver

_MODULES = [
    "nbtransfer.engine.worker",
    "nbtransfer.engine.train",
    "nbtransfer.engine.jobs",
    "nbtransfer.planning",
    "nbtransfer.models.catalog",
    "matplotlib.backends.backend_agg",
    "pandas",
    "pyarrow.parquet",
    "sklearn.metrics",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
    "transformers.trainer",
]


def preload() -> None:
    """Start it, unless an earlier test has: a life then takes under a second."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(_MODULES)
    multiprocessing.forkserver.ensure_running()
