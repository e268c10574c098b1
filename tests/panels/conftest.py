"""A model, a machine and lengths that cost nothing, for the panels that plan."""

import numpy as np
import pytest

from nbtransfer.data.lengths import Lengths
from tests import plans
from tests.plans import changed

MODEL = changed(
    plans.MODEL,
    location="nowhere",
    num_embedding_parameters=11_900_000,
    weights_bytes=90_900_000,
    licence="Apache-2.0",
    tokenizer_file="nowhere/tokenizer.json",
)

HARDWARE = changed(
    plans.CPU,
    name="a processor",
    memory_bytes=8_000_000_000,
    free_bytes=6_000_000_000,
    host_memory_bytes=8_000_000_000,
    host_free_bytes=6_000_000_000,
)


def make_reviews(num_rows: int = 60) -> list[dict[str, object]]:
    """Rows that are recognised without help: a text and a label with two classes."""
    return [
        {
            "review": f"number {i} is " + ("fine and warm" if i % 2 else "dull and cold"),
            "sentiment": "good" if i % 2 else "bad",
        }
        for i in range(num_rows)
    ]


@pytest.fixture
def opened(monkeypatch):
    """Open a model without files; the list fills with the references that were opened."""
    import nbtransfer.models.in_memory  # noqa: F401 -- it must not keep the name patched below
    from nbtransfer.errors import ModelError
    from nbtransfer.panels import setup_draft

    references = []

    def open_model(reference, *, runs_dir):
        references.append(reference)
        if reference.startswith("missing"):
            raise ModelError(f"no model {reference!r}.")
        return MODEL

    monkeypatch.setattr("nbtransfer.models.catalog.open_model", open_model)
    monkeypatch.setattr("nbtransfer.hardware.detect_hardware", lambda _runs_dir: HARDWARE)
    monkeypatch.setattr(
        setup_draft,
        "measure_lengths",
        lambda texts, _file: Lengths(np.arange(len(texts[0]), dtype=np.int32) % 40 + 5),
    )
    return references


@pytest.fixture
def reviews():
    """Sixty rows with two classes."""
    return make_reviews()
