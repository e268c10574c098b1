"""What `%model` shows: a model's shape, its size, and the memory that training it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from IPython.display import display

from nbtransfer.panels.markup import Markup, join, tag
from nbtransfer.panels.quantities import bytes_text, count_text
from nbtransfer.panels.setup_choices import TECHNIQUES
from nbtransfer.panels.style import card
from nbtransfer.panels.text_table import text_table
from nbtransfer.spec import top_layers

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.hardware import Hardware
    from nbtransfer.models.card import ModelCard

# What the memory is stated for: the default batch, and texts of a paragraph.
BATCH_SIZE = 16
NUM_TOKENS = 128

# The same weights under their name on the hub, for whoever goes on elsewhere.
_ON_THE_HUB = {"demo:minilm": "sentence-transformers/all-MiniLM-L6-v2"}


class MemoryRow(NamedTuple):
    """The memory that one technique takes."""

    technique: str
    meaning: str
    num_bytes: int
    fits: bool


def show_model(reference: str, *, runs_dir: Path) -> None:
    """Show what is known of a model before anything of it is loaded.

    Args:
        reference: `demo:NAME`, a folder, a run id or a hub id.
        runs_dir: where run ids are looked for.

    Raises:
        ModelError: if there is no such model, or it cannot be read.
    """
    from nbtransfer.hardware import detect_hardware
    from nbtransfer.models.catalog import open_model

    show_model_card(open_model(reference, runs_dir=runs_dir), detect_hardware(runs_dir))


def show_model_card(model: ModelCard, hardware: Hardware) -> None:
    """Show a model that is already opened."""
    memory = memory_rows(model, hardware)
    bundle = {
        "text/html": model_markup(model, hardware, memory),
        "text/plain": model_text(model, hardware, memory),
    }
    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def memory_rows(model: ModelCard, hardware: Hardware) -> list[MemoryRow]:
    """Return the estimated training memory of each technique."""
    from nbtransfer.models.lora_targets import takes_adapters
    from nbtransfer.planning import memory_by_technique

    tokens = min(NUM_TOKENS, model.max_positions)
    rows = []
    for technique, meaning in TECHNIQUES.items():
        if (top_layers(technique) or 0) >= max(2, model.num_layers):
            continue  # it has no layers below them
        if technique == "lora" and not takes_adapters(model):
            continue
        needed = memory_by_technique(
            model, batch_size=BATCH_SIZE, tokens=tokens, technique=technique
        )
        rows.append(MemoryRow(technique, meaning, needed, needed <= hardware.free_bytes))
    return rows


def shape_rows(model: ModelCard) -> list[tuple[str, str]]:
    """Return the model's architecture as names and values."""
    about = "" if model.num_parameters_exact else "about "
    embedded = f"{count_text(model.num_embedding_parameters)} of them embeddings"
    return [
        ("architecture", f"{model.architecture} ({model.model_type})"),
        ("parameters", f"{about}{count_text(model.num_parameters)}, {embedded}"),
        ("layers", f"{model.num_layers}"),
        ("hidden size", f"{model.hidden_size:,}"),
        ("attention heads", f"{model.num_heads}"),
        ("vocabulary", f"{model.vocab_size:,} tokens"),
        ("maximum length", f"{model.max_positions:,} tokens"),
        ("weights", f"{bytes_text(model.weights_bytes)} as {model.weights_dtype}"),
        ("licence", model.licence or "not stated"),
    ]


def use_line(model: ModelCard) -> str:
    """Return the line that trains this model."""
    from nbtransfer.commandline import finetune_line
    from nbtransfer.spec import RunSpec

    return finetune_line(RunSpec(model=model.name, data="DATA"))


def hub_words(model: ModelCard) -> str | None:
    """Return how a demo model is named on the hub, where it is there."""
    name = _ON_THE_HUB.get(model.name)
    return f"The same weights on the hub: {name}" if name else None


def origin_words(model: ModelCard) -> str:
    """Return where the model comes from, without this machine's folders where they say nothing."""
    revision = f" at {model.revision[:12]}" if model.revision else ""
    return {
        "demo": "demo model, from an installed package",
        "hub": f"hub model{revision}",
        "run": "fine-tuned here",
        "folder": "folder",
        "variable": "variable of this notebook",
    }.get(model.source, model.source)


def model_markup(model: ModelCard, hardware: Hardware, memory: list[MemoryRow]) -> Markup:
    """Return the model as a card."""
    shape = tag(
        "table",
        tag(
            "tbody",
            *(tag("tr", tag("th", n, scope="row"), tag("td", v)) for n, v in shape_rows(model)),
        ),
        class_="nbt-kv",
    )
    rows = [
        tag(
            "tr",
            tag("th", tag("b", row.technique), join(" · "), row.meaning, scope="row"),
            tag("td", bytes_text(row.num_bytes)),
            tag("td", "fits" if row.fits else "does not fit"),
        )
        for row in memory
    ]
    needs = tag("table", tag("tbody", *rows), class_="nbt-table")
    notes = [tag("li", words) for words in model.notes]
    return card(
        tag(
            "div",
            tag("strong", model.name, class_="nbt-title"),
            tag("span", " ", origin_words(model), class_="nbt-dim"),
            class_="nbt-head",
        ),
        tag(
            "div",
            tag("div", tag("h4", "Model"), shape),
            tag(
                "div",
                tag("h4", "Memory to train it, by technique"),
                needs,
                tag("p", _memory_note(model, hardware), class_="nbt-note"),
                tag("div", use_line(model), class_="nbt-code"),
                tag("p", hub_words(model), class_="nbt-note") if hub_words(model) else None,
            ),
            class_="nbt-grid",
        ),
        tag("div", tag("ul", *notes, class_="nbt-list"), class_="nbt-section") if notes else None,
    )


def model_text(model: ModelCard, hardware: Hardware, memory: list[MemoryRow]) -> str:
    """Return the model as plain text."""
    needs = [
        (r.technique, r.meaning, bytes_text(r.num_bytes), "fits" if r.fits else "does not fit")
        for r in memory
    ]
    return "\n".join(
        [
            f"{model.name}: {origin_words(model)}",
            text_table(("", ""), shape_rows(model), limit=80).lstrip("\n"),
            "",
            text_table(("technique", "what learns", "memory", ""), needs),
            _memory_note(model, hardware),
            *model.notes,
            use_line(model),
            *filter(None, [hub_words(model)]),
        ]
    )


def _memory_note(model: ModelCard, hardware: Hardware) -> str:
    tokens = min(NUM_TOKENS, model.max_positions)
    return (
        f"Estimates for batches of {BATCH_SIZE} texts of {tokens} tokens; "
        f"{bytes_text(hardware.free_bytes)} of {bytes_text(hardware.memory_bytes)} "
        f"are free on {hardware.name}."
    )
