"""One small job of each task and technique whose faults are tried: 12 steps or so."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tests.engine import language_jobs, pairs, question_jobs
from tests.engine.jobs import make_run, reviews, write_mini_model

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.runs.run import Run

_PEOPLE = ["Ada", "Grace", "Alan", "Mary"]
_PLACES = ["Leeds", "Paris", "Oslo", "Lima"]


def _moves(num_rows: int) -> dict[str, list[list[str]]]:
    """Return made-up sentences of words, each with a person and a place; some are two windows."""
    draw = random.Random(0)
    tokens, tags = [], []
    for row in range(num_rows):
        rest = ["and", "so", "on", str(row)] * (row % 3)
        tokens.append([draw.choice(_PEOPLE), "moved", "to", draw.choice(_PLACES), *rest])
        tags.append(["B-PER", "O", "O", "B-LOC", *["O"] * len(rest)])
    return {"tokens": tokens, "ner_tags": tags}


def _of_several(num_rows: int) -> list[dict[str, Any]]:
    return [
        {"text": row["text"], "labels": [row["label"], "all"][: 1 + i % 3]}
        for i, row in enumerate(reviews(num_rows))
    ]


def _scores(num_rows: int) -> list[dict[str, Any]]:
    return [{"text": row["text"], "label": 0.5 * i} for i, row in enumerate(reviews(num_rows))]


TASKS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "classes": ("mini", reviews(40), {}),
    "several classes": ("mini", _of_several(40), {}),
    "scores": ("mini", _scores(40), {}),
    "entities": ("mini", _moves(30), {"max_length": 12}),
    "answers": ("mini", question_jobs.questions(40), {}),
    "translation": ("bart", pairs.pairs(40), {"eval_generate_rows": 3}),
    "masked": ("bert", language_jobs.documents(40), {"task": "masked-language-modeling"}),
    "causal": ("gpt2", language_jobs.documents(40), {"task": "causal-language-modeling"}),
    "lora": ("mini", reviews(40), {"technique": "lora"}),
    "head": ("mini", reviews(40), {"technique": "head"}),
    "features": ("mini", reviews(40), {"technique": "features"}),
}


def write_models(folder: Path) -> dict[str, str]:
    """Write the models that they need; return their folders by name."""
    return {
        "mini": write_mini_model(folder / "mini"),
        "bart": pairs.write_model(folder / "bart", "bart"),
        "bert": language_jobs.write_model(folder / "bert", "bert"),
        "gpt2": language_jobs.write_model(folder / "gpt2", "gpt2"),
    }


def make_task_run(runs_dir: Path, models: dict[str, str], name: str, **keywords: object) -> Run:
    """Write the folder of such a job; nothing is started."""
    model, data, options = TASKS[name]
    defaults = {"num_train_epochs": 3, "learning_rate": 3e-3}
    return make_run(
        runs_dir, **{"model": models[model], "data": data, **defaults, **options, **keywords}
    )
