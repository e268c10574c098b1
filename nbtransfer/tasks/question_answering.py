"""Question answering: the part of a context that answers a question, or that there is none."""

# Shapes: N windows, R questions.
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.tasks.answer_findings import answer_findings
from nbtransfer.tasks.answer_scores import answer_metrics
from nbtransfer.tasks.answer_spans import best_spans
from nbtransfer.tasks.answer_windows import encode_windows
from nbtransfer.tasks.question_columns import ROLES, looks_like_questions
from nbtransfer.tasks.question_data import TASK, prepare_questions
from nbtransfer.tasks.question_inputs import question_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.encoding import Encoding
    from nbtransfer.data.tables import Tables
    from nbtransfer.tasks.findings import Findings
    from nbtransfer.tasks.task import Answers, Prepared, Tokenizer

# "No answer" is said where its score is above the best answer's by more than this.
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
        return prepare_questions(tables, columns, validation=validation, split_seed=split_seed)

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

        said = say_answers(answers, encoding, table["context"].to_pylist(), card.has_unanswerable)
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

    def tuned(self, answers: Answers, table: pa.Table, card: DataCard) -> DataCard:
        """Return the card as it is: nothing is decided on answers."""
        return card

    def inputs(self, values: Sequence[object], card: DataCard) -> pa.Table:
        """Return questions and their contexts."""
        return question_inputs(values)

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


def say_answers(
    answers: Answers, encoding: Encoding, contexts: Sequence[str], may_be_none: bool
) -> list[Answer]:
    """Return the best answer of each question over its windows.

    Probabilities are the softmax of the best spans' scores, "no answer" among them where a model
    was taught to say it (Devlin et al., 2019).

    Args:
        answers: `start` and `end` scores of the windows' tokens.
        encoding: the windows.
        contexts: of each question, R texts.
        may_be_none: whether "there is no answer" can be said.
    """
    import numpy as np

    from nbtransfer.data.encoding import Ragged

    empty = Ragged(np.zeros(0), np.zeros(1, np.int64))
    start, end = answers.get("start", empty), answers.get("end", empty)
    assert isinstance(start, Ragged)
    assert isinstance(end, Ragged)
    spans = best_spans(start, end, encoding, len(contexts))
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
        if may_be_none and null - scores[0] > NULL_THRESHOLD:
            said.append(Answer("", none / total, 0, 0, none / total))
            continue
        first, last = _trimmed(context, int(spans.starts[here][0]), int(spans.ends[here][0]))
        said.append(
            Answer(context[first:last], float(weights[0]) / total, first, last, none / total)
        )
    return said


def _trimmed(context: str, start: int, end: int) -> tuple[int, int]:
    """Return the span without space at its ends, which some tokenizers count to their tokens."""
    text = context[start:end]
    return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())
