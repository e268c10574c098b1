"""A run's `model/`, copied to where its run is not, answers as the run did: every task."""

from __future__ import annotations

import shutil
from typing import Any, NamedTuple

import pytest

from nbtransfer import api
from nbtransfer.errors import RunError
from nbtransfer.tasks.catalog import TASKS
from tests.engine import language_jobs, pairs
from tests.engine.asking import answer_afresh, answer_here
from tests.engine.jobs import make_run, reviews, work, write_mini_model
from tests.engine.question_jobs import questions
from tests.engine.test_entities import moves
from tests.engine.test_text_tasks import rows_of

pytestmark = pytest.mark.slow


class Job(NamedTuple):
    """The data of a small run and what its model is asked; the model is written by `base`."""

    data: Any
    asked: list[Any]
    base: Any = write_mini_model
    options: dict[str, Any] = {}  # noqa: RUF012 -- never changed


def language(family, asked, task):
    return Job(
        language_jobs.documents(24),
        asked,
        lambda folder: language_jobs.write_model(folder, family),
        {"task": task},
    )


def writing(family, **options):
    asked = ["open the file", "print all"]
    return Job(pairs.pairs(24), asked, lambda folder: pairs.write_model(folder, family), options)


PAIR = {"sentence1": "a warm day", "sentence2": "a cold night"}
ASKED = {"question": "where does anna live?", "context": "anna lives in rome."}
GAP = ["the worker writes the [MASK]."]
JOBS = {
    "text-classification": Job(reviews(24), ["a lovely film", "a dull meal", ""]),
    "text-classification of pairs": Job(rows_of("pairs", 24), [PAIR]),
    "multi-label-classification": Job(rows_of("several", 24), ["a soup day", "an actor day"]),
    "text-regression": Job(rows_of("score", 24), ["a warm warm day", "a day"]),
    "token-classification": Job(moves(24), ["Ada moved to Paris.", ["Ada", "moved"]]),
    "question-answering": Job(questions(24), [ASKED]),
    "translation": writing("t5"),
    "translation in a prompt": writing("gpt2"),
    "summarization": writing("bart", task="summarization", source="en", target="fr"),
    "masked-language-modeling": language("bert", GAP, "masked-language-modeling"),
    "causal-language-modeling": language("gpt2", ["the worker"], "causal-language-modeling"),
    "span-corruption": language("t5", GAP, "span-corruption"),
}


def test_every_task_is_tried():
    assert {name.split(" of ")[0].split(" in ")[0] for name in JOBS} == set(TASKS)


@pytest.mark.parametrize("name", JOBS)
def test_a_copied_model_folder_answers_as_its_run_did(tmp_path, monkeypatch, name):
    job = JOBS[name]
    run = make_run(
        tmp_path / "runs", model=job.base(tmp_path), data=job.data, max_steps=2, **job.options
    )
    assert work(str(run.dir)), run.log()
    answer_here(monkeypatch)
    before = api.predict(run, job.asked)
    metrics = api.evaluate(run, job.data).metrics
    copy = shutil.copytree(run.paths.model_dir, tmp_path / "elsewhere" / "kept")
    shutil.rmtree(run.dir)
    answer_afresh(monkeypatch)
    model = api.open_run(copy)
    assert api.predict(model, job.asked) == before
    answer_here(monkeypatch)
    report = api.evaluate(copy, job.data)
    assert report.metrics == pytest.approx(metrics, nan_ok=True)
    assert report.predictions().num_rows == report.num_rows
    assert not list(copy.glob("*evaluation*"))
    with pytest.raises(RunError, match="without its run, and so without rows"):
        api.evaluate(copy)
