"""Every task on every family: the losses of each step and the answers are Trainer's."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.engine.jobs import make_run, write_mini_model
from tests.engine.pairs import pairs, write_model
from tests.engine.trainer_reference import train_ours, train_theirs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NUM_ROWS = 40  # five steps of eight an epoch
KINDS = {
    "DEED": {"open", "close", "save", "print"},
    "THING": {"file", "page", "cell", "line"},
}


def labelled() -> list[dict[str, object]]:
    return [{"text": row["en"], "label": row["en"].split()[-1][0]} for row in pairs(NUM_ROWS)]


def paired() -> list[dict[str, object]]:
    rows = pairs(NUM_ROWS)
    others = [row["fr"] if i % 2 else rows[i - 1]["fr"] for i, row in enumerate(rows)]
    return [
        {"sentence1": row["en"], "sentence2": other, "label": ("no", "yes")[i % 2]}
        for i, (row, other) in enumerate(zip(rows, others, strict=True))
    ]


def several() -> list[dict[str, object]]:
    rows = [row["en"].split() for row in pairs(NUM_ROWS)]
    return [
        {"text": " ".join(row), "labels": [k for k, words in KINDS.items() if words & set(row)]}
        for row in rows
    ]


def scored() -> list[dict[str, object]]:
    return [{"text": row["en"], "score": 0.25 + 10 * len(row["en"])} for row in pairs(NUM_ROWS)]


def tagged() -> dict[str, list[list[str]]]:
    rows = [row["en"].split() for row in pairs(NUM_ROWS)]
    kind_of = {word: f"B-{kind}" for kind, words in KINDS.items() for word in words}
    return {"tokens": rows, "ner_tags": [[kind_of.get(w, "O") for w in row] for row in rows]}


def asked() -> list[dict[str, object]]:
    """Questions of one word on contexts of six: what stands behind that word?"""
    draw = random.Random(0)
    words = sorted({w for row in pairs(200) for w in row["en"].split()})
    rows = []
    for _ in range(NUM_ROWS):
        context = draw.sample(words, 6)
        place = draw.randrange(5)
        text = " ".join(context)
        answer = context[place + 1]
        start = len(" ".join(context[: place + 1])) + 1
        answers = {"text": [answer], "answer_start": [start]}
        rows.append({"question": context[place], "context": text, "answers": answers})
    return rows


def summarised() -> list[dict[str, object]]:
    return [{"article": row["en"], "summary": row["en"].split()[0]} for row in pairs(NUM_ROWS)]


TASKS = {
    "classes": (labelled, ("bert", "gpt2", "llama", "t5", "mt5", "bart")),
    "pairs": (paired, ("bert", "gpt2", "t5")),
    "several classes": (several, ("bert", "gpt2", "t5")),
    "numbers": (scored, ("bert", "gpt2", "t5")),
    "entities": (tagged, ("bert", "gpt2", "llama", "t5", "mt5")),
    "answers": (asked, ("bert", "gpt2", "llama", "t5", "mt5", "bart")),
    "translation": (lambda: pairs(NUM_ROWS), ("t5", "mt5", "bart", "marian", "gpt2", "llama")),
    "summaries": (summarised, ("t5", "bart", "gpt2")),
}


WRITTEN = ("translation", "summaries")
# Until a decoder no longer writes the same for every row, and before rounding has grown.
EPOCHS = {"t5": 2, "mt5": 2, "marian": 8}


def model_of(family: str, folder: Path) -> str:
    """Write a model without dropout, whose first weights are large enough to tell texts apart."""
    if family == "bert":
        return write_mini_model(
            folder,
            initializer_range=0.5,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    name = "chat" if family == "llama" else family
    return write_model(folder, name, dropout=0.0, deviation=0.2)


@pytest.mark.parametrize(
    ("task", "family"), [(task, family) for task, (_, some) in TASKS.items() for family in some]
)
def test_losses_and_answers_are_those_of_trainer(tmp_path, task, family):
    run = make_run(
        tmp_path / "runs",
        model=model_of(family, tmp_path / "model"),
        data=TASKS[task][0](),
        validation=False,
        num_train_epochs=EPOCHS.get(family, 4) if task in WRITTEN else 1,
        learning_rate=1e-2 if task in WRITTEN else 1e-3,
    )
    ours, training = train_ours(run)
    theirs = train_theirs(run, training, tmp_path / "trainer")
    assert len(ours.losses) == run.plan.num_steps
    packs = family in ("bert", "gpt2", "llama")
    assert (training.take_step._packed is not None) == run.plan.packed == packs
    assert ours.losses == pytest.approx(theirs.losses, rel=1e-5, abs=1e-5)
    assert ours.eval_loss == pytest.approx(theirs.eval_loss, rel=1e-5, abs=1e-5)
    if task == "numbers":
        assert ours.said == pytest.approx(theirs.said, abs=0.01)  # of hundreds
    else:
        assert ours.said == theirs.said
    assert len({str(one) for one in ours.said}) > 1  # it does not always say the same
