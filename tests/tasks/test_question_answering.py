"""Questions from tables to checked rows, and from decoded spans to what a user reads."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from nbtransfer.data.encoding import Encoding, Ragged
from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError, SpecError
from nbtransfer.tasks.catalog import choose_task
from nbtransfer.tasks.question_answering import (
    Answer,
    QuestionAnswering,
    _trimmed,
    say_answers,
)

CONTEXT = "Ann Lee opened the mill in 1901. Her son Tom Lee sold it in 1950."
TASK = QuestionAnswering()


def squad(answers, context=CONTEXT, question="Who opened the mill?"):
    return [{"question": question, "context": context, "answers": answers}]


def rows(data, **options):
    return TASK.prepare(load_tables(data, name="df"), {}, validation=False, **options)


def train(data):
    return rows(data).splits["train"].select(["answers", "starts"]).to_pylist()[0]


@pytest.mark.parametrize(
    "data",
    [
        squad({"text": ["Ann Lee"], "answer_start": [0]}),
        squad([{"text": "Ann Lee", "answer_start": 0}]),
        squad({"text": "Ann Lee", "answer_start": 0}),
        squad({"text": ["Ann Lee"], "answer_start": 3}),
        squad("Ann Lee"),
        squad(["Ann Lee"]),
        [{"question": "Who?", "context": CONTEXT, "answer": "Ann Lee", "answer_start": 0}],
        [{"question": "Who?", "context": CONTEXT, "answer": "Ann Lee", "answer_start": 0.0}],
        [{"question": "Who?", "passage": CONTEXT, "answer_text": "Ann Lee"}],
        pd.DataFrame(squad({"text": np.array(["Ann Lee"]), "answer_start": np.array([0])})),
    ],
)
def test_every_form_of_answers_is_read(data):
    assert train(data) == {"answers": ["Ann Lee"], "starts": [0]}


@pytest.mark.parametrize("year", [{"text": 1901}, {"text": [1901]}, 1901, 1901.0])
def test_a_number_is_an_answer_too(year):
    assert train(squad(year)) == {"answers": ["1901"], "starts": [27]}


@pytest.mark.parametrize(
    ("yes", "no"), [(True, False), (1, 0), (1.0, float("nan")), ("True", "False"), ("true", None)]
)
def test_a_question_that_is_called_impossible_has_no_answer(yes, no):
    row = squad("nowhere in the context")[0]
    found = rows([{**row, "is_impossible": yes}, {**squad("Ann Lee")[0], "is_impossible": no}])
    assert found.splits["train"]["answers"].to_pylist() == [[], ["Ann Lee"]]
    assert found.card.num_unanswerable == {"train": 1}
    note = "1 question of df without an answer, as column 'is_impossible' says (first: row 0)"
    assert note in found.card.notes


def test_prepared_rows_have_the_task_s_own_columns():
    prepared = rows(squad({"text": ["1950"], "answer_start": [60]}))
    assert prepared.splits["train"].column_names == [
        *("question", "context", "answers", "starts", "row")
    ]
    card = prepared.card
    assert card.roles == {"question": "question", "context": "context", "answers": "answers"}
    assert "question column: 'question'; context column: 'context'" in card.notes[0]
    assert not card.has_unanswerable and card.label_names == ()


@pytest.mark.parametrize("empty", [{"text": [], "answer_start": []}, None, "", []])
def test_a_question_without_an_answer_is_taught_as_one(empty):
    form = {dict: {"text": ["1950"], "answer_start": [60]}, list: ["1950"]}
    prepared = rows(squad(empty) + squad(form.get(type(empty), "1950")))
    assert prepared.splits["train"]["answers"].to_pylist() == [[], ["1950"]]
    assert prepared.card.num_unanswerable == {"train": 1} and prepared.card.has_unanswerable
    assert any("1 of 2 questions have no answer" in note for note in prepared.card.notes)


def test_a_start_that_is_off_is_mended_and_said():
    prepared = rows(squad({"text": ["Lee", "Tom"], "answer_start": [6, 44]}))
    assert prepared.splits["train"]["starts"].to_pylist() == [[4, 41]]
    assert any(
        "off by up to 3 characters for 2 answers of df (first: row 0): the nearest place" in note
        for note in prepared.card.notes
    )


def test_answers_without_a_start_are_found_and_said():
    notes = rows(squad("1901")).card.notes
    assert "1 answer of df without a start: found in the context" in notes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (squad("Bob"), r"row 0 of df: the answer 'Bob' does not occur in its context\. It must be"),
        (squad("ann lee"), r"does not occur in its context with this case\."),
        (squad("Lee"), r"the answer 'Lee' occurs 2 times in its context\. Say which"),
        (
            squad({"text": ["Lee"], "answer_start": [4000]}),
            r"answer_start is 4,000, and the answer 'Lee' occurs 2 times elsewhere .* at 45\. Mend",
        ),
        (squad("ok") + squad("mill") + squad("no"), r"row 0 .*'ok' .* \(and 1 more row\)"),
        (squad({"text": ["1901", "Tom"], "answer_start": [27]}), "2 answers and 1 start"),
        (squad({"text": [""], "answer_start": [0]}), "the answer '' is no text"),
        (
            [{"question": "Who?", "context": CONTEXT, "answer": "Ann", "answer_start": 0.5}],
            r"answer_start is 0\.5\. Give the number of the first character",
        ),
        (
            [{"question": "Who?", "context": CONTEXT, "answer": "Ann", "answer_start": "x"}],
            "answer_start is 'x'",
        ),
        (
            squad({"text": ["Ann"], "answer_start": [float("inf")]}),
            "answer_start is inf. Give the number",
        ),
        (squad({"text": [True], "answer_start": [0]}), "the answer True is no text"),
        (
            [{**squad("Ann Lee")[0], "is_impossible": "maybe"}],
            "column 'is_impossible' holds 'maybe'. Give True or False",
        ),
        (squad("1901", question=" "), r"every question of df is missing or empty .* --question"),
        (squad("1901", context=""), r"every context of df is missing or empty .* --context"),
        (squad({"text": [], "answer_start": []}), "no training row of df has an answer"),
        (squad("1901") + squad({"text": ["1901"]}), r"mixes texts with a dict \(row 1\)"),
    ],
)
def test_bad_answers_are_named(data, message):
    with pytest.raises(DataError, match=message):
        rows(data)


def test_empty_questions_and_contexts_are_left_out_and_said():
    data = squad("1901") + squad("1901", question="") + squad("1901", context=None)
    prepared = rows(data)
    assert prepared.splits["train"]["row"].to_pylist() == [0]
    said = " ".join(prepared.card.notes)
    assert "1 row is left out of df: no question (first: row 1)" in said
    assert "1 row is left out of df: no context (first: row 2)" in said


def test_a_missing_column_is_offered_and_named_ones_are_taken():
    data = [{"ask": "Who?", "story": CONTEXT, "reply": "Ann Lee"}]
    tables = load_tables(data, name="df")
    named = {"question": "ask", "context": "story", "answers": "reply"}
    prepared = TASK.prepare(tables, named, validation=False)
    assert prepared.card.roles == named
    with pytest.raises(DataError, match=r"no column 'stori' in df.*Did you mean --context story\?"):
        TASK.prepare(tables, {**named, "context": "stori"}, validation=False)
    with pytest.raises(DataError, match=r"no column of questions in df\. Columns: ask, story"):
        TASK.prepare(tables, {}, validation=False)
    with pytest.raises(DataError, match="'story' is named for two roles"):
        TASK.prepare(tables, {**named, "question": "story"}, validation=False)


@pytest.mark.parametrize(
    ("row", "columns", "task"),
    [
        ({"question": "q", "context": "c", "answers": "c"}, {}, "question-answering"),
        ({"query": "q", "passage": "c", "answer": "c", "n": 1}, {}, "question-answering"),
        ({"question": "q", "label": 1}, {}, "text-classification"),
        ({"q": "q", "c": "c", "a": "c"}, {"context": "c"}, "question-answering"),
        (
            {"question": "q", "context": "c", "answers": "c", "label": 1},
            {"text": "question", "label": "label"},
            "text-classification",
        ),
    ],
)
def test_the_task_is_recognised(row, columns, task):
    assert choose_task(None, load_tables([row], name="df"), columns).name == task


def test_a_column_of_another_task_is_refused():
    with pytest.raises(SpecError, match="question answering has no column 'label'; it reads ques"):
        choose_task("question-answering", load_tables(squad("1901")), {"label": "x"})


def many(num_contexts, each=3):
    return [
        {"question": f"Who is {i}-{j}?", "context": f"Mr {i} met Mrs {j}.", "answers": f"Mr {i}"}
        for i in range(num_contexts)
        for j in range(each)
    ]


def test_held_out_rows_are_of_other_contexts():
    data = [row | {"context": f"{row['answers']} was here."} for row in many(20)]
    prepared = TASK.prepare(load_tables(data), {}, validation=0.2)
    train_rows, validation = prepared.splits["train"], prepared.splits["validation"]
    assert validation.num_rows == 12 and train_rows.num_rows == 48
    shared = set(train_rows["context"].to_pylist()) & set(validation["context"].to_pylist())
    assert not shared and not prepared.card.num_overlap["validation"]
    assert "validation: 4 of 20 contexts, seed 42: 12 rows" in prepared.card.notes


def test_given_splits_that_share_contexts_are_warned_of():
    data = {"train": many(3), "dev": many(3)[:1] + many(5)[-1:]}
    card = TASK.prepare(load_tables(data), {}).card
    assert card.num_rows == {"train": 9, "validation": 2}
    assert "1 validation question also in train." in card.warnings
    assert any("1 validation context also in train" in warning for warning in card.warnings)


def test_one_context_leaves_nothing_to_hold_out():
    card = TASK.prepare(load_tables(squad("1901") * 3), {}).card
    assert card.num_rows == {"train": 3}
    assert "nothing is held out for validation: all questions share one context." in card.warnings


def test_a_test_split_without_answers_is_not_used():
    data = {"train": many(4), "test": [row | {"answers": None} for row in many(2)]}
    card = TASK.prepare(load_tables(data), {}, validation=False).card
    assert "test" not in card.num_rows
    assert "the test split is not used: it has no answers" in card.notes


NESTED = {
    "version": "v2.0",
    "data": [
        {
            "title": "Mill",
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [
                        {
                            "id": "1",
                            "question": "When was it opened?",
                            "answers": [{"text": "1901", "answer_start": 27}],
                            "is_impossible": False,
                        },
                        {
                            "id": "2",
                            "question": "Who owns it today?",
                            "answers": [],
                            "plausible_answers": [{"text": "Tom Lee", "answer_start": 41}],
                            "is_impossible": True,
                        },
                    ],
                }
            ],
        }
    ],
}


def test_squad_s_nested_files_and_objects_are_read(tmp_path):
    for indent in (None, 2):
        file = tmp_path / f"squad{indent}.json"
        file.write_text(json.dumps(NESTED, indent=indent))
        for data in (str(file), NESTED):
            prepared = rows(data)
            assert prepared.splits["train"]["answers"].to_pylist() == [["1901"], []]
            assert prepared.card.has_unanswerable


def test_a_nested_file_that_breaks_off_is_named(tmp_path):
    broken = json.loads(json.dumps(NESTED))
    del broken["data"][0]["paragraphs"][0]["qas"][1]["question"]
    file = tmp_path / "squad.json"
    file.write_text(json.dumps(broken))
    with pytest.raises(DataError, match="paragraph 0 of article 0 has no 'question'"):
        rows(str(file))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Who?", r"input 0 is 'Who\?', a str\. Give each question with its context"),
        ({"question": "Who?"}, "input 0 has no 'context'"),
        ({"question": "Who?", "contxt": "c"}, "has no 'context'. Is it 'contxt'"),
        ({"question": "", "context": "c"}, "the question of input 0 is ''"),
        ({"question": "Who?", "context": 3}, "the context of input 0 is 3"),
    ],
)
def test_inputs_that_are_no_questions_are_named(value, message):
    with pytest.raises(DataError, match=message):
        TASK.inputs([value], None)


def said(context, places, start, end, may_be_none):
    """Ask `say_answers` about one window: a null token, then tokens at `places`."""
    offsets = np.array([0, 1 + len(places)])
    begins, ends = zip(*[(-1, -1), *places], strict=True)
    encoding = Encoding(
        tokens=Ragged(np.zeros(offsets[-1], np.int32), offsets),
        sources=np.zeros(1, np.int64),
        details={
            "starts": np.array(begins),
            "ends": np.array(ends),
            "null": np.zeros(1, np.int64),
        },
    )
    answers = {"start": Ragged(np.array(start), offsets), "end": Ragged(np.array(end), offsets)}
    return say_answers(answers, encoding, [context], may_be_none)[0]


def test_the_best_span_is_said_without_space_around_it():
    found = said("to  Lund ", [(0, 2), (2, 9)], [9.0, 0, 3], [9.0, 0, 3], False)
    assert (found.answer, found.start, found.end) == ("Lund", 4, 8)
    total = 1 + np.exp(-3) + np.exp(-6)
    assert found.score == pytest.approx(1 / total) and found.no_answer_score == 0


@pytest.mark.parametrize(
    ("start", "end", "found"), [(1, 2, (1, 1)), (0, 4, (0, 4)), (1, 4, (3, 4)), (0, 3, (0, 1))]
)
def test_a_span_ends_nowhere_before_it_starts(start, end, found):
    assert _trimmed("a  b", start, end) == found


@pytest.mark.parametrize(("null", "answer"), [(2.9, "Lund"), (3.1, "")])
def test_no_answer_is_said_where_its_score_is_above_the_best_span_s(null, answer):
    found = said("to Lund", [(0, 2), (3, 7)], [null, 0, 3], [null, 0, 3], True)
    assert found.answer == answer
    shares = np.exp(np.array([2 * null, 6, 3, 0]))
    assert found.no_answer_score == pytest.approx(shares[0] / shares.sum())
    assert found.score == pytest.approx(max(shares) / shares.sum())


def test_a_context_without_tokens_has_no_answer():
    found = said("\u200b", [], [0.0], [0.0], False)
    assert found == Answer("", 1.0, 0, 0, 0.0)


def test_results_carry_places_and_a_table_s_cells():
    table = pa.table(
        {
            "predicted": ["Lund", ""],
            "start": [3, 0],
            "end": [7, 0],
            "probability": [0.5, 0.75],
            "p_no_answer": [0.0, 0.75],
        }
    )
    first, second = TASK.results(table, None)
    assert first == Answer("Lund", 0.5, 3, 7)
    assert second.cells() == {"answer": "no answer", "probability": "75.0 %"}
