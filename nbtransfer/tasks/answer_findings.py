"""What a report shows of answers: each wrong one in its context, beside the right ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtransfer.tasks.answer_scores import score_answer
from nbtransfer.tasks.findings import AnswerRow, Findings, Mistake

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

MAX_ROWS = 50
_AROUND = 140  # characters of the context shown on each side of the answers
_MAX_EXCERPT = 700
_MAX_QUESTION = 300
_NO_ANSWER = "no answer"


def answer_findings(table: pa.Table, predictions: pa.Table) -> Findings:
    """Return the wrong answers, the surest first, as mistakes and in their contexts.

    Args:
        table: the rows, with answers and starts.
        predictions: what the task decoded of them.
    """
    said = predictions.select(["predicted", "start", "end", "probability"]).to_pylist()
    right = table["answers"].to_pylist()
    scores = [score_answer(a["predicted"], golds) for a, golds in zip(said, right, strict=True)]
    wrong = [i for i, score in enumerate(scores) if score.exact_match < 1]
    wrong.sort(key=lambda i: -said[i]["probability"])
    rows = table.take(wrong[:MAX_ROWS]).to_pylist()
    shown = [
        _answer_row(row, said[i], scores[i].f1)
        for row, i in zip(rows, wrong[:MAX_ROWS], strict=True)
    ]
    mistakes = tuple(
        Mistake(
            one.question,
            " / ".join(dict.fromkeys(row["answers"])) or _NO_ANSWER,
            said[i]["predicted"] or _NO_ANSWER,
            one.probability,
            one.row,
        )
        for one, row, i in zip(shown, rows, wrong[:MAX_ROWS], strict=True)
    )
    return Findings(mistakes=mistakes, answers=tuple(shown), num_wrong=len(wrong))


def _answer_row(row: dict[str, object], said: dict[str, object], f1: float) -> AnswerRow:
    golds = [
        (start, start + len(text))
        for text, start in zip(row["answers"], row["starts"], strict=True)  # type: ignore[call-overload]
    ]
    golds = sorted(dict.fromkeys(golds))
    predicted = (said["start"], said["end"]) if said["predicted"] else None
    context, golds, predicted = excerpt(str(row["context"]), golds, predicted)  # type: ignore[arg-type]
    question = str(row["question"])
    return AnswerRow(
        question=question if len(question) <= _MAX_QUESTION else question[:_MAX_QUESTION] + "…",
        context=context,
        right=tuple(golds),
        predicted=predicted,
        f1=f1,
        probability=float(said["probability"]),  # type: ignore[arg-type]
        row=int(row["row"]),  # type: ignore[call-overload]
    )


Place = tuple[int, int]


def excerpt(
    context: str, right: Sequence[Place], predicted: Place | None
) -> tuple[str, list[Place], Place | None]:
    """Return the part of a context around its answers, and their places in it.

    Args:
        context: the whole context.
        right: first character and the one after the last of each right answer.
        predicted: the same of the answer given, None for "there is no answer".

    Returns:
        At most about 700 characters; a place beyond them is left out, the predicted one becoming
        None.
    """
    places = [*right, *([] if predicted is None else [predicted])]
    begin = max(0, min((p[0] for p in places), default=0) - _AROUND)
    end = min(len(context), max((p[1] for p in places), default=0) + _AROUND)
    if end - begin > _MAX_EXCERPT and places:
        begin = max(0, places[0][0] - _AROUND)
        end = min(len(context), begin + _MAX_EXCERPT)
    # Whole words at both ends.
    lowest = max(0, begin - _AROUND)
    while begin > lowest and not context[begin - 1].isspace():
        begin -= 1
    while end < len(context) and not context[end].isspace() and end - begin < 2 * _MAX_EXCERPT:
        end += 1
    before, after = "… " if begin else "", " …" if end < len(context) else ""

    def moved(place: Place) -> Place | None:
        if place[0] < begin or place[1] > end:
            return None
        shift = len(before) - begin
        return place[0] + shift, place[1] + shift

    kept = [new for place in right if (new := moved(place)) is not None]
    return (
        f"{before}{context[begin:end]}{after}",
        kept,
        None if predicted is None else moved(predicted),
    )
