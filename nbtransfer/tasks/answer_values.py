"""Reading answers, in whatever form they are given, as places in their contexts.

An answer is a part of its context. SQuAD's form holds texts and where each starts; flat columns
hold one text and one start; a text alone is looked for. A start that is off is mended where it is
clear which place is meant, and said; anything else is refused with its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.data.columns import column_facts, with_article
from nbtransfer.errors import count_of, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa

_TRUTHS = {"true": True, "1": True, "1.0": True}
_TRUTHS |= {"false": False, "0": False, "0.0": False, "none": False, "nan": False}
NEAR = 32  # characters by which a start may be off where its answer stands several times


class RightAnswers(NamedTuple):
    """The right answers of each question, none where it has none.

    Attributes:
        texts: as they stand in the context.
        starts: their first characters.
    """

    texts: list[list[str]]
    starts: list[list[int]]


class _Wrong(Exception):
    """What is wrong with one row's answers."""


class _Counts:
    """What had to be done to rows, and the first row of each kind."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[int, int]] = {}
        self.farthest = 0

    def add(self, kind: str, row: int) -> None:
        count, first = self.found.get(kind, (0, row))
        self.found[kind] = (count + 1, first)


def read_answers(
    table: pa.Table,
    contexts: Sequence[str],
    rows: np.ndarray,
    columns: tuple[str, str | None, str | None],
    data: str,
    problems: list[str],
    notes: list[str],
) -> RightAnswers | None:
    """Return the answers of `rows`; None, and a problem that names the first bad row.

    Args:
        table: the data as read.
        contexts: one for each of `rows`.
        rows: numbers of the rows to read, int array.
        columns: of the answers, of their starts, and of what says that there is none; None where
            there is no such column.
        data: what to call the data.
        problems: what is wrong is added here.
        notes: choices made are added here.
    """
    name, start_name, impossible_name = columns
    facts = column_facts(table.schema.field(name))
    where = f"answer column {quoted(name)} of {data}"
    if facts.num_objects:
        problems.append(
            f"{where} mixes texts with {with_article(facts.object_type)} (row "
            f"{facts.first_object:,}). Give each row one form: a text, or "
            "{'text': [...], 'answer_start': [...]}."
        )
        return None
    values = table.column(name).take(rows).to_pylist()
    starts: list[Any] = [None] * len(values)
    if start_name is not None:
        starts = table.column(start_name).take(rows).to_pylist()
    impossible: list[Any] = [False] * len(values)
    if impossible_name is not None and impossible_name in table.column_names:
        impossible = table.column(impossible_name).take(rows).to_pylist()
    counts = _Counts()
    found = RightAnswers([], [])
    wrong: list[tuple[int, str]] = []
    each = zip(rows.tolist(), values, starts, impossible, contexts, strict=True)
    for row, value, start, is_impossible, context in each:
        try:
            given = []
            if _truth(is_impossible, impossible_name):
                counts.add("impossible", row)
            else:
                given = _pairs(value, start)
            placed = [_place(text, at, context, row, counts) for text, at in given]
        except _Wrong as error:
            wrong.append((row, str(error)))
            continue
        found.texts.append([text for text, _ in placed])
        found.starts.append([at for _, at in placed])
    if wrong:
        row, reason = wrong[0]
        more = f" (and {count_of(len(wrong) - 1, 'more row')})" if len(wrong) > 1 else ""
        problems.append(f"row {row:,} of {data}: {reason}{more}")
        return None
    notes += _said(counts, impossible_name, data)
    return found


def _pairs(value: Any, start: Any) -> list[tuple[str, int | None]]:  # noqa: ANN401 -- data of a user
    """Return texts with their starts, whatever form they are given in."""
    if isinstance(value, Mapping):
        texts, starts = _listed(value.get("text")), _listed(value.get("answer_start"))
    elif isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
        texts = [one.get("text") for one in value]
        starts = [one.get("answer_start") for one in value]
    elif isinstance(value, list):
        texts, starts = value, _listed(start)
    else:
        texts = [str(_number_as_text(one)) for one in _listed(value) if str(one).strip()]
        starts = _listed(start)[: len(texts)]
    texts = [_number_as_text(text) for text in texts]
    if starts and len(starts) != len(texts):
        raise _Wrong(
            f"it has {count_of(len(texts), 'answer')} and {count_of(len(starts), 'start')}. Give "
            "one start an answer."
        )
    starts = starts or [None] * len(texts)
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise _Wrong(
                f"the answer {quoted(text)} is no text. Leave the answer out where the question "
                "has none."
            )
    return [(text, _whole(at)) for text, at in zip(texts, starts, strict=True)]


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 -- data of a user
    """Return a list as it is, and what stands alone as a list of it; of nothing, an empty one."""
    if isinstance(value, list):
        return value
    return [] if value is None or value != value else [value]


def _number_as_text(answer: Any) -> Any:  # noqa: ANN401 -- data of a user
    """Return the year 1987, or 1987.0 as pandas has it beside missing values, as `1987`."""
    if isinstance(answer, bool) or not isinstance(answer, (int, float)):
        return answer
    return str(int(answer) if float(answer).is_integer() else answer)


def _truth(value: Any, column: str | None) -> bool:  # noqa: ANN401 -- data of a user
    found = _TRUTHS.get(str(value).casefold())
    if found is None:
        raise _Wrong(f"column {quoted(column)} holds {quoted(value)}. Give True or False.")
    return found


def _whole(start: Any) -> int | None:  # noqa: ANN401 -- data of a user
    if start is None or start != start:  # NaN, as pandas has it where a number is missing
        return None
    is_number = isinstance(start, (int, float)) and not isinstance(start, bool)
    if not is_number or not float(start).is_integer():
        raise _Wrong(f"answer_start is {quoted(start)}. Give the number of the first character.")
    return int(start)


def _place(
    text: str, start: int | None, context: str, row: int, counts: _Counts
) -> tuple[str, int]:
    """Return the answer and its first character, as they stand in the context."""
    if start is not None and start >= 0 and context.startswith(text, start):
        return text, start
    places = _places(text, context)
    if not places:
        folded = _places(text.casefold(), context.casefold())
        hint = " with this case" if folded else ""
        raise _Wrong(
            f"the answer {quoted(text)} does not occur in its context{hint}. It must be a part of "
            "the context, letter by letter."
        )
    if start is None:
        if len(places) > 1:
            raise _Wrong(
                f"the answer {quoted(text)} occurs {len(places)} times in its context. Say which "
                "with a column answer_start, the number of its first character."
            )
        counts.add("located", row)
        return text, places[0]
    nearest = min(places, key=lambda place: abs(place - start))
    if len(places) > 1 and abs(nearest - start) > NEAR:
        raise _Wrong(
            f"answer_start is {start:,}, and the answer {quoted(text)} occurs {len(places)} times "
            f"elsewhere in its context, the nearest at {nearest:,}. Mend answer_start."
        )
    counts.add("mended", row)
    counts.farthest = max(counts.farthest, abs(nearest - start))
    return text, nearest


def _places(text: str, context: str) -> list[int]:
    found, place = [], context.find(text)
    while place >= 0:
        found.append(place)
        place = context.find(text, place + 1)
    return found


def _said(counts: _Counts, impossible: str | None, data: str) -> list[str]:
    notes = []
    if "impossible" in counts.found:
        count, first = counts.found["impossible"]
        notes.append(
            f"{count_of(count, 'question')} of {data} without an answer, as column "
            f"{quoted(impossible)} says (first: row {first:,})"
        )
    if "located" in counts.found:
        count, _ = counts.found["located"]
        notes.append(f"{count_of(count, 'answer')} of {data} without a start: found in the context")
    if "mended" in counts.found:
        count, first = counts.found["mended"]
        notes.append(
            f"answer_start was off by up to {count_of(counts.farthest, 'character')} for "
            f"{count_of(count, 'answer')} of {data} (first: row {first:,}): the nearest place "
            "where the answer stands is taken"
        )
    return notes
