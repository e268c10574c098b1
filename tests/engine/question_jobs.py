"""Small question-answering jobs on a tiny model."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING, Any

from nbtransfer import api
from nbtransfer.runs import store

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.runs.run import Run

_NAMES = ["anna", "bert", "clara", "david", "emma", "frank", "greta", "hugo"]
_PLACES = ["london", "paris", "berlin", "rome", "vienna", "madrid"]


def questions(num_rows: int, seed: int = 0, *, unanswerable: bool = False) -> list[dict[str, Any]]:
    """Return made-up questions about who lives where, on contexts of various lengths."""
    draw = random.Random(seed)
    rows = []
    for i in range(num_rows):
        people = draw.sample(_NAMES, draw.randint(2, 5))
        places = [draw.choice(_PLACES) for _ in people]
        context = " ".join(f"{who} lives in {where}." for who, where in zip(people, places))  # noqa: B905
        asked = draw.randrange(len(people))
        who, text = people[asked], places[asked]
        start = context.index(f"{who} lives in ") + len(f"{who} lives in ")
        answers = {"text": [text], "answer_start": [start]}
        if unanswerable and i % 4 == 0:
            who = next(name for name in _NAMES if name not in people)
            answers = {"text": [], "answer_start": []}
        rows.append({"question": f"where does {who} live?", "context": context, "answers": answers})
    return rows


def make_question_run(
    runs_dir: Path,
    data: object = None,
    *,
    num_rows: int = 60,
    model: str = "demo:bert-tiny",
    **keywords: object,
) -> Run:
    """Write the folder of a small run; nothing is started."""
    defaults = {
        "per_device_train_batch_size": 8,
        "num_train_epochs": 2,
        "validation": 0.2,
        "learning_rate": 1e-3,
        "use_cpu": True,
    }
    job = api.prepare_job(
        model,
        questions(num_rows) if data is None else data,
        keywords={**defaults, **keywords},
        runs_dir=runs_dir,
    )
    return store.create_run(
        job.runs_dir,
        spec=job.spec,
        # As many threads whatever else the machine does: other numbers give other bits.
        plan=dataclasses.replace(job.plan, num_threads=1, products="torch"),
        data_card=job.prepared.card,
        model_card=job.model_card,
        splits=job.prepared.splits,
    )
