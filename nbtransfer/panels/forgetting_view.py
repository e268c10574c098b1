"""What a model forgot, as a table: its loss on general text and on the corpus, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.display import display

from nbtransfer.panels.figure_bundle import Bundle
from nbtransfer.panels.markup import Markup, join, tag
from nbtransfer.panels.style import card
from nbtransfer.runs.forgetting import figure

if TYPE_CHECKING:
    from nbtransfer.runs.forgetting import Forgetting, Stage

_MAX_NAME = 80
_WHAT = {
    "masked-language-modeling": "guessing hidden tokens",
    "causal-language-modeling": "guessing each next token",
    "span-corruption": "guessing hidden stretches of tokens",
}


def show_forgetting(found: Forgetting) -> None:
    """Display the table."""
    bundle = forgetting_bundle(found)
    display(bundle.data, metadata=bundle.metadata, raw=True)  # type: ignore[no-untyped-call]


def forgetting_bundle(found: Forgetting) -> Bundle:
    """Return the table as HTML with plain text beside it."""
    return Bundle({"text/html": str(forgetting_card(found)), "text/plain": str(found)}, {})


def forgetting_card(found: Forgetting) -> Markup:
    """Return the stages with their losses, and what these are."""
    heads = ["", "general text: loss (perplexity)", "change"]
    if found.corpus_name:
        heads.append(f"{_cut(found.corpus_name)}: loss (perplexity)")
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
        tag("tbody", *(_row(found, stage) for stage in found.stages)),
        class_="nbt-table",
    )
    what = _WHAT.get(found.task, "guessing tokens")
    general = (
        f"General text: 72 short paragraphs of everyday English that come with nbtransfer, "
        f"{found.num_general:,} tokens of which are guessed. The loss is that of {what}, in nats a "
        "token; where it rises, the model forgot something of what it knew."
    )
    if not found.num_general:
        general = "Nothing could be measured."
    corpus = (
        f"{_cut(found.corpus_name)}: held-out documents, {found.num_corpus:,} tokens."
        if found.corpus_name and found.num_corpus
        else None
    )
    return card(
        tag(
            "div",
            tag("h3", f"What {found.run_id} forgot", class_="nbt-title jp-toc-ignore"),
            class_="nbt-head",
        ),
        tag("div", tag("div", table, class_="nbt-scroll"), class_="nbt-section"),
        tag(
            "div",
            tag("p", join(general, " ", corpus), class_="nbt-note"),
            *(tag("p", note, class_="nbt-note") for note in found.notes),
            class_="nbt-section",
        ),
    )


def _row(found: Forgetting, stage: Stage) -> Markup:
    change = found.change(stage) or None  # of the first one there is none
    cells = [figure(stage.general), "–" if change is None else f"{change:+.3f}"]
    if found.corpus_name:
        cells.append(figure(stage.corpus))
    return tag(
        "tr",
        tag("th", _cut(stage.name), scope="row"),
        *(tag("td", cell) for cell in cells),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_NAME else text[: _MAX_NAME - 1] + "…"
