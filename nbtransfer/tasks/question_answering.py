"""Question answering: the part of a context that answers a question, or that there is none."""

# Shapes: N windows, R questions.
from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.tasks.answer_findings import answer_findings
from nbtransfer.tasks.answer_scores import answer_metrics, best_null_threshold, score_answer
from nbtransfer.tasks.answer_spans import best_spans
from nbtransfer.tasks.answer_windows import encode_windows
from nbtransfer.tasks.question_columns import ROLES, looks_like_questions
from nbtransfer.tasks.question_data import TASK, prepare_questions
from nbtransfer.tasks.question_inputs import question_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.encoding import Encoding
    from nbtransfer.data.tables import Tables
    from nbtransfer.tasks.answer_spans import Spans
    from nbtransfer.tasks.findings import Findings
    from nbtransfer.tasks.task import Answers, Prepared, Tokenizer

# "No answer" is said where its score is above the best answer's by more than this, unless another
# difference was tuned on the validation questions.
NULL_THRESHOLD = 0.0


class QuestionAnswering:
    """Answers that are parts of a context (Rajpurkar et al., 2016, 2018)."""

    name = TASK
    title = "question answering"
    auto_class = "AutoModelForQuestionAnswering"
    roles = ROLES
    metrics = ("f1", "exact_match", "loss")
    techniques = ("full", "lora", "top:2", "head")
    reads_windows = True
    options = ()

    def recognises(self, tables: Tables, columns: Mapping[str, str | None]) -> bool:
        """Return whether there are questions, contexts and answers by name."""
        return looks_like_questions(tables, columns)

    def prepare(
        self,
        tables: Tables,
        columns: Mapping[str, str | None],
        *,
        validation: object = None,
        split_seed: int = 42,
        trained_on: DataCard | None = None,
    ) -> Prepared:
        """Return question, context, answers, starts (of each answer, in characters) and row."""
        return prepare_questions(
            tables,
            columns,
            validation=validation,
            split_seed=split_seed,
            learns=trained_on is None,
        )

    def texts(self, table: pa.Table) -> Sequence[pa.ChunkedArray]:
        """Return questions and contexts."""
        return table["question"], table["context"]

    def objective(self, card: DataCard) -> str:
        """Return that the two ends of a span are asked for."""
        return "spans"

    def encode(
        self, tokenizer: Tokenizer, table: pa.Table, max_length: int, card: DataCard
    ) -> Encoding:
        """Return windows of the contexts, each with its question."""
        return encode_windows(tokenizer, table, max_length)

    def decode(
        self,
        answers: Answers,
        encoding: Encoding,
        table: pa.Table,
        card: DataCard,
        tokenizer: Tokenizer,
    ) -> pa.Table:
        """Return question, context, answers (where known), predicted, start, end, probability, row.

        `predicted` is empty, and start and end 0, where the model says that there is no answer.
        """
        import pyarrow as pa

        contexts = table["context"].to_pylist()
        said = say_answers(
            answers, encoding, contexts, card.has_unanswerable, null_threshold_of(card)
        )
        known = "answers" in table.column_names
        return pa.table(
            {
                "question": table["question"],
                "context": table["context"],
                **({"answers": table["answers"]} if known else {}),
                "predicted": pa.array([one.answer for one in said], pa.string()),
                "start": pa.array([one.start for one in said], pa.int64()),
                "end": pa.array([one.end for one in said], pa.int64()),
                "probability": pa.array([one.score for one in said], pa.float64()),
                "p_no_answer": pa.array([one.no_answer_score for one in said], pa.float64()),
                **({"row": table["row"]} if known else {}),
            }
        )

    def measure(
        self, answers: Answers, loss: float, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> dict[str, float]:
        """Return F1, exact match and loss; of each kind of question where some have no answer."""
        said, right = predictions["predicted"].to_pylist(), table["answers"].to_pylist()
        return answer_metrics(said, right) | {"eval_loss": loss}

    def findings(
        self, answers: Answers, table: pa.Table, predictions: pa.Table, card: DataCard
    ) -> Findings:
        """Return answers in their contexts, wrong ones first."""
        return answer_findings(table, predictions)

    def tuned(
        self, answers: Answers, encoding: Encoding, table: pa.Table, card: DataCard
    ) -> DataCard:
        """Return the card with the threshold of "no answer" that gives these questions the best F1.

        Where every question has an answer, the card as it is.
        """
        if not card.has_unanswerable:
            return card
        contexts, right = (table[name].to_pylist() for name in ("context", "answers"))
        # No margin is infinite: with these, the best answer is always given, or never.
        best = say_answers(answers, encoding, contexts, True, float("inf"))
        margins = null_margins(answers, encoding, len(contexts))
        scores = [
            score_answer(one.answer, golds).f1 for one, golds in zip(best, right, strict=True)
        ]
        threshold = best_null_threshold(margins, scores, [not golds for golds in right])
        return dataclasses.replace(card, thresholds=(threshold,))

    def inputs(self, values: Sequence[object], card: DataCard, first: int = 0) -> pa.Table:
        """Return questions and their contexts."""
        return question_inputs(values, first)

    def results(self, predictions: pa.Table, card: DataCard) -> list[Answer]:
        """Return the answers with their places."""
        names = ("predicted", "probability", "start", "end", "p_no_answer")
        columns = [predictions[name].to_pylist() for name in names]
        return [Answer(*values) for values in zip(*columns, strict=True)]


class Answer(NamedTuple):
    """What a model says of one question.

    Attributes:
        answer: a part of the context; empty for "there is no answer".
        score: its probability among the 20 best answers.
        start: its first character in the context.
        end: the character after its last.
        no_answer_score: the probability of "there is no answer"; 0 where the model was taught
            that there always is one.
    """

    answer: str
    score: float
    start: int
    end: int
    no_answer_score: float = 0.0

    def cells(self) -> dict[str, str]:
        """Return what a table of predictions shows."""
        return {"answer": self.answer or "no answer", "probability": f"{100 * self.score:.1f} %"}


def null_threshold_of(card: DataCard) -> float:
    """Return by how much "no answer" must be ahead to be said."""
    return card.thresholds[0] if card.thresholds else NULL_THRESHOLD


def say_answers(
    answers: Answers,
    encoding: Encoding,
    contexts: Sequence[str],
    may_be_none: bool,
    null_threshold: float = NULL_THRESHOLD,
) -> list[Answer]:
    """Return the best answer of each question over its windows.

    Probabilities are the softmax of the best spans' scores, "no answer" among them where a model
    was taught to say it (Devlin et al., 2019).

    Args:
        answers: `start` and `end` scores of the windows' tokens.
        encoding: the windows.
        contexts: of each question, R texts.
        may_be_none: whether "there is no answer" can be said.
        null_threshold: by how much it must be ahead of the best answer to be said.
    """
    import numpy as np

    spans = _spans(answers, encoding, len(contexts))
    borders = np.searchsorted(spans.rows, np.arange(len(contexts) + 1))
    said = []
    for row, context in enumerate(contexts):
        here = slice(borders[row], borders[row + 1])
        scores, null = spans.scores[here], float(spans.null[row])
        if not len(scores):  # a context without a single token
            said.append(Answer("", 1.0, 0, 0, 1.0 if may_be_none else 0.0))
            continue
        top = max(scores[0], null) if may_be_none else scores[0]
        weights = np.exp(scores - top)
        none = float(np.exp(null - top)) if may_be_none else 0.0
        total = float(weights.sum()) + none
        if may_be_none and null - scores[0] > null_threshold:
            said.append(Answer("", none / total, 0, 0, none / total))
            continue
        first, last = _trimmed(context, int(spans.starts[here][0]), int(spans.ends[here][0]))
        said.append(
            Answer(context[first:last], float(weights[0]) / total, first, last, none / total)
        )
    return said


def null_margins(answers: Answers, encoding: Encoding, num_rows: int) -> np.ndarray:
    """Return by how much "no answer" is ahead of each question's best answer, float64 array (R,).

    Infinite where there is no answer to give: a context without a single token.
    """
    import numpy as np

    spans = _spans(answers, encoding, num_rows)
    best = np.full(num_rows, -np.inf)
    np.maximum.at(best, spans.rows, spans.scores)
    return spans.null - best


def _spans(answers: Answers, encoding: Encoding, num_rows: int) -> Spans:
    import numpy as np

    from nbtransfer.data.encoding import Ragged

    empty = Ragged(np.zeros(0), np.zeros(1, np.int64))
    start, end = answers.get("start", empty), answers.get("end", empty)
    assert isinstance(start, Ragged)
    assert isinstance(end, Ragged)
    return best_spans(start, end, encoding, num_rows)


def _trimmed(context: str, start: int, end: int) -> tuple[int, int]:
    """Return the span without space at its ends, which some tokenizers count to their tokens."""
    text = context[start:end].rstrip()
    return start + len(text) - len(text.lstrip()), start + len(text)
