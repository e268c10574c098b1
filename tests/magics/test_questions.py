"""`%predict` on a run that answers questions."""

import dataclasses
import json

import pandas as pd
import pyarrow as pa
import pytest

from nbtransfer.errors import DataError, SpecError
from nbtransfer.tasks.question_answering import Answer
from tests.runs.folders import completed, make_run, write_events

STORY = "Ann Lee opened the mill."
ASKED = {"question": "Who opened it?", "context": STORY}


@pytest.fixture
def asked(monkeypatch, runs_dir):
    run = make_run(runs_dir, "qa")
    card = dataclasses.replace(run.data_card, task="question-answering", label_names=())
    run.paths.data_card.write_text(json.dumps(card.to_json()))
    write_events(run, completed(6))
    seen = []

    def predict(run, given):
        seen.append(list(given.begin()))
        return [Answer("Ann Lee", 0.75, 0, 7) for _ in seen[-1]]

    monkeypatch.setattr("nbtransfer.api.predict", predict)
    return seen


@pytest.fixture
def variables(cells, tmp_path):
    pd.DataFrame([ASKED]).to_csv(tmp_path / "story.csv")
    cells.names["story"] = STORY
    cells.names["one"] = ASKED
    cells.names["several"] = [ASKED, ASKED]
    cells.names["df"] = pd.DataFrame([ASKED])
    cells.names["table"] = pa.table({role: [text] for role, text in ASKED.items()})
    cells.names["number"] = 3


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ('--question "Who opened it?" --context story', 1),
        (f'--question "Who opened it?" --context "{STORY}"', 1),
        ("one", 1),
        ("several", 2),
        ("df", 1),
        ("table one", 2),
        ("story.csv", 1),
    ],
)
def test_questions_of_a_line(cells, asked, variables, line, count):
    ran = cells.ok(f"found = %predict qa {line}")
    assert asked == [[ASKED] * count]
    assert cells.names["found"] == [Answer("Ann Lee", 0.75, 0, 7)] * count
    assert "Who opened it?" in ran.shown and "Ann Lee" in ran.shown and "75.0 %" in ran.shown


def test_the_newest_run_is_asked_where_none_is_named(cells, asked, variables):
    cells.ok('%predict --question "Who opened it?" --context story')
    assert asked == [[ASKED]]


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ('--question "Who?"', DataError, '--context is missing: %predict qa --question "Who ...?"'),
        ("--context story", DataError, "--question is missing"),
        ('"Who opened it?"', DataError, "'Who opened it?' has no context to look in. Ask %predict"),
        ("sevral", DataError, "Did you mean the variable several?"),
        ("number", DataError, "number is 3. Give a dict of question and context"),
        ("story", DataError, "Give a dict of question and context, a list of them, or a table"),
        ('--question "Who?" --context stroy', DataError, "no variable 'stroy', and one word is no"),
        ('--question "Who?" --context number', DataError, "number is 3, not a text"),
        ('one --question "Who?" --context story', DataError, "'one' stands beside --question"),
        ("", DataError, "no text is given"),
    ],
)
def test_a_mistake_is_named(cells, asked, variables, line, kind, message):
    error = cells.run(f"%predict qa {line}").error
    assert isinstance(error, kind) and message in str(error)
    assert not asked


def test_a_run_of_another_task_answers_no_questions(cells, runs_dir):
    write_events(make_run(runs_dir, "plain"), completed(6))
    error = cells.run('%predict plain --question "Who?" --context "Ann."').error
    assert isinstance(error, SpecError)
    assert "run 'plain' is trained for text-classification" in str(error)
