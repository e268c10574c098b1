"""What a report shows besides its metrics: classes, confusions, mistakes and examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class ClassRow(NamedTuple):
    """How well one class is found; `support` counts its rows. A class without any scores 0."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


class Mistake(NamedTuple):
    """One wrong answer: `row` is the source's row.

    `probability` is what the model gave its answer, None where it gives none.
    """

    text: str
    actual: str
    predicted: str
    probability: float | None
    row: int


class AnswerRow(NamedTuple):
    """One wrong answer in its context.

    Attributes:
        question: what was asked.
        context: the part of the context around the answers.
        right: first character and the one after the last of each right answer, in `context`.
        predicted: the same of the answer given; None for "there is no answer".
        f1: how many words the two share.
        probability: what the model gave its answer.
        row: the source's row.
    """

    question: str
    context: str
    right: tuple[tuple[int, int], ...]
    predicted: tuple[int, int] | None
    f1: float
    probability: float
    row: int


class MarkedSpan(NamedTuple):
    """Characters `start` to `end` of a text, and what they are."""

    start: int
    end: int
    label: str


class MarkedText(NamedTuple):
    """A text with what is marked in it, `gold` rightly and `predicted` by the model.

    `row` is the source's row.
    """

    text: str
    gold: tuple[MarkedSpan, ...]
    predicted: tuple[MarkedSpan, ...]
    row: int


class Example(NamedTuple):
    """One text that was generated beside the one wanted: `score` is its chrF, from 0 to 100."""

    source: str
    target: str
    output: str
    score: float
    row: int


class Sample(NamedTuple):
    """A held-out text, what stands there, and what a language model says instead."""

    text: str
    right: str
    said: str


class Findings(NamedTuple):
    """What there is to see of some rows' answers; a task leaves empty what it has not.

    Attributes:
        labels: the classes' names, in the order of `confusion_matrix`.
        per_class: precision, recall, F1 and number of each class or type.
        confusion_matrix: rows are actual classes, columns predicted ones.
        interval: the 95 % interval (low, high) of the share of right answers, where one is counted.
        majority_accuracy: the accuracy of always saying the training rows' largest class.
        mistakes: wrong answers, the surest first; or for generated texts the worst.
        answers: wrong answers to questions in their contexts, the same rows as `mistakes`.
        num_wrong: wrong answers in all, where `confusion_matrix` does not say.
        marked: texts in which something is marked wrongly, the worst first.
        examples: generated texts beside those wanted, evenly spread over the rows.
        signatures: how a metric was counted, by its name, where that is not the same everywhere.
    """

    labels: tuple[str, ...] = ()
    per_class: tuple[ClassRow, ...] = ()
    confusion_matrix: tuple[tuple[int, ...], ...] = ()
    interval: tuple[float, float] | None = None
    majority_accuracy: float | None = None
    mistakes: tuple[Mistake, ...] = ()
    answers: tuple[AnswerRow, ...] = ()
    num_wrong: int | None = None
    marked: tuple[MarkedText, ...] = ()
    examples: tuple[Example, ...] = ()
    signatures: Mapping[str, str] = {}
