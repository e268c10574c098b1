"""The forgetting gauge: which models a run's model was, and what they are asked."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.errors import ModelError, quoted
from nbtransfer.runs import store
from nbtransfer.runs.forgetting import Forgetting, Stage, write_forgetting
from nbtransfer.runs.run import Run
from nbtransfer.settings import resolve_runs_dir
from nbtransfer.spec import LANGUAGE_MODELING

if TYPE_CHECKING:
    import pyarrow as pa

    from nbtransfer.answers import RunsDir
    from nbtransfer.spec import TaskName

# Of the corpus as much as of the general text, about: the gauge is to cost seconds.
_CORPUS_DOCUMENTS, _CORPUS_CHARACTERS = 40, 1000
_MAX_BLOCK = 256


class _Link(NamedTuple):
    """One stage: its name, where its backbone and the head to guess with lie, or why not."""

    name: str
    backbone: dict[str, Any] | None = None
    head: dict[str, Any] | None = None
    why_not: str = ""


def forgetting(run: object = None, *, runs_dir: RunsDir = None) -> Forgetting:
    """Measure what a run's model forgot on its way from the pre-trained one.

    Each model on the way guesses tokens of 72 paragraphs of everyday English, and of held-out
    documents of the corpus that it was adapted to. A model fine-tuned for another task lost the
    head that guesses tokens: it gets back the last one it had, unchanged.

    Args:
        run: a Run, its name or folder; None takes the newest.
        runs_dir: where runs are kept.

    Returns:
        The losses, which are kept in the run's folder too.

    Raises:
        RunError: no such run or model.
        ModelError: models of its family guess no tokens.
    """
    from nbtransfer.models.shape import language_modeling_of
    from nbtransfer.runs.scoring import measure_stages, require_model

    opened = store.open_run(run, resolve_runs_dir(runs_dir))
    require_model(opened)
    chain = _chain(opened)
    card = chain[0].model_card
    task = language_modeling_of(card.model_type)
    if task is None:
        raise ModelError(
            f"models of the family {quoted(card.model_type)} guess no tokens here, so what one of "
            "them forgot cannot be measured."
        )
    links = _links(chain, task)
    adapted = next((r for r in reversed(chain) if r.data_card.task in LANGUAGE_MODELING), None)
    corpus = (
        adapted if adapted is not None and adapted.paths.split("validation").is_file() else None
    )
    settings = {"mlm_probability": 0.15, "whole_word_mask": False}
    losses = measure_stages(
        opened,
        _texts(corpus),
        {
            "task": task,
            "max_length": min(_MAX_BLOCK, card.max_positions),
            "card": dataclasses.replace(opened.data_card, settings=settings).to_json(),
            "stages": [link._asdict() for link in links if link.head is not None],
        },
    )
    measured = iter(losses["stages"])
    stages = []
    for link in links:
        general, on_corpus = next(measured) if link.head is not None else (None, None)
        stages.append(Stage(link.name, general, on_corpus, link.why_not))
    found = Forgetting(
        run_id=opened.id,
        task=task,
        corpus_name=corpus.data_card.name if corpus is not None else "",
        num_general=losses["num_general"],
        num_corpus=losses["num_corpus"],
        stages=tuple(stages),
        notes=_notes(links),
    )
    with contextlib.suppress(OSError):  # of a folder that only can be read they are shown anyway
        write_forgetting(found, opened.paths.forgetting)
    return found


def _chain(run: Run) -> list[Run]:
    """Return the runs that a run's model went through, the first one first, itself last."""
    chain = [run]
    while (card := chain[0].model_card).source == "run":
        from pathlib import Path

        earlier = Run(Path(card.location).parent)
        if not earlier.paths.spec.is_file() or any(earlier.dir == r.dir for r in chain):
            break
        chain.insert(0, earlier)
    return chain


def _links(chain: list[Run], task: TaskName) -> list[_Link]:
    """Return the stages: the model that all began from, then what each run made of it."""
    card, spec = chain[0].model_card, chain[0].spec
    place = {"location": card.location, "revision": card.revision}
    head: dict[str, Any] | None = None
    if spec.from_scratch:
        start = _Link("random weights", why_not="It began from random weights, which know nothing.")
    elif card.lacks_lm_head:
        reason = f"{card.name} was saved without the head that guesses tokens."
        start = _Link(card.name, why_not=reason)
    elif card.source == "run" and not _is_there(card.location):
        start = _Link(card.name, why_not=f"The folder of run {card.name} is gone.")
    else:
        head = place
        start = _Link(card.name, backbone=place, head=head)
    links = [start]
    for run in chain:
        data, own = run.data_card, {"location": str(run.paths.model_dir), "revision": None}
        verb = "adapted to" if data.task in LANGUAGE_MODELING else "fine-tuned on"
        name = f"{verb} {data.name} ({run.id})"
        if data.task == task:
            head = own
        if head is None:
            links.append(_Link(name, why_not="No head that guesses tokens is left to ask it with."))
        elif not run.paths.model_dir.is_dir():
            links.append(_Link(name, why_not="The run's model is gone."))
        else:
            links.append(_Link(name, backbone={**own, "task": data.task}, head=head))
    return links


def _is_there(location: str) -> bool:
    from pathlib import Path

    return Path(location).is_dir()


def _texts(corpus: Run | None) -> pa.Table:
    """Return what is asked: text, row and part, `general` or `corpus`."""
    import pyarrow as pa

    from nbtransfer.data.general_text import general_paragraphs
    from nbtransfer.data.lengths import spread_rows
    from nbtransfer.runs.files import read_table

    texts = {"general": general_paragraphs(), "corpus": []}
    if corpus is not None:
        held_out = read_table(corpus.paths.split("validation"))["text"]
        rows = spread_rows(len(held_out), _CORPUS_DOCUMENTS)
        texts["corpus"] = [text[:_CORPUS_CHARACTERS] for text in held_out.take(rows).to_pylist()]
    both = [(text, row, part) for part, own in texts.items() for row, text in enumerate(own)]
    columns = list(zip(*both, strict=True))
    return pa.table(
        {
            "text": pa.array(columns[0], pa.string()),
            "row": pa.array(columns[1], pa.int64()),
            "part": pa.array(columns[2], pa.string()),
        }
    )


def _notes(links: list[_Link]) -> tuple[str, ...]:
    notes = [f"Not measured: {link.name}. {link.why_not}" for link in links if link.why_not]
    borrowed = [x for x in links if x.head is not None and x.backbone is not None]
    if any(link.backbone["location"] != link.head["location"] for link in borrowed):  # type: ignore[index]
        notes.append(
            "A model fine-tuned for another task guesses with the last head that guessed tokens, "
            "put back on top of it as it was."
        )
    return tuple(notes)
