"""Whatever a table holds, every task prepares it or refuses it in words of ours."""

from __future__ import annotations

import datetime

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtransfer.data.sources import load_tables
from nbtransfer.errors import NbTransferError
from nbtransfer.tasks.catalog import TASKS, choose_task, task_named

ODD_WORD = st.sampled_from(["", " ", "O", "B-PER", "\ud800", "\u200d", "1", "nan"])
ODD_NUMBER = st.sampled_from(
    [-1, 0, 1, 7, 2**63, True, False, 0.5, 1.0, 1e300, float("nan"), float("inf")]
)
SCALAR = st.one_of(
    ODD_WORD, ODD_NUMBER, st.none(), st.binary(max_size=2), st.just(datetime.date(2024, 1, 1))
)
MAYBE_LIST = st.one_of(SCALAR, st.lists(SCALAR, max_size=2))
KEYS = ("start", "end", "label", "text", "answer_start", "en", "fr")
OBJECT = st.dictionaries(st.sampled_from(KEYS), MAYBE_LIST, max_size=3)
ODD = st.one_of(MAYBE_LIST, OBJECT, st.lists(st.one_of(OBJECT, MAYBE_LIST), max_size=2))

TEXT = st.sampled_from(["Ada met Alan", "in Leeds", "it rained", "so she left", "a long way"])
SIDE = st.sampled_from(["un", "deux", "trois", "quatre", "cinq"])
SPAN = st.fixed_dictionaries(
    {"start": st.sampled_from([0, 0, 4, 8]), "end": st.sampled_from([3, 8, 8.0]), "label": SIDE}
)
ANSWER = st.fixed_dictionaries({"text": st.just(["e"]), "answer_start": st.just([1])})
# For each task, columns with values that it takes.
GOOD: dict[str, list[dict[str, st.SearchStrategy]]] = {
    "token-classification": [
        {
            "tokens": st.just(["Ada", "met", "Alan"]),
            "tags": st.sampled_from([["B-PER", "O", "B-PER"], ["O", "O", "I-LOC"]]),
        },
        {"text": TEXT, "spans": st.lists(SPAN, max_size=1)},
    ],
    "question-answering": [
        {"question": TEXT, "context": TEXT, "answers": ANSWER, "is_impossible": st.booleans()},
        {"question": TEXT, "context": TEXT, "answer": st.sampled_from(["Ada", "Leeds", ""])},
    ],
    "translation": [
        {"source": TEXT, "target": SIDE},
        {"translation": st.fixed_dictionaries({"en": TEXT, "fr": SIDE})},
    ],
    "summarization": [{"article": TEXT, "summary": SIDE}],
    "multi-label-classification": [
        {"text": TEXT, "labels": st.lists(SIDE, max_size=2)},
        {"text": TEXT, "labels": st.lists(st.integers(0, 1), min_size=3, max_size=3)},
        {"text": TEXT, "un": st.integers(0, 1), "deux": st.sampled_from([0, 1.0, True])},
    ],
    "text-regression": [{"text": TEXT, "text_pair": TEXT, "score": st.floats(0, 5)}],
    "text-classification": [{"sentence1": TEXT, "sentence2": SIDE, "label": SIDE}],
}
ROLES = ("text", "text_pair", "label", "answers", "tokens", "tags", "spans", "source", "target")


@st.composite
def frames(draw: st.DrawFn, name: str) -> pd.DataFrame:
    """Return a table that the task would take, but for a cell or a column here and there."""
    columns = draw(st.sampled_from(GOOD.get(name, [{"text": TEXT}])))
    rows = draw(st.integers(1, 6))
    found = {}
    for column, good in columns.items():
        kind = draw(st.sampled_from([good, good, good, st.one_of(good, ODD), ODD]))
        values = draw(st.lists(kind, min_size=rows, max_size=rows))
        found[column] = pd.Series(values, dtype=object)
    return pd.DataFrame(found)


@pytest.mark.parametrize("name", TASKS)
def test_any_frame_is_prepared_or_refused_by_us(name):
    task = task_named(name)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(frames(name), st.sampled_from([None, False, 0.5]), st.data())
    def check(frame: pd.DataFrame, validation: object, data: st.DataObject) -> None:
        columns: dict[str, str | None] = {"label": "un,deux"} if "un" in frame.columns else {}
        if data.draw(st.integers(0, 3)) == 3:
            role = data.draw(st.sampled_from([r for r in ROLES if r in task.roles]))
            columns[role] = data.draw(st.sampled_from([*frame.columns, "no"]))
        try:
            tables = load_tables(frame, name="df")
            choose_task(None, tables, columns)
            found = task.prepare(tables, columns, validation=validation)
        except NbTransferError as error:
            assert str(error)
            return
        num_rows = {split: table.num_rows for split, table in found.splits.items()}
        assert num_rows["train"] >= 1 and num_rows == found.card.num_rows
        # What a model could be trained on can be measured.
        again = task.prepare(tables, found.card.roles, validation=False, trained_on=found.card)
        assert again.splits["train"].num_rows >= num_rows["train"]

    check()
