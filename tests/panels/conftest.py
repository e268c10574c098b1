"""A model, a machine and lengths that cost nothing, for the panels that plan."""

import numpy as np
import pytest

from nbtransfer.data.lengths import Lengths
from nbtransfer.hardware import Hardware
from nbtransfer.models.card import ModelCard

MODEL = ModelCard(
    name="demo:minilm",
    source="demo",
    location="nowhere",
    architecture="BertModel",
    model_type="bert",
    num_parameters=22_713_216,
    num_parameters_exact=True,
    num_embedding_parameters=11_900_000,
    num_layers=6,
    hidden_size=384,
    intermediate_size=1536,
    num_heads=12,
    vocab_size=30_522,
    max_positions=512,
    weights_dtype="float32",
    weights_bytes=90_900_000,
    licence="Apache-2.0",
    tokenizer_file="nowhere/tokenizer.json",
)

HARDWARE = Hardware(
    device="cpu",
    name="a processor",
    num_devices=1,
    num_cores=2,
    num_threads=2,
    memory_bytes=8_000_000_000,
    free_bytes=6_000_000_000,
    disk_free_bytes=50_000_000_000,
    bf16=False,
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
